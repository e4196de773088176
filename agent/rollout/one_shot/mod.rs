//! One answer with edits, applied and tested; what fails is shown to the model for another round.
//!
//! What enters is a problem; what leaves is a candidate. The model is shown the files that matter and answers with SEARCH/REPLACE blocks or
//! with functions written anew, which are read forgivingly: what an answer means is looked up in the files themselves, and when it is
//! not plain, nothing is changed and the model is asked again. Every change goes through the same tools that the turn loop uses.

mod answer;
mod assertions;
mod calls;
mod compare;
mod failures;
mod hide;
mod ladder;
mod matching;
mod plan;
mod prompt;
mod redefine;
mod rounds;
mod say;
mod testing;
mod write_tests;

pub use compare::compare;
pub(super) use failures::output as failing_output;
pub use ladder::{Fixed, ladder};
pub use rounds::attempt;
pub use write_tests::write_tests;
