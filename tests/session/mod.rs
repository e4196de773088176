//! The session against what real commands, and hostile ones, do to a shell: each test runs a real bash in a real sandbox.

mod ending;
pub(crate) mod harness;
mod input;
mod output;
mod overhead;
mod processes;
mod property;
mod state;
mod text;
mod tools;
