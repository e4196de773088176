//! Tests of the command line itself.

mod completions;
mod context;
mod doctor;
mod help;
mod kill;
mod streams;
