//! The repository's own tests: how they are run, what they said, and what changed between two runs.
//!
//! What enters is a tree, or a session in a copy of it; what leaves are [`TestCommand`]s, [`TestRun`]s and [`Comparison`]s, of one
//! type whatever the framework; a run may be of chosen tests only, and says so. Rollouts, validation and `cwm rank` call this room; it calls none of agent's other rooms.

mod compare;
mod files;
mod find;
mod interpreter;
mod narrow;
mod parse;
mod prepare;
mod run;
mod select;
mod site;
mod types;
mod verdict;
mod words;

pub use compare::{Comparison, agree, compare};
pub use find::find;
pub use interpreter::python;
pub use narrow::{narrowed, quoted};
pub use run::{RunOptions, put_file, remove_file, run};
pub use select::selectable;
pub use site::{Dialect, Example, Site, alone, dialects, sites};
pub use types::{
    CommandSource, Coverage, Framework, RunEnding, Status, TestCase, TestCommand, TestRun, UNNAMED,
    telling_tests,
};
