//! A GPU as the driver's calls make it, against a library that plays the driver (`driver.c`), and products of many rows as cublasLt's calls
//! make them, against one that plays that (`matrix_library.c`).
//!
//! The libraries have to be the first that the loader finds, so each test runs its own program again, with the environment for that.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod failures;
mod launches;
mod library_failures;
mod matrix_library;
mod memory;
mod support;
