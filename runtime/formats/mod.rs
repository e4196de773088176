//! Model files in, one description of a model and its tensors out.
//!
//! What enters are paths to GGUF files and Hugging Face folders, which may be damaged or hostile; what leaves is a [`Checkpoint`]
//! whose every number and tensor has been checked against the others. Files are memory-mapped; no tensor is copied here.

mod checkpoint;
mod tensor;

pub use checkpoint::{Checkpoint, GenerationDefaults, GgufVocabulary, TokenizerSource};
pub use tensor::{MappedFile, Tensor};
