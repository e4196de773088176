//! Everything that is known of the candidates of one issue, gathered in the form that rankings go by, and what of it is proof.

mod matrix;
mod proof;
mod signs;

pub use matrix::{Base, Case, Heard, Matrix};
pub use proof::{MIN_EVIDENCE, Proof};
