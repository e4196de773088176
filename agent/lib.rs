//! The program: a coding agent whose patches are proven by tests.

pub mod cli;
pub mod context;
pub mod prompts;
pub mod rollout;
pub mod scaling;
pub mod suite;
