//! Uncommitted work: which blob git would make of a file in the user's working tree, and how that blob is laid out.

use std::path::Path;

use git2::{AttrCheckFlags, AttrValue, Repository};
use rustix::fs::Stat;

use super::convert::{self, LfsPointer};
use super::disk;
use super::error::{Note, WorkspaceError};
use super::found::{Body, Found};
use super::layout::{Laid, Worker};
use super::objects;
use super::source::{IndexEntry, Settings};
use crate::bytes_path::{self, RepoPath};
use crate::patch::manifest::{Checkout, FileMode, ObjectId};

/// Whether git takes a file for text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Never,
    Always,
    Guess,
}

/// The attributes that change what git stores.
struct Attributes {
    text: Text,
    lfs: bool,
    /// A filter, an encoding or keyword expansion that is not done here.
    filtered: bool,
}

impl Attributes {
    fn read(library: &Repository, path: &[u8], settings: &Settings) -> Result<Attributes, WorkspaceError> {
        let path: &Path = bytes_path::to_path(path);
        let get = |name| {
            let value = library.get_attr_bytes(path, name, AttrCheckFlags::FILE_THEN_INDEX)?;
            Ok::<_, git2::Error>(match AttrValue::from_bytes(value) {
                AttrValue::String(text) => Some(text.as_bytes().to_vec()),
                AttrValue::Bytes(bytes) => Some(bytes.to_vec()),
                AttrValue::True => Some(b"true".to_vec()),
                AttrValue::False => Some(b"false".to_vec()),
                AttrValue::Unspecified => None,
            })
        };
        let (text, eol, filter) = (get("text")?, get("eol")?, get("filter")?);
        let encoding = get("working-tree-encoding")?;
        let encoded = encoding.is_some_and(|name| {
            name != b"false"
                && name != b"true"
                && !name.eq_ignore_ascii_case(b"utf-8")
                && !name.eq_ignore_ascii_case(b"utf8")
        });
        let text = match text.as_deref() {
            Some(b"true") => Text::Always,
            Some(b"false") => Text::Never,
            Some(b"auto") => Text::Guess,
            _ if matches!(eol.as_deref(), Some(b"lf" | b"crlf")) => Text::Always,
            _ if settings.autocrlf != "false" => Text::Guess,
            _ => Text::Never,
        };
        let lfs = filter.as_deref() == Some(b"lfs");
        let other = filter.is_some_and(|name| name != b"lfs" && name != b"false" && name != b"true");
        let filtered = other || encoded || get("ident")?.as_deref() == Some(b"true");
        Ok(Attributes { text, lfs, filtered })
    }
}

/// What a file becomes in git.
struct Stored {
    id: ObjectId,
    /// The blob, where it is not the file's bytes.
    blob: Option<Vec<u8>>,
    checkout: Checkout,
    /// The file itself cannot be described as a form of its blob: lay out the blob.
    lay_out_blob: bool,
}

