//! The journal's file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::record::{Record, SCHEMA};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system's side.
    #[error("the run's journal {} cannot be {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A line before the last that is no record.
    #[error("line {line} of the run's journal {} is damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// It was written by another version of the program.
    #[error("the run's journal {} has form {found}, and this cwm reads {SCHEMA}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: u32,
    },
}

/// A record with what every line has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The form's version.
    pub schema: u32,
    /// Seconds since 1970, in UTC.
    pub time: f64,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// Is told of every record, and of progress that is not worth one.
pub trait Observer: Send + Sync {
    /// A record was written.
    fn recorded(&self, record: &Record);

    /// A model said something: so many tokens more.
    fn generated(&self, attempt: &str, tokens: usize);
}

/// Looks away.
pub struct NoObserver;

impl Observer for NoObserver {
    fn recorded(&self, _record: &Record) {}

    fn generated(&self, _attempt: &str, _tokens: usize) {}
}

/// A run's journal, open for appending. Shared by threads.
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    earlier: Vec<Record>,
    observer: Arc<dyn Observer>,
}

impl Journal {
    /// Begins the journal of a new run.
    ///
    /// # Errors
    ///
    /// When the file exists or cannot be made.
    pub fn create(path: &Path, observer: Arc<dyn Observer>) -> Result<Journal, JournalError> {
        let mut options = OpenOptions::new();
        options.create_new(true).append(true).mode(0o600);
        let file = options.open(path).map_err(failed(path, "made"))?;
        Ok(Journal {
            path: path.to_owned(),
            file: Mutex::new(file),
            earlier: Vec::new(),
            observer,
        })
    }

    /// Takes up the journal of a run that was cut short; an unfinished last line is taken off.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a line before the last is damaged.
    pub fn resume(path: &Path, observer: Arc<dyn Observer>) -> Result<Journal, JournalError> {
        let (lines, whole) = read_lines(path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(failed(path, "opened"))?;
        file.set_len(whole).map_err(failed(path, "mended"))?;
        file.seek(SeekFrom::End(0)).map_err(failed(path, "opened"))?;
        Ok(Journal {
            path: path.to_owned(),
            file: Mutex::new(file),
            earlier: lines.into_iter().map(|line| line.record).collect(),
            observer,
        })
    }

    /// What was recorded before this process took the journal up.
    pub fn earlier(&self) -> &[Record] {
        &self.earlier
    }

    /// Who is told of records.
    pub fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Writes a record; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written, as on a full disk. The run cannot go on then, and can be resumed.
    pub fn append(&self, record: &Record) -> Result<(), JournalError> {
        #[derive(Serialize)]
        struct Outgoing<'a> {
            schema: u32,
            time: f64,
            #[serde(flatten)]
            record: &'a Record,
        }
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let outgoing = Outgoing {
            schema: SCHEMA,
            time,
            record,
        };
        let mut text = serde_json::to_vec(&outgoing)
            .map_err(std::io::Error::other)
            .map_err(failed(&self.path, "written"))?;
        text.push(b'\n');
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&text)
                .and_then(|()| file.sync_data())
                .map_err(failed(&self.path, "written"))?;
        }
        self.observer.recorded(record);
        Ok(())
    }
}

/// The lines of a journal, whoever writes it meanwhile.
///
/// # Errors
///
/// When it cannot be read, or a line before the last is damaged.
pub fn read(path: &Path) -> Result<Vec<Line>, JournalError> {
    read_lines(path).map(|(lines, _)| lines)
}

/// The whole lines, and where they end.
fn read_lines(path: &Path) -> Result<(Vec<Line>, u64), JournalError> {
    let mut reader = BufReader::new(File::open(path).map_err(failed(path, "opened"))?);
    let (mut lines, mut whole) = (Vec::new(), 0);
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = reader
            .read_until(b'\n', &mut text)
            .map_err(failed(path, "read"))?;
        if text.last() != Some(&b'\n') {
            return Ok((lines, whole));
        }
        let number = lines.len() + 1;
        lines.push(parse(path, number, &text)?);
        whole += length as u64;
    }
}

fn parse(path: &Path, number: usize, text: &[u8]) -> Result<Line, JournalError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let damaged = |error: serde_json::Error| JournalError::Damaged {
        path: path.to_owned(),
        line: number,
        message: error.to_string(),
    };
    let head: Head = serde_json::from_slice(text).map_err(damaged)?;
    if head.schema != SCHEMA {
        return Err(JournalError::Schema {
            path: path.to_owned(),
            found: head.schema,
        });
    }
    serde_json::from_slice(text).map_err(damaged)
}

fn failed<'a>(path: &'a Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> JournalError + 'a {
    move |source| JournalError::Io {
        path: path.to_owned(),
        doing,
        source,
    }
}
