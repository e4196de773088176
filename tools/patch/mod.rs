//! Git diffs in and out.

pub mod manifest;
