//! A repository and an issue in, the parts of it that a model should read out, within a budget of tokens.
//!
//! What enters is a snapshot's tree, the text and what failing tests printed; what leaves are excerpts of files, the most
//! telling first. Strategies call this room; it calls none of agent's other rooms. It also tells where definitions begin and end.

mod braces;
mod cut;
mod definitions;
mod imports;
mod language;
mod mentions;
mod pack;
mod rank;
mod suspect;
pub mod syntax;
mod walk;

pub use definitions::{Definition, Kind, definitions, identifier, indent_of, scanned};
pub use language::{Language, Layout, language};
pub use pack::{Excerpt, PackRequest, Packed, Ranking, pack};

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