impl Worker<'_> {
    /// Lays out what the working tree holds; `None` when it holds nothing there.
    pub(super) fn working(
        &mut self,
        path: &RepoPath,
        entry: Option<&IndexEntry>,
        base: Option<ObjectId>,
    ) -> Result<Option<Laid>, WorkspaceError> {
        match (self.find(path)?, entry) {
            (Found::Nothing, Some(entry)) if entry.skip => {
                if base != Some(entry.id) {
                    self.keep(&self.blob(path, entry.id)?)?;
                }
                let (mode, id) = (entry.mode, entry.id);
                Ok(Some(Laid {
                    path: path.clone(),
                    mode,
                    id,
                    checkout: Checkout::Absent,
                    stat: None,
                }))
            }
            (Found::Nothing, _) => Ok(None),
            (Found::Unreadable, _) => {
                self.notes.push(Note::NotReadable(bytes_path::display(path)));
                entry.map(|entry| self.indexed(path, entry, base)).transpose()
            }
            (Found::Link { target, stat }, _) => {
                let id = objects::blob_id(&target);
                if base != Some(id) {
                    self.keep(&target)?;
                }
                self.link(path, id, &target, disk::times_of(&stat)).map(Some)
            }
            (Found::File { body, stat }, _) => self.working_file(path, entry, base, body, &stat),
        }
    }

    /// What the index holds at a path, whatever the working tree does.
    fn indexed(
        &mut self,
        path: &RepoPath,
        entry: &IndexEntry,
        base: Option<ObjectId>,
    ) -> Result<Laid, WorkspaceError> {
        let blob = self.blob(path, entry.id)?;
        if base != Some(entry.id) {
            self.keep(&blob)?;
        }
        match entry.mode {
            FileMode::Symlink => self.link(path, entry.id, &blob, disk::times(self.layout.time, 0)),
            mode => self.blob_file(path, mode, entry.id, blob),
        }
    }

    fn working_file(
        &mut self,
        path: &RepoPath,
        entry: Option<&IndexEntry>,
        base: Option<ObjectId>,
        mut body: Body,
        stat: &Stat,
    ) -> Result<Option<Laid>, WorkspaceError> {
        let mode = match entry {
            Some(entry) if !self.layout.settings.file_mode && entry.mode != FileMode::Symlink => entry.mode,
            _ if self.layout.settings.file_mode && stat.st_mode & 0o100 != 0 => FileMode::Executable,
            _ => FileMode::Regular,
        };
        let raw = body.id().map_err(self.reading(path))?;
        let attributes = match base == Some(raw) {
            true => None,
            false => Some(Attributes::read(&self.library, path, self.layout.settings)?),
        };
        let stored = match (&attributes, entry) {
            (None, _) => Stored {
                id: raw,
                blob: None,
                checkout: Checkout::Exact,
                lay_out_blob: false,
            },
            (Some(Attributes { filtered: true, .. }), Some(entry)) => {
                self.note_filtered(path, entry, stat);
                return self.indexed(path, entry, base).map(Some);
            }
            (Some(attributes), _) => self.stored(path, attributes, entry, raw, &mut body)?,
        };
        if attributes.is_some_and(|attributes| attributes.filtered) {
            self.notes.push(Note::Filtered(bytes_path::display(path)));
        }
        if base != Some(stored.id) {
            match &stored.blob {
                Some(blob) => self.keep(blob)?,
                None => {
                    let bytes = body.bytes().map_err(self.reading(path))?;
                    self.keep(&bytes)?;
                }
            }
        }
        let times = disk::times_of(stat);
        let Stored {
            id,
            blob,
            checkout,
            lay_out_blob,
        } = stored;
        match blob {
            Some(blob) if lay_out_blob => {
                self.notes.push(Note::MixedLineEndings(bytes_path::display(path)));
                self.file(path, mode, id, checkout, &Body::Memory(blob), times)
                    .map(Some)
            }
            _ => self.file(path, mode, id, checkout, &body, times).map(Some),
        }
    }

    /// What `git add` would store, for the conversions that are done here.
    fn stored(
        &self,
        path: &RepoPath,
        attributes: &Attributes,
        entry: Option<&IndexEntry>,
        raw: ObjectId,
        body: &mut Body,
    ) -> Result<Stored, WorkspaceError> {
        let exact = Stored {
            id: raw,
            blob: None,
            checkout: Checkout::Exact,
            lay_out_blob: false,
        };
        let size = body.length();
        if attributes.lfs && size > 0 {
            if size < 1024 && LfsPointer::parse(&body.bytes().map_err(self.reading(path))?).is_some() {
                return Ok(exact);
            }
            let pointer = LfsPointer {
                sha256: body.sha256().map_err(self.reading(path))?,
                size,
            }
            .to_blob();
            let id = objects::blob_id(&pointer);
            return Ok(Stored {
                id,
                blob: Some(pointer),
                checkout: Checkout::LfsContent,
                lay_out_blob: false,
            });
        }
        let bytes = body.bytes().map_err(self.reading(path))?;
        if attributes.text == Text::Never || !convert::has_carriage_returns(&bytes) {
            return Ok(exact);
        }
        if attributes.text == Text::Guess {
            // Where git only guesses, it leaves a file alone whose blob in the index has `\r\n` already.
            let kept = match entry {
                Some(entry) if entry.id == raw => true,
                Some(entry) => convert::has_carriage_returns(&self.blob(path, entry.id)?),
                None => false,
            };
            if kept || convert::looks_binary(&bytes) {
                return Ok(exact);
            }
        }
        let cleaned = convert::without_carriage_returns(&bytes);
        let same = convert::with_carriage_returns(&cleaned) == *bytes;
        let checkout = if same {
            Checkout::CarriageReturns
        } else {
            Checkout::Exact
        };
        Ok(Stored {
            id: objects::blob_id(&cleaned),
            blob: Some(cleaned),
            checkout,
            lay_out_blob: !same,
        })
    }

    /// A file whose working-tree form only a program of the user's could turn into a blob: git's form is kept.
    fn note_filtered(&mut self, path: &RepoPath, entry: &IndexEntry, stat: &Stat) {
        // The low 32 bits are all that an index holds.
        #[allow(clippy::unnecessary_cast)]
        let now = (
            stat.st_size as u32,
            stat.st_mtime as i32,
            stat.st_mtime_nsec as u32,
        );
        let shown = bytes_path::display(path);
        self.notes.push(match entry.seen == Some(now) {
            true => Note::Filtered(shown),
            false => Note::FilteredChange(shown),
        });
    }

    fn reading(&self, path: &[u8]) -> impl FnOnce(std::io::Error) -> WorkspaceError + use<> {
        WorkspaceError::io("reading", &disk::at(self.layout.root, path))
    }
}
