//! A repository and an issue in, the parts of it that a model should read out, within a budget of tokens.
//!
//! What enters is a tree, the text and what failing tests printed; what leaves are excerpts of files, the most telling first, or
//! a whole prompt. On the way: `walk` finds the files, `syntax` reads each, `index` keeps what was read, `query` says what the issue asks
//! for, `rank` orders files and passages by it, `pack` chooses for the budget. Strategies call this room; it calls none of agent's other
//! rooms. It also tells where definitions begin and end.

mod braces;
mod definitions;
mod imports;
mod index;
mod language;
mod lines;
mod mentions;
mod near;
mod pack;
mod paths;
mod query;
mod rank;
mod suspect;
mod syntax;
mod walk;

pub use definitions::{Definition, Kind, definitions, identifier, indent_of, scanned};
pub use index::IndexWork;
pub use language::{Language, Layout, language};
pub use near::{Distance, ImportGraph, Surroundings};
pub use pack::{
    Excerpt, Explanation, Level, Pack, PackOptions, Packed, PackedFile, PartExplanation, RankRequest,
    RankTimes, Ranking, Reason,
};
pub use walk::{LeftOut, LeftOutCounts};

/// The code of a file without what does not change what it does: comments, layout, doc strings, names of locals. Equal for texts that do
/// the same; none for what cannot be read by a grammar.
pub fn canonical_code(path: &str, text: &str) -> Option<String> {
    syntax::canonical(text, language(path)?.grammar?)
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;

#[cfg(test)]
mod index_tests;

#[cfg(test)]
mod pack_tests;
