//! Every kernel, emulated on the host from the same launch that a device gets: the checks that a GPU runs too, with the threads of each
//! launch in several orders. And what is of the emulation only.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod artefacts;
mod checks;
mod faults;
mod refusals;
mod speed;
mod support;
