//! What is kept as a file: a line that says what it is, a check sum, and the rest in one piece.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Larger files are not read.
const MOST_BYTES: u64 = 2 << 30;
/// What was not used for so long is removed, and so are the oldest of more files than this.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const MOST_KEPT: usize = 400;
/// When a file was last used is noted no more exactly than this.
const NOTED: Duration = Duration::from_secs(24 * 60 * 60);
/// What kept files' names end with, behind a number of so many digits.
const ENDINGS: [&str; 3] = [INDEX, COPY, TOKENS];
const DIGITS: usize = 16;
/// The index of a repository, that of a copy of it, and what was counted of it.
pub(super) const INDEX: &str = "index";
pub(super) const COPY: &str = "copy";
pub(super) const TOKENS: &str = "tokens";

/// Reads what was kept; none when there is nothing, or it is damaged or another version's, with another `head`.
pub(super) fn load<T: DeserializeOwned>(path: &Path, head: &[u8]) -> Option<T> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(|metadata| metadata.is_file())?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MOST_BYTES)).ok()?);
    (&file).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let rest = bytes.strip_prefix(head)?;
    let (sum, body) = rest.split_first_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let now = SystemTime::now();
    let used = metadata
        .modified()
        .ok()
        .and_then(|time| now.duration_since(time).ok());
    if used.is_some_and(|used| used > NOTED) {
        // Without it the file is removed sooner, and made anew.
        let _ = file.set_modified(now);
    }
    postcard::from_bytes(body).ok()
}

/// Writes something in the place of what is there, whole or not at all.
pub(super) fn save(kept: &impl Serialize, path: &Path, head: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let body = postcard::to_stdvec(kept).map_err(io::Error::other)?;
    file.write_all(head)?;
    file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
    file.write_all(&body)?;
    let is_new = !path.exists();
    file.persist(path).map_err(|error| error.error)?;
    if is_new {
        remove_unused(folder, SystemTime::now());
    }
    Ok(())
}

/// Removes what was not used for long. What cannot be removed stays; whoever reads it meanwhile can go on.
fn remove_unused(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut kept: Vec<(Duration, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(is_kept_name);
        let metadata = entry.metadata().ok().filter(|metadata| metadata.is_file());
        if let Some(used) = metadata
            .and_then(|metadata| metadata.modified().ok())
            .filter(|_| is_ours)
        {
            kept.push((now.duration_since(used).unwrap_or_default(), entry.path()));
        }
    }
    kept.sort();
    for (place, (age, path)) in kept.into_iter().enumerate() {
        if place >= MOST_KEPT || age > KEPT {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether a file's name is one that was given here: others are left alone.
fn is_kept_name(name: &str) -> bool {
    // Those of earlier versions had no ending.
    let stem = match name.rsplit_once('.') {
        Some((stem, ending)) if ENDINGS.contains(&ending) => stem,
        _ => name,
    };
    let number = stem.rsplit_once('-').map_or("", |(_, number)| number);
    number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_long_is_removed_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 60 * 60);
        let write = |name: &str, days: u32| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(now - day * days).unwrap();
        };
        write("old-0123456789abcdef.index", 100);
        write("older-0123456789abcdef", 100);
        write("young-0123456789abcdef.tokens", 80);
        write("notes.txt", 1000);
        write("a-0123.index", 1000);
        fs::create_dir(folder.path().join("folder-0123456789abcdef.copy")).unwrap();
        for number in 0..MOST_KEPT {
            write(&format!("x-{number:016x}.index"), 10);
        }
        write("x-00000000000000ff.index", 50);
        remove_unused(folder.path(), now);
        let is_there = |name: &str| folder.path().join(name).exists();
        assert!(!is_there("old-0123456789abcdef.index") && !is_there("older-0123456789abcdef"));
        assert!(
            is_there("notes.txt") && is_there("a-0123.index") && is_there("folder-0123456789abcdef.copy")
        );
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, MOST_KEPT + 3);
        assert!(
            !is_there("young-0123456789abcdef.tokens"),
            "the oldest of too many go first"
        );
    }

    #[test]
    fn a_use_is_noted_when_the_last_one_is_long_ago() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x-0123456789abcdef.index");
        save(&vec![1_u32, 2], &path, b"head").unwrap();
        let long_ago = SystemTime::now() - NOTED * 3;
        File::open(&path).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(load::<Vec<u32>>(&path, b"head"), Some(vec![1, 2]));
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > long_ago + NOTED);
        assert_eq!(load::<Vec<u32>>(&path, b"other"), None);
    }
}
