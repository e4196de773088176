//! A vocabulary by itself, for those who count tokens and need no weights.

use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, TokenizerSource};
use super::error::FormatError;
use super::huggingface::{LARGEST_VOCABULARY, Words, is_tiktoken, read_file};
use super::open::OpenOptions;

impl TokenizerSource {
    /// The vocabulary of a model's files, or a file of its own: `tokenizer.json`, or Llama 3's `tokenizer.model`.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read; the message names the file.
    pub fn read(path: &Path) -> Result<TokenizerSource, FormatError> {
        if path.is_dir() {
            return match Words::new(path).tokenizer()? {
                TokenizerSource::None => Ok(Checkpoint::open(path, &OpenOptions::default())?.tokenizer),
                own => Ok(own),
            };
        }
        let extension = path.extension().unwrap_or_default();
        if extension == "gguf" || extension == "safetensors" {
            return Ok(Checkpoint::open(path, &OpenOptions::default())?.tokenizer);
        }
        let bytes = read_file(path, LARGEST_VOCABULARY)?;
        if is_tiktoken(&bytes) {
            return Ok(TokenizerSource::Tiktoken(bytes));
        }
        if extension == "json" {
            return Ok(TokenizerSource::HuggingFace {
                tokenizer: bytes,
                config: None,
            });
        }
        Err(FormatError::unsupported(
            path,
            "it is neither a tokenizer.json, nor Llama 3's tokenizer.model, nor a model",
        ))
    }

    /// The file that [`TokenizerSource::read`] reads the vocabulary from, as far as that is known without reading it.
    #[must_use]
    pub fn file(path: &Path) -> PathBuf {
        let mut own = ["tokenizer.json", "tokenizer.model"]
            .into_iter()
            .map(|name| path.join(name));
        own.find(|file| file.exists()).unwrap_or_else(|| path.to_owned())
    }
}
