//! The vocabulary that a pack is counted in, opened when the first text has to be counted: what was counted before needs none.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use cwm_runtime::formats::TokenizerSource;
use cwm_runtime::text::Tokenizer;

use crate::cli::{ExitCode, Failure};

/// Bytes of a token where the vocabulary failed, until that is told.
const TOKEN_BYTES: usize = 3;

/// A vocabulary that may not be open yet.
pub(super) struct Vocabulary {
    path: PathBuf,
    opened: OnceCell<Option<Tokenizer>>,
    failure: RefCell<Option<Failure>>,
}

impl Vocabulary {
    pub(super) fn of(path: PathBuf) -> Vocabulary {
        Vocabulary {
            path,
            opened: OnceCell::new(),
            failure: RefCell::default(),
        }
    }

    /// What tells it from others: its file, with size and time; none where these are not known.
    pub(super) fn identity(&self) -> Option<String> {
        let file = TokenizerSource::file(&self.path);
        let metadata = std::fs::metadata(&file).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let path = std::fs::canonicalize(&file).ok()?;
        let (bytes, time) = (metadata.len(), modified.as_nanos());
        Some(format!("{} {bytes} {time}", path.display()))
    }

    /// The tokens of a text.
    pub(super) fn count(&self, text: &str) -> usize {
        let tokenizer = self.opened.get_or_init(|| match open(&self.path) {
            Ok(tokenizer) => Some(tokenizer),
            Err(failure) => {
                self.failure.replace(Some(failure));
                None
            }
        });
        let counted = tokenizer.as_ref().map(|tokenizer| tokenizer.encode(text));
        match counted {
            Some(Ok(tokens)) => tokens.len(),
            Some(Err(error)) => {
                let message = format!(
                    "The vocabulary of {} cannot count a text: {error}.",
                    self.path.display()
                );
                self.failure
                    .replace(Some(Failure::new(ExitCode::Environment, message)));
                text.len() / TOKEN_BYTES
            }
            None => text.len() / TOKEN_BYTES,
        }
    }

    /// What went wrong, after all was counted.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

fn open(path: &Path) -> Result<Tokenizer, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(ExitCode::Environment, format!("{error}."));
    let source = TokenizerSource::read(path).map_err(|error| failed(&error))?;
    Tokenizer::new(&source).map_err(|error| {
        let message = format!("The vocabulary of {} cannot be used: {error}.", path.display());
        Failure::new(ExitCode::Environment, message)
    })
}
