//! Reads the base's blobs from a bare object folder. No repository is opened, so no configuration, filter,
//! hook or replacement ref of anyone can have a say.

use std::path::{Path, PathBuf};

use super::manifest::ObjectId;

/// Why a blob could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The folder cannot be used.
    #[error("{folder}: cannot be opened as a git object folder: {source}", folder = folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// The folder's name is not UTF-8, which libgit2's binding needs.
    #[error("{folder}: a git object folder's path must be UTF-8", folder = folder.display())]
    Name {
        /// The folder.
        folder: PathBuf,
    },
    /// The blob is missing or damaged.
    #[error("blob {id} of the base cannot be read: {source}")]
    Read {
        /// Its id.
        id: ObjectId,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// The id names something else.
    #[error("object {id} is no blob")]
    NotABlob {
        /// Its id.
        id: ObjectId,
    },
}

/// The blobs of a base tree, to be read only.
pub struct BaseObjects {
    store: git2::Odb<'static>,
}

impl BaseObjects {
    /// Opens an object folder such as `.git/objects` (its `info/alternates` count too).
    pub fn open(folder: &Path) -> Result<BaseObjects, ObjectsError> {
        let name = folder.to_str().ok_or_else(|| ObjectsError::Name {
            folder: folder.to_owned(),
        })?;
        let open = || {
            let store = git2::Odb::new()?;
            store.add_disk_alternate(name)?;
            Ok(store)
        };
        let store = open().map_err(|source| ObjectsError::Open {
            folder: folder.to_owned(),
            source,
        })?;
        Ok(BaseObjects { store })
    }

    /// A blob's bytes.
    pub fn blob(&self, id: ObjectId) -> Result<Vec<u8>, ObjectsError> {
        let failed = |source| ObjectsError::Read { id, source };
        let object = self.store.read(id.to_oid().map_err(failed)?).map_err(failed)?;
        if object.kind() != git2::ObjectType::Blob {
            return Err(ObjectsError::NotABlob { id });
        }
        Ok(object.data().to_vec())
    }

    /// A blob's size, without reading it whole.
    pub fn size(&self, id: ObjectId) -> Result<u64, ObjectsError> {
        let failed = |source| ObjectsError::Read { id, source };
        let (size, _) = self
            .store
            .read_header(id.to_oid().map_err(failed)?)
            .map_err(failed)?;
        Ok(size as u64)
    }
}
