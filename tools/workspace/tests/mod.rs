//! Snapshots and attempts of real repositories; git itself is the judge.

mod attempts;
mod contents;
mod environment;
mod fixture;
mod history;
mod kinds;
mod run_folders;
mod run_lives;
