//! The program: a coding agent whose patches are proven by tests.

pub mod cli;
pub mod prompts;
