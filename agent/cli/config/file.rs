//! Reads one file of settings. Whatever it holds, what comes out is known keys with values of their kinds, or a sentence that names
//! the file, the line and the key.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use toml::de::{DeTable, DeValue};

use super::keys::{self, Key, Trust};
use super::setting::Origin;
use super::value::{Place, Value};
use crate::cli::text::plain;
use crate::cli::{ExitCode, Failure};

/// The largest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    User,
    /// Whoever wrote the repository.
    Repository,
}

/// A value that was said somewhere.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A file of settings and what it may say.
pub(super) struct SettingsFile<'a> {
    pub(super) path: PathBuf,
    pub(super) owner: Owner,
    /// Where what this file may not say belongs.
    pub(super) users_file: Option<&'a Path>,
    pub(super) home: Option<&'a Path>,
}

impl SettingsFile<'_> {
    /// What it says; nothing when it is not there.
    pub(super) fn read(&self) -> Result<Vec<Found>, Failure> {
        match self.text()? {
            Some(text) => self.parse(&text),
            None => Ok(Vec::new()),
        }
    }

    /// The file's text. A repository could hold a link to another of the user's files, or a pipe that is never written.
    fn text(&self) -> Result<Option<String>, Failure> {
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if self.owner == Owner::Repository {
            flags |= OFlags::NOFOLLOW;
        }
        let unreadable = |reason: String| {
            let message = format!(
                "The settings in {} cannot be read: {reason}.",
                self.path.display()
            );
            Failure::new(ExitCode::Usage, message)
        };
        let descriptor = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => {
                let reason = "it is a symbolic link, and a repository's must be a file of its own";
                return Err(unreadable(reason.to_owned()));
            }
            Err(error) => return Err(unreadable(std::io::Error::from(error).to_string())),
        };
        let status = rustix::fs::fstat(&descriptor)
            .map_err(|error| unreadable(std::io::Error::from(error).to_string()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(unreadable("it is no regular file".to_owned()));
        }
        let mut text = String::new();
        let read = std::fs::File::from(descriptor)
            .take(MOST_BYTES + 1)
            .read_to_string(&mut text);
        match read {
            Ok(count) if count as u64 > MOST_BYTES => {
                Err(unreadable(format!("it is larger than {} KiB", MOST_BYTES >> 10)))
            }
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(unreadable("it is not UTF-8".to_owned()))
            }
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    fn parse(&self, text: &str) -> Result<Vec<Found>, Failure> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let message = plain(error.message());
            self.wrong(
                line,
                &format!("this is not TOML: {}.", message.trim_end_matches('.')),
            )
        })?;
        let mut found = Vec::new();
        for (name, value) in table.get_ref() {
            let line = line_of(text, name.span().start);
            let name: &str = name.get_ref();
            let Some(key) = keys::find(name) else {
                return Err(self.unknown(line, name, value.get_ref()));
            };
            found.push(self.setting(key, value.get_ref(), line)?);
        }
        Ok(found)
    }

    fn setting(&self, key: &'static Key, value: &DeValue<'_>, line: usize) -> Result<Found, Failure> {
        let place = Place {
            folder: self.path.parent().unwrap_or(Path::new("/")),
            home: self.home,
        };
        if self.owner == Owner::Repository {
            self.check_trust(key, value, line)?;
        }
        let value = key.kind.of_toml(value, place).ok_or_else(|| {
            let wrong = format!(
                "`{}` must be {}, not {}.",
                key.name,
                key.kind.words(),
                described(value)
            );
            self.wrong(line, &wrong)
        })?;
        let origin = match self.owner {
            Owner::User => Origin::User(self.path.clone(), line),
            Owner::Repository => Origin::Repository(self.path.clone(), line),
        };
        Ok(Found { key, value, origin })
    }

    /// Whether the repository's file may say this.
    fn check_trust(&self, key: &Key, value: &DeValue<'_>, line: usize) -> Result<(), Failure> {
        let in_catalogue = |name: &str| cwm_runtime::catalogue::find(name).is_some();
        let refusal = match key.trust {
            Trust::Any => return Ok(()),
            Trust::Catalogue if value.as_str().is_none_or(in_catalogue) => return Ok(()),
            Trust::Catalogue => format!(
                "a repository may set `{}` only to a name of `cwm model list`, not to {}.",
                key.name,
                described(value)
            ),
            Trust::None(reason) => format!(
                "`{}` cannot be set by a repository, whose files anyone may have written: {reason}.",
                key.name
            ),
        };
        let hint = match self.users_file {
            Some(path) => format!(
                "If you want it, put it into {} or {}.",
                path.display(),
                key.variable
            ),
            None => format!("If you want it, set {}.", key.variable),
        };
        Err(self.wrong(line, &refusal).with_hint(hint))
    }

    fn unknown(&self, line: usize, name: &str, value: &DeValue<'_>) -> Failure {
        let shown = plain(&name.chars().take(60).collect::<String>());
        let hint = match keys::nearest(name) {
            Some(near) => format!("Did you mean `{near}`?"),
            None if value.is_table() => {
                "Keys stand at the top, without [sections]; `cwm config show` lists them.".to_owned()
            }
            None => "`cwm config show` lists the keys.".to_owned(),
        };
        self.wrong(line, &format!("there is no key `{shown}`."))
            .with_hint(hint)
    }

    fn wrong(&self, line: usize, sentence: &str) -> Failure {
        let message = format!("{}, line {line}: {sentence}", self.path.display());
        Failure::new(ExitCode::Usage, message)
    }
}

/// A value as messages quote it.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let start: String = text.chars().take(60).collect();
            let more = if start.len() < text.len() { "…" } else { "" };
            format!("\"{}{more}\"", plain(&start))
        }
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "this list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The line, from 1, of a byte.
fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}
