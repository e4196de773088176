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

/// Serialises paths of any bytes, where serde's own way refuses those that are not UTF-8: for `#[serde(with = …)]`.
pub mod serde_path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes a path.
    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    /// Reads a path.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

/// The same for several paths, or for one that may be absent.
pub mod serde_paths {
    use std::ffi::{OsStr, OsString};
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the paths.
    pub fn serialize<'a, S, I>(paths: &'a I, to: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        &'a I: IntoIterator<Item = &'a PathBuf>,
    {
        let names: Vec<&OsStr> = paths.into_iter().map(|path| path.as_os_str()).collect();
        names.serialize(to)
    }

    /// Reads them.
    pub fn deserialize<'de, D, I>(from: D) -> Result<I, D::Error>
    where
        D: Deserializer<'de>,
        I: FromPaths,
    {
        let names: Vec<OsString> = Deserialize::deserialize(from)?;
        Ok(I::from_paths(names.into_iter().map(PathBuf::from)))
    }

    /// What several paths are read into.
    pub trait FromPaths {
        /// Takes the paths.
        fn from_paths(paths: impl Iterator<Item = PathBuf>) -> Self;
    }

    impl FromPaths for Vec<PathBuf> {
        fn from_paths(paths: impl Iterator<Item = PathBuf>) -> Self {
            paths.collect()
        }
    }

    impl FromPaths for Option<PathBuf> {
        fn from_paths(mut paths: impl Iterator<Item = PathBuf>) -> Self {
            paths.next()
        }
    }
}
