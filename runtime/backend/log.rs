//! Plan logs: what a back end was asked to do, line by line, so that another back end can be asked the same.
//!
//! A log is lines of JSON: a header with the form of the pages and the model's fingerprint, then pages (a snapshot of the cache, where
//! the log does not begin with an empty one), plans and releases in the order in which they came.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::{Backend, BackendError, StepOutput, StepPlan};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind};

/// What lines are like; another number when they change.
const VERSION: u32 = 1;

/// Why a log cannot be written, read or replayed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("the plan log {} cannot be used: {source}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line that is not of a log.
    #[error("line {line} of the plan log {} cannot be read: {reason}", path.display())]
    Line {
        /// The log.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The log is of another model, or of pages of another form.
    #[error("the plan log {} is of {found}, but the back end has {expected}; load the model that it was made with", path.display())]
    Mismatch {
        /// The log.
        path: PathBuf,
        /// In the log.
        found: String,
        /// On the back end.
        expected: String,
    },
    /// The back end could not do what the log says.
    #[error("line {line} of the plan log {} fails: {source}", path.display())]
    Backend {
        /// The log.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// Why.
        source: BackendError,
    },
}

/// The first line: what the log is of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LogHeader {
    version: u32,
    layout: PageLayout,
    fingerprint: String,
}

/// A line behind the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// A page that is imported.
    Page {
        pool: PoolKind,
        page: PageId,
        /// Hexadecimal.
        bytes: String,
    },
    /// Copies outside a step.
    Copies(Vec<PageCopy>),
    /// A step.
    Plan(StepPlan),
    /// What a device failed on, as it was; nothing is done for it.
    Failure { error: String, plan: StepPlan },
    /// Pages that are given back.
    Release { pool: PoolKind, pages: Vec<PageId> },
}

/// A back end that writes down what it is asked to do before it does it.
pub struct LoggedBackend {
    backend: Box<dyn Backend>,
    path: PathBuf,
    out: Box<dyn Write + Send>,
    /// The first error of a call that cannot return one.
    failed: Option<LogError>,
}

