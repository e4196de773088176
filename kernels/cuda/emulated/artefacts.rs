//! What is embedded was made from the sources that lie beside it, and holds what is launched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cwm_kernels::cuda::Artefact;
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda")
}

#[test]
fn artefacts_are_of_their_sources() {
    let folder = folder();
    let sums = std::fs::read_to_string(folder.join("prebuilt/SHA256SUMS")).unwrap();
    let kept: BTreeMap<&str, &str> = sums
        .lines()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(sum, name)| (name, sum))
        .collect();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cu") || name.ends_with(".cuh") || name == "manifest.toml")
        .collect();
    names.push("prebuilt/usage.txt".to_owned());
    names.extend(
        Artefact::ALL
            .iter()
            .map(|artefact| format!("prebuilt/{}.fatbin", artefact.name())),
    );
    names.sort();
    assert!(
        names.iter().eq(kept.keys()),
        "run scripts/build-cuda-kernels: {names:?}"
    );
    for name in &names {
        let digest = Sha256::digest(std::fs::read(folder.join(name)).unwrap());
        let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            sum,
            kept[name.as_str()],
            "{name} has changed: run scripts/build-cuda-kernels"
        );
    }
}

#[test]
fn what_is_embedded_is_what_was_built() {
    for artefact in Artefact::ALL {
        let path = folder().join(format!("prebuilt/{}.fatbin", artefact.name()));
        assert_eq!(artefact.bytes(), std::fs::read(path).unwrap());
        // The mark of a fat binary.
        assert!(artefact.bytes().starts_with(&[0x50, 0xed, 0x55, 0xba]));
    }
}

#[test]
fn every_source_is_an_artefact() {
    let manifest: toml::Table = std::fs::read_to_string(folder().join("manifest.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let mut sources: Vec<&str> = manifest
        .iter()
        .filter(|(_, value)| value.is_table())
        .map(|(name, _)| name.as_str())
        .collect();
    sources.sort_unstable();
    let mut artefacts: Vec<&str> = Artefact::ALL.iter().map(|artefact| artefact.name()).collect();
    artefacts.sort_unstable();
    assert_eq!(sources, artefacts);
}
