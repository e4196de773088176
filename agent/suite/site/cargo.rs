//! Packages of Cargo: which one a file belongs to, and what its tests call it.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::suite::find::text;

/// A package that has a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// What commands call it.
    pub(super) name: String,
    /// What code calls its library.
    pub(super) library: String,
}

impl Package {
    /// The package of a folder, where files of its folder `tests` are programs of tests by themselves and there is a library that they can use.
    pub(super) fn of(tree: &Path, folder: &str) -> Option<Package> {
        let folder = tree.join(folder);
        let manifest = text(&folder.join("Cargo.toml"));
        let manifest = DeTable::parse(&manifest).ok()?;
        let part = |name: &str| manifest.get_ref().get(name).map(Spanned::get_ref);
        let package = part("package")?;
        let name = package.get("name")?.get_ref().as_str()?.to_owned();
        let found_by_itself = package.get("autotests").map(Spanned::get_ref);
        if matches!(found_by_itself, Some(DeValue::Boolean(false))) {
            return None;
        }
        let library = part("lib");
        if library.is_none() && !folder.join("src/lib.rs").is_file() {
            return None;
        }
        let called = library.and_then(|library| library.get("name")?.get_ref().as_str());
        let library = called.unwrap_or(&name).replace('-', "_");
        Some(Package { name, library })
    }
}

/// The folder of the package that a file is of, within `folder`: the nearest one above that has a manifest of a package.
pub(super) fn package_above<'p>(tree: &Path, folder: &'p str, file: &'p str) -> Option<&'p str> {
    let mut at = file;
    while let Some((above, _)) = at.rsplit_once('/') {
        at = above;
        let within = folder.is_empty() || at == folder || at.starts_with(&format!("{folder}/"));
        if within && Package::of(tree, at).is_some() {
            return Some(at);
        }
    }
    Package::of(tree, folder).map(|_| folder)
}

/// The package's folder and the program's name of a file in a folder `tests`.
pub(super) fn package_of_test(path: &str) -> Option<(&str, &str)> {
    let (folder, file) = path.rsplit_once('/')?;
    let package = match folder {
        "tests" => "",
        _ => folder.strip_suffix("/tests")?,
    };
    Some((package, file.strip_suffix(".rs")?))
}
