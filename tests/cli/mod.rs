//! Tests of the command line itself.

mod completions;
pub(crate) mod context;
mod doctor;
mod help;
mod kill;
mod models;
mod runs;
mod streams;
