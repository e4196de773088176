//! What memory the pages of a tensor take.

use std::io::Write;

use super::*;

const BYTES: usize = 4 << 20;

/// A file with a tensor that neither begins nor ends at a page.
fn tensor() -> (tempfile::NamedTempFile, Vec<u8>, Tensor) {
    let mut state = 9_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(BYTES)
    .collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mapped = Arc::new(MappedFile::open(file.path()).unwrap());
    let range = 100..BYTES - 60;
    let tensor = Tensor::new(
        "t".to_owned(),
        ElementType::F32,
        vec![range.len() / 4],
        mapped,
        range,
    );
    (file, bytes, tensor.unwrap())
}

/// The kibibytes of the file's map that are in memory as ours.
#[cfg(target_os = "linux")]
fn resident(path: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = maps
        .lines()
        .skip_while(|line| !line.ends_with(path.to_str().unwrap()));
    let line = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn forgotten_pages_are_read_again() {
    let (_file, bytes, tensor) = tensor();
    for _ in 0..2 {
        assert!(tensor.bytes() == &bytes[100..BYTES - 60]);
        tensor.forget_pages();
    }
    assert!(tensor.file().bytes() == bytes);
}

#[cfg(target_os = "linux")]
#[test]
fn forgotten_pages_take_no_memory() {
    let (file, bytes, tensor) = tensor();
    assert!(tensor.bytes() == &bytes[100..BYTES - 60]);
    let before = resident(file.path());
    assert!(before >= BYTES as u64 / 1024 - 8, "{before} KiB");
    tensor.forget_pages();
    // The pages at both ends are shared with other tensors, and stay.
    let after = resident(file.path());
    assert!(after <= 256, "{after} KiB of {before} KiB");
}

/// A tensor smaller than a page has none of its own; its neighbours' are left alone.
#[test]
fn small_tensors_have_no_pages_to_forget() {
    let (_file, bytes, whole) = tensor();
    for range in [0..0, 8..40, 4000..4200, BYTES - 8..BYTES] {
        let elements = range.len() / 4;
        let file = Arc::clone(&whole.file);
        let small = Tensor::new(
            "s".to_owned(),
            ElementType::F32,
            vec![elements],
            file,
            range.clone(),
        )
        .unwrap();
        small.forget_pages();
        assert_eq!(small.bytes(), &bytes[range]);
    }
}
