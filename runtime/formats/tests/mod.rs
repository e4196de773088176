//! Files made by hand, real files, and files meant to do harm.

pub(crate) mod builder;
mod fuzz;

mod gguf;
mod gguf_hostile;
mod guard;
mod huggingface;
mod huggingface_hostile;
mod real;

use std::path::Path;

use super::{Checkpoint, FormatError, OpenOptions};

/// Opens a model that must open.
fn open(path: &Path) -> Checkpoint {
    try_open(path).unwrap_or_else(|error| panic!("{error}"))
}

fn try_open(path: &Path) -> Result<Checkpoint, FormatError> {
    Checkpoint::open(path, &OpenOptions::default())
}

/// The message of a model that must not open; it must name its file.
fn refusal(path: &Path) -> String {
    let message = match try_open(path) {
        Ok(checkpoint) => panic!("{} opened as {:?}", path.display(), checkpoint.spec),
        Err(error) => error.to_string(),
    };
    assert!(message.contains(&*path.to_string_lossy()), "{message}");
    message
}

/// Whether a message has all of these parts.
#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}
