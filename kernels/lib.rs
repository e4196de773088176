//! The arithmetic of model inference, on plain slices.
//!
//! What enters are weights in the types that files store, activations and pages of a KV cache; what leaves are slices of f32.
//! Nothing here knows of models, files or tokens. Only `cwm-runtime` may call it.

pub mod blocks;
pub mod cpu;
pub mod cuda;
mod element;

pub use element::{ElementType, KvElement};
