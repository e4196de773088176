//! Tests of the command line itself.

mod completions;
mod config;
pub(crate) mod context;
mod doctor;
mod gpu;
mod help;
mod kill;
mod models;
mod quantize;
mod runs;
mod streams;
mod view;
