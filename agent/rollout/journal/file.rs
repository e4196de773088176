//! The journal's file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::record::{EVENTS, Record, SCHEMA};

/// The most bytes that a line may have.
const LONGEST_LINE: u64 = 256 << 20;

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
    file: Mutex<Whole>,
    earlier: Vec<Record>,
    /// What this process has told of the run as a whole.
    told: Mutex<Vec<String>>,
    observer: Arc<dyn Observer>,
}

/// The file, and how much of it is whole lines.
struct Whole {
    file: File,
    length: u64,
    /// Whether something may stand behind the whole lines.
    torn: bool,
}

impl Whole {
    /// Adds a line. After a failure nothing of it is left, or it is taken off before the next one.
    fn add(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += line.len() as u64,
            // A full disk takes a part of the line; what comes next must not be glued to it.
            Err(_) => self.torn = self.file.set_len(self.length).is_err(),
        }
        written
    }
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
        // The name is to last as the lines do.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(failed(path, "made"))?;
        Ok(Journal {
            path: path.to_owned(),
            file: Mutex::new(Whole {
                file,
                length: 0,
                torn: false,
            }),
            earlier: Vec::new(),
            told: Mutex::default(),
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
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(failed(path, "opened"))?;
        file.set_len(whole).map_err(failed(path, "mended"))?;
        Ok(Journal {
            path: path.to_owned(),
            file: Mutex::new(Whole {
                file,
                length: whole,
                torn: false,
            }),
            earlier: lines.into_iter().map(|line| line.record).collect(),
            told: Mutex::default(),
            observer,
        })
    }

    /// What was recorded before this process took the journal up.
    pub fn earlier(&self) -> &[Record] {
        &self.earlier
    }

    /// The run's folder, which it lies in.
    pub fn folder(&self) -> &Path {
        let folder = self.path.parent();
        folder
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
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
        if text.len() as u64 > LONGEST_LINE {
            let error = std::io::Error::new(ErrorKind::InvalidInput, "a record is too long for a line");
            return Err(failed(&self.path, "written")(error));
        }
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.add(&text).map_err(failed(&self.path, "written"))?;
        }
        self.observer.recorded(record);
        Ok(())
    }

    /// Writes what a person should know of the run as a whole, which several attempts find out: once, also when the run goes on later.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub fn tell_once(&self, text: &str) -> Result<(), JournalError> {
        let notice = Record::Notice {
            attempt: None,
            text: text.to_owned(),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.iter().any(|known| known == text) || self.earlier.contains(&notice) {
            return Ok(());
        }
        self.append(&notice)?;
        told.push(text.to_owned());
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

/// The first and the last record of a journal, without what is between them: the run's beginning, and its end where it has one.
///
/// # Errors
///
/// When it cannot be read, or the first line is damaged.
pub fn read_ends(path: &Path) -> Result<(Option<Line>, Option<Line>), JournalError> {
    /// The last record of a run that ended is smaller than this by far.
    const TAIL: u64 = 64 << 10;
    let mut reader = BufReader::new(File::open(path).map_err(failed(path, "opened"))?);
    let mut text = Vec::new();
    reader
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut text)
        .map_err(failed(path, "read"))?;
    if text.last() != Some(&b'\n') {
        return Ok((None, None));
    }
    let first = parse(path, 1, &text)?;
    let end = reader.seek(SeekFrom::End(0)).map_err(failed(path, "read"))?;
    let start = (text.len() as u64).max(end.saturating_sub(TAIL));
    let mut tail = Vec::new();
    reader
        .seek(SeekFrom::Start(start))
        .and_then(|_| reader.take(TAIL).read_to_end(&mut tail))
        .map_err(failed(path, "read"))?;
    let mut lines = tail.rsplit(|&byte| byte == b'\n').skip(1);
    let last = lines.next().and_then(|line| parse(path, 0, line).ok().flatten());
    Ok((first, last))
}

/// The whole lines, and where they end. Events that this program does not know are passed over.
fn read_lines(path: &Path) -> Result<(Vec<Line>, u64), JournalError> {
    let mut reader = BufReader::new(File::open(path).map_err(failed(path, "opened"))?);
    let (mut lines, mut whole) = (Vec::new(), 0);
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let length = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut text)
            .map_err(failed(path, "read"))? as u64;
        let ends_here = reader.fill_buf().map_err(failed(path, "read"))?.is_empty();
        if text.last() != Some(&b'\n') {
            if ends_here {
                break;
            }
            return Err(damaged(
                path,
                number,
                format!("it has more than {LONGEST_LINE} bytes"),
            ));
        }
        match parse(path, number, &text) {
            Ok(line) => lines.extend(line),
            // A machine that stopped in the midst of writing may have kept the line's end and lost what is before it.
            Err(JournalError::Damaged { .. }) if ends_here => break,
            Err(error) => return Err(error),
        }
        whole += length;
    }
    Ok((lines, whole))
}

/// The line's record; `None` for an event that this program does not know.
fn parse(path: &Path, number: usize, text: &[u8]) -> Result<Option<Line>, JournalError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
        event: String,
    }
    let wrong = |error: serde_json::Error| damaged(path, number, error.to_string());
    let head: Head = serde_json::from_slice(text).map_err(wrong)?;
    if head.schema != SCHEMA {
        return Err(JournalError::Schema {
            path: path.to_owned(),
            found: head.schema,
        });
    }
    if !EVENTS.contains(&head.event.as_str()) {
        return Ok(None);
    }
    serde_json::from_slice(text).map(Some).map_err(wrong)
}

fn damaged(path: &Path, line: usize, message: String) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        line,
        message,
    }
}

fn failed<'a>(path: &'a Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> JournalError + 'a {
    move |source| JournalError::Io {
        path: path.to_owned(),
        doing,
        source,
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
