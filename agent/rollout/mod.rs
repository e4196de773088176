//! One attempt at an issue: from a problem and a model to one candidate patch.
//!
//! What enters is a [`Problem`], a model and a place for copies; what leaves is a [`Candidate`]. Two strategies with one interface: the
//! turn loop that CWM was trained for ([`agentic`]), and one answer mended by what tests say ([`one_shot`]). Every effect goes through the
//! [`journal`] before it is relied on, so that an attempt that was cut short goes on where it was. `scaling` calls this room.

pub mod agentic;
mod chosen_patch;
mod control;
mod conversation;
pub mod journal;
pub mod one_shot;
mod outputs;
mod packed;
pub mod redact;
mod test_place;
mod tokens;
mod types;
mod whole_issue;

pub use control::{Control, TimeLeft};
pub use types::{
    AttemptOptions, Budget, Candidate, Copies, Ending, Guidance, Problem, RolloutError, Strategy,
    TESTS_SAMPLE, Task, TestFile, Workbench, WrittenTest, writes_tests,
};