impl LoggedBackend {
    /// Begins a log at `path` (there for messages), written to `out`. `pages` of the back end are put into it as they are now; they are
    /// all that later plans may read.
    ///
    /// # Errors
    /// When a page cannot be exported or a line cannot be written.
    pub fn new(
        backend: Box<dyn Backend>,
        fingerprint: String,
        pages: &[(PoolKind, PageId)],
        path: &Path,
        out: Box<dyn Write + Send>,
    ) -> Result<LoggedBackend, BackendError> {
        let header = LogHeader::of(backend.layout(), &fingerprint);
        let mut logged = LoggedBackend {
            backend,
            path: path.to_path_buf(),
            out,
            failed: None,
        };
        logged.write(&header)?;
        for (pool, page) in pages {
            let bytes = logged.backend.export_page(*pool, *page)?;
            logged.write(&Entry::page(*pool, *page, &bytes))?;
        }
        Ok(logged)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), BackendError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        Ok(self.write_line(line)?)
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<(), LogError> {
        let written = write_entry(&mut self.out, line)
            // What is asked of a back end that then crashes must be there.
            .and_then(|()| self.out.flush());
        written.map_err(|source| LogError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

impl Backend for LoggedBackend {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn layout(&self) -> &PageLayout {
        self.backend.layout()
    }

    fn page_capacity(&self) -> Option<usize> {
        self.backend.page_capacity()
    }

    fn vocabulary(&self) -> usize {
        self.backend.vocabulary()
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        self.write(&Entry::Plan(plan.clone()))?;
        self.backend.step(plan)
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        self.write(&Entry::Copies(copies.to_vec()))?;
        self.backend.copy_pages(copies)
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        self.backend.export_page(pool, page)
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        self.write(&Entry::page(pool, page, bytes))?;
        self.backend.import_page(pool, page, bytes)
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        let entry = Entry::Release {
            pool,
            pages: pages.to_vec(),
        };
        if let Err(error) = self.write_line(&entry) {
            self.failed.get_or_insert(error);
        }
        self.backend.release_pages(pool, pages);
    }
}

/// Writes a line.
pub(super) fn write_entry(out: &mut impl Write, line: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// The form of the pages that a log is of.
///
/// # Errors
/// When its first line cannot be read.
pub fn layout_of(path: &Path, mut log: impl BufRead) -> Result<PageLayout, LogError> {
    let mut line = String::new();
    log.read_line(&mut line).map_err(|source| LogError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    parse::<LogHeader>(path, 1, line.trim_end_matches('\n')).map(|header| header.layout)
}

/// Does on `backend`, which has the model of that fingerprint, all that a log says, and returns the output of each step.
///
/// # Errors
/// When the log cannot be read, is of another model or layout, or a step fails.
pub fn replay(
    path: &Path,
    log: impl BufRead,
    backend: &mut dyn Backend,
    fingerprint: &str,
) -> Result<Vec<StepOutput>, LogError> {
    let mut lines = (1..).zip(log.lines()).map(|(number, line)| match line {
        Ok(line) => Ok((number, line)),
        Err(source) => Err(LogError::Io {
            path: path.to_path_buf(),
            source,
        }),
    });
    let (_, header) = lines
        .next()
        .unwrap_or_else(|| Err(wrong_line(path, 1, "it is empty")))?;
    check_header(path, &parse(path, 1, &header)?, backend.layout(), fingerprint)?;
    let mut outputs = Vec::new();
    for line in lines {
        let (number, line) = line?;
        let entry = parse(path, number, &line)?;
        outputs.extend(apply(path, number, entry, backend)?);
    }
    Ok(outputs)
}

fn check_header(
    path: &Path,
    header: &LogHeader,
    layout: &PageLayout,
    fingerprint: &str,
) -> Result<(), LogError> {
    let mismatch = |found: String, expected: String| {
        Err(LogError::Mismatch {
            path: path.to_path_buf(),
            found,
            expected,
        })
    };
    if header.version != VERSION {
        return mismatch(format!("format {}", header.version), format!("format {VERSION}"));
    }
    if header.fingerprint != fingerprint {
        return mismatch(
            format!("model {}", header.fingerprint),
            format!("model {fingerprint}"),
        );
    }
    if header.layout != *layout {
        return mismatch(format!("{:?}", header.layout), format!("{layout:?}"));
    }
    Ok(())
}

fn apply(
    path: &Path,
    line: usize,
    entry: Entry,
    backend: &mut dyn Backend,
) -> Result<Option<StepOutput>, LogError> {
    let done = match entry {
        Entry::Page { pool, page, bytes } => {
            let bytes = from_hexadecimal(&bytes)
                .ok_or_else(|| wrong_line(path, line, "the page is not written in hexadecimal"))?;
            backend.import_page(pool, page, &bytes).map(|()| None)
        }
        Entry::Copies(copies) => backend.copy_pages(&copies).map(|()| None),
        Entry::Plan(plan) => backend.step(&plan).map(Some),
        Entry::Failure { .. } => Ok(None),
        Entry::Release { pool, pages } => {
            backend.release_pages(pool, &pages);
            Ok(None)
        }
    };
    done.map_err(|source| LogError::Backend {
        path: path.to_path_buf(),
        line,
        source,
    })
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path, line: usize, text: &str) -> Result<T, LogError> {
    serde_json::from_str(text).map_err(|error| wrong_line(path, line, &error.to_string()))
}

fn wrong_line(path: &Path, line: usize, reason: &str) -> LogError {
    LogError::Line {
        path: path.to_path_buf(),
        line,
        reason: reason.to_owned(),
    }
}

impl LogHeader {
    pub(super) fn of(layout: &PageLayout, fingerprint: &str) -> LogHeader {
        LogHeader {
            version: VERSION,
            layout: layout.clone(),
            fingerprint: fingerprint.to_owned(),
        }
    }
}

impl Entry {
    pub(super) fn page(pool: PoolKind, page: PageId, bytes: &[u8]) -> Entry {
        Entry::Page {
            pool,
            page,
            bytes: to_hexadecimal(bytes),
        }
    }
}

fn to_hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
