//! The index as a file: a line that says what it is, a check sum, and the rest in one piece.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::{Index, TokenStore};

/// Changes whenever the form does, or what stands in it; another version's file is made anew.
const HEAD: &[u8] = b"cwm index 1\n";
/// Larger files are not read.
const MOST_BYTES: u64 = 2 << 30;

/// Reads an index; none when there is none, or it is damaged or another version's.
pub(super) fn load(path: &Path) -> Option<(Index, TokenStore)> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(|metadata| metadata.is_file())?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(MOST_BYTES)).ok()?);
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let rest = bytes.strip_prefix(HEAD)?;
    let (sum, body) = rest.split_first_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    postcard::from_bytes(body).ok()
}

/// Writes an index in the place of the one that is there, whole or not at all.
pub(super) fn save(index: &Index, tokens: &TokenStore, path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let body = postcard::to_stdvec(&(index, tokens)).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(HEAD)?;
    file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
