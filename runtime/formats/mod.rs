//! Model files in, one description of a model and its tensors out.
//!
//! What enters are paths to GGUF files and Hugging Face folders, which may be damaged or hostile; what leaves is a [`Checkpoint`]
//! whose every number and tensor has been checked against the others. Files are memory-mapped; no tensor is copied here.

mod checkpoint;
mod error;
mod gguf;
mod huggingface;
mod layer_types;
mod limits;
mod open;
mod packed;
mod special_tokens;
mod tensor;
mod values;
mod vocabulary;

pub use checkpoint::{Checkpoint, GenerationDefaults, GgufVocabulary, TokenizerSource};
pub use error::FormatError;
pub use layer_types::LayerTypes;
pub use open::{OpenOptions, describe};
pub(crate) use packed::{Conversion, Wrong, row_chunks};
pub use packed::{QuantiseError, Quantised, quantise};
pub use tensor::{MappedFile, Tensor};

#[cfg(test)]
pub(crate) mod tests;
