//! Many attempts at one issue: sampled, validated in fresh copies, ranked by what tests say, and reported.
//!
//! What enters is a problem and a model; what leaves is the candidate that was chosen and the evidence for it. The command line calls
//! this room, and `cwm rank` calls its validation alone.

mod baseline;
mod choose;
mod inline;
mod issue_tests;
mod judge;
mod measure;
mod pass;
mod ranking;
mod runners;
mod solve;
mod tampering;
#[cfg(test)]
mod testing;
mod validate;

pub use baseline::{Baseline, baseline};
pub use choose::{Ranked, rank};
pub use judge::{failing_before, name_some};
pub use measure::Measure;
pub use solve::{Attempted, Outcome, Plan, SolveError, name, solve};
pub use validate::{ValidateError, ValidateOptions, validate};
