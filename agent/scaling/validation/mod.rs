//! What becomes of a patch in a fresh copy, by the tests that the user has: before anything is changed, with the patch, and what that says.
//!
//! In: copies of a repository, test commands, patches. Out: a baseline and a verdict a patch. Nothing here knows how patches come to be or how
//! they are ranked.

mod baseline;
mod form;
mod inline;
mod judge;
mod measure;
mod pass;
mod runners;
mod screen;
mod tampering;
mod trials;
mod validate;

pub use baseline::{Baseline, baseline};
pub(super) use form::{Form, form};
pub use judge::{failing_before, name_some};
pub use measure::Measure;
pub(super) use measure::file_is_test;
pub use trials::Trials;
pub use validate::{TEST_BUDGET, ValidateError, ValidateOptions};
