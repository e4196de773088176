//! Many attempts at one issue: sampled, validated in fresh copies, ranked by what tests say, and reported.
//!
//! What enters is a problem and a model; what leaves is the candidate that was chosen and the evidence for it. The command line calls
//! this room, and `cwm rank` calls its validation alone.

mod decide;
mod early;
mod evidence;
mod issue_tests;
mod outcome;
mod ranking;
mod side_by_side;
mod solve;
#[cfg(test)]
mod testing;
mod validation;
mod writers;

pub use decide::{Decision, decide};
pub use evidence::{Base, Case, Heard, MIN_EVIDENCE, Matrix, Proof};
pub use issue_tests::{IssueTest, Stand};
pub use outcome::{Attempted, Outcome, SolveError};
pub use ranking::{
    CandidateEvidence, Cell, Cells, EVIDENCE_SCHEMA, Evidence, Place, Rule, Sign, TestColumn, TestSource,
    Weights, order,
};
pub use solve::{Plan, name, solve};
pub use validation::{
    Baseline, Measure, TEST_BUDGET, Trials, ValidateError, ValidateOptions, baseline, failing_before,
    name_some,
};
pub use writers::Hearing;
