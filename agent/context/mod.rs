//! A repository and an issue in, the parts of it that a model should read out, within a budget of tokens.
//!
//! What enters is a snapshot's tree, the text and what failing tests printed; what leaves are excerpts of files, the most
//! telling first. Strategies call this room; it calls none of agent's other rooms.

mod braces;
mod definitions;
mod language;
mod pack;

pub use definitions::{Definition, definitions, identifier, indent_of};
pub use language::{Language, Layout, language};
pub use pack::{Excerpt, PackRequest, Packed, pack};
