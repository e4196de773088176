//! The sandbox.

pub mod policy;
