//! Paths as bytes: git and Linux both allow any byte but NUL in a path, so paths inside a repository are
//! kept as byte strings with `/` between their parts, and turned into `Path` only at the system's door.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path relative to a repository's root, as git stores it: bytes, `/` between parts, no leading `/`.
pub type RepoPath = Vec<u8>;

/// The bytes of a system path.
pub fn to_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// A system path of the given bytes.
pub fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// `root` joined with a path relative to it.
pub fn join(root: &Path, relative: &[u8]) -> PathBuf {
    root.join(to_path(relative))
}

/// A path for messages: valid UTF-8 as it is, other bytes escaped.
pub fn display(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}
