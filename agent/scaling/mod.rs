//! Many attempts at one issue: sampled, validated in fresh copies, ranked by what tests say, and reported.
//!
//! What enters is a problem and a model; what leaves is the candidate that was chosen and the evidence for it. The command line calls
//! this room, and `cwm rank` calls its validation alone.

mod baseline;
mod decide;
mod early;
mod form;
mod inline;
mod issue_tests;
mod judge;
mod matrix;
mod measure;
mod pass;
mod proof;
mod ranking;
mod runners;
mod screen;
mod side_by_side;
mod signs;
mod solve;
mod tampering;
#[cfg(test)]
mod testing;
mod trials;
mod validate;
mod writers;

pub use baseline::{Baseline, baseline};
pub use decide::{Decision, decide};
pub use issue_tests::{IssueTest, Stand};
pub use judge::{failing_before, name_some};
pub use matrix::{Base, Case, Heard, Matrix};
pub use measure::Measure;
pub use proof::{MIN_EVIDENCE, Proof};
pub use ranking::{
    CandidateEvidence, Cell, Cells, EVIDENCE_SCHEMA, Evidence, Place, Rule, Sign, TestColumn, TestSource,
    Weights, order,
};
pub use solve::{Attempted, Outcome, Plan, SolveError, name, solve};
pub use trials::Trials;
pub use validate::{TEST_BUDGET, ValidateError, ValidateOptions};
pub use writers::Hearing;
