//! What can be wrong with a model's files.

use std::path::{Path, PathBuf};

/// Why a model could not be opened: which file, which tensor, what is wrong and, where something can be done, what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Nothing there that looks like a model.
    #[error("{} is not a model that can be opened: {reason}", path.display())]
    NotAModel {
        /// The file or folder.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The file contradicts its own format, or itself.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// A sound file of a model that this program does not run.
    #[error("{} is not supported: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it needs.
        reason: String,
    },
    /// One tensor is missing, misplaced, misshapen, of an unknown type, or holds values that no model has.
    #[error("{}: tensor {tensor}: {reason}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name, shortened and escaped.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that calls itself a plain llama but is the Code World Model, and does not say which of its layers slide.
    #[error(
        "{} says it is a plain llama, but it is the Code World Model ({why}): three quarters of its layers attend to a sliding window, \
         and running them with full attention would be wrong for every text longer than the window. Give its layer types: put the \
         model's whole config.json beside the file, or name it: --layer-types config.json",
        path.display()
    )]
    CwmWithoutLayerTypes {
        /// The file.
        path: PathBuf,
        /// How it was recognised.
        why: String,
    },
}

impl FormatError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> FormatError {
        FormatError::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn not_a_model(path: &Path, reason: impl Into<String>) -> FormatError {
        FormatError::NotAModel {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> FormatError {
        FormatError::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(path: &Path, reason: impl Into<String>) -> FormatError {
        FormatError::Unsupported {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn tensor(path: &Path, tensor: &str, reason: impl Into<String>) -> FormatError {
        FormatError::Tensor {
            path: path.to_owned(),
            tensor: shown(tensor),
            reason: reason.into(),
        }
    }
}

/// A string from a file as messages show it: in quotes, escaped, and cut when long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
