//! Words to tokens and back.
//!
//! What enters are a model's vocabulary and chat template, texts and conversations; what leaves are token ids, and text in whole
//! characters. Special tokens come from chat formats only: a text that contains their names is encoded as the characters that it is.

mod byte_pairs;
mod bytes;
mod chat;
mod conversation;
mod cwm;
mod error;
mod hugging_face;
mod merge;
mod python;
mod sentence_piece;
mod sentinel;
mod split;
mod stream;
mod template;
mod templated;
mod tiktoken;
mod tokenizer;
mod values;
mod vocabulary;

pub use chat::ChatFormat;
pub use conversation::{Call, Message, SampledPart, Tool};
pub use error::TextError;
pub use stream::StreamDecoder;
pub use tokenizer::Tokenizer;

#[cfg(test)]
mod chat_tests;
#[cfg(test)]
mod sampled_tests;
#[cfg(test)]
mod test_files;
#[cfg(test)]
mod tokenizer_tests;
#[cfg(test)]
mod tools_tests;
