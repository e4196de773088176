//! Git objects made here: ids, loose objects in a run's own store, trees and the commit of uncommitted work.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

use super::error::WorkspaceError;
use crate::bytes_path::RepoPath;
use crate::patch::manifest::{FileMode, ObjectId};

/// The id of a blob with these bytes.
pub(crate) fn blob_id(bytes: &[u8]) -> ObjectId {
    object_id("blob", bytes)
}

fn object_id(kind: &str, bytes: &[u8]) -> ObjectId {
    let mut hash = Sha1::new();
    hash.update(format!("{kind} {}\0", bytes.len()));
    hash.update(bytes);
    ObjectId(hash.finalize().into())
}

/// The id of a blob that is read piece by piece; its length must be known first.
pub(crate) fn blob_id_of_stream(reader: &mut impl Read, length: u64) -> io::Result<ObjectId> {
    let mut hash = Sha1::new();
    hash.update(format!("blob {length}\0"));
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(ObjectId(hash.finalize().into())),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// Writes loose objects into one `objects` folder. Usable from several threads.
pub(crate) struct LooseObjects {
    folder: PathBuf,
    temporary: AtomicU64,
}

impl LooseObjects {
    /// For the `objects` folder of a store.
    pub(crate) fn new(folder: PathBuf) -> LooseObjects {
        LooseObjects {
            folder,
            temporary: AtomicU64::new(0),
        }
    }

    /// Writes a blob and returns its id.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Result<ObjectId, WorkspaceError> {
        self.object("blob", bytes)
    }

    fn object(&self, kind: &str, bytes: &[u8]) -> Result<ObjectId, WorkspaceError> {
        let id = object_id(kind, bytes);
        let name = id.to_string();
        let (folder, rest) = name.split_at(2);
        let folder = self.folder.join(folder);
        let path = folder.join(rest);
        if path.exists() {
            return Ok(id);
        }
        super::disk::make_folders(&folder)?;
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("tmp_obj_{number}"));
        write_loose(&temporary, kind, bytes)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(WorkspaceError::io("writing", &path))?;
        Ok(id)
    }

    /// Writes the tree of a sorted list of files, and its subtrees; returns its id.
    pub(crate) fn tree(&self, files: &[(RepoPath, FileMode, ObjectId)]) -> Result<ObjectId, WorkspaceError> {
        self.subtree(files, 0)
    }

    /// `skip` bytes of each path are those of the folder itself.
    fn subtree(
        &self,
        files: &[(RepoPath, FileMode, ObjectId)],
        skip: usize,
    ) -> Result<ObjectId, WorkspaceError> {
        let mut entries: Vec<(Vec<u8>, u32, ObjectId)> = Vec::new();
        let mut rest = files;
        while let Some((path, mode, id)) = rest.first() {
            let name = path.get(skip..).unwrap_or_default();
            match name.iter().position(|&byte| byte == b'/') {
                None => {
                    entries.push((name.to_vec(), mode.bits(), *id));
                    rest = rest.get(1..).unwrap_or_default();
                }
                Some(end) => {
                    // Up to and including the slash, the part that all paths of the subfolder share.
                    let prefix = path.get(..skip + end + 1).unwrap_or_default();
                    let count = rest
                        .iter()
                        .take_while(|(path, ..)| path.starts_with(prefix))
                        .count();
                    let (inside, after) = rest.split_at(count);
                    let id = self.subtree(inside, prefix.len())?;
                    entries.push((name.get(..end).unwrap_or_default().to_vec(), 0o040_000, id));
                    rest = after;
                }
            }
        }
        // Git sorts a folder as if its name ended with a slash.
        entries.sort_by_cached_key(|(name, mode, _)| match mode {
            0o040_000 => [name.as_slice(), b"/"].concat(),
            _ => name.clone(),
        });
        let mut bytes = Vec::new();
        for (name, mode, id) in entries {
            bytes.extend_from_slice(format!("{mode:o} ").as_bytes());
            bytes.extend_from_slice(&name);
            bytes.push(0);
            bytes.extend_from_slice(&id.0);
        }
        self.object("tree", &bytes)
    }

    /// Writes the commit that holds uncommitted work on top of `parent`. Same work, same parent, same id.
    pub(crate) fn commit(
        &self,
        tree: ObjectId,
        parent: ObjectId,
        seconds: i64,
    ) -> Result<ObjectId, WorkspaceError> {
        let person = format!("{} <{}> {seconds} +0000", super::NAME, super::EMAIL);
        let text = format!(
            "tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n\n\
             Uncommitted work\n\nMade by cwm: the working tree as it was when the run began.\n"
        );
        self.object("commit", text.as_bytes())
    }
}

fn write_loose(path: &Path, kind: &str, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    let mut encoder = ZlibEncoder::new(file, Compression::fast());
    encoder.write_all(format!("{kind} {}\0", bytes.len()).as_bytes())?;
    encoder.write_all(bytes)?;
    let file = encoder.finish()?;
    file.set_permissions(std::fs::Permissions::from_mode(0o444))
}
