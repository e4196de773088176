//! From weights on disk to tokens; knows nothing of repositories or tools.
//!
//! Rooms, each calling only those before it: `model` (a model as data), `formats` (files in), `text` (words to tokens and back),
//! `cache` (KV pages without tensors), `backend` (running a step), `engine` (many sequences at once), `source` (what the agent sees);
//! and, beside them, `catalogue` (which models can be had, and how they come) and `memory` (what a model takes on a device)
//! and `comparison` (how far two computations of a text are apart). `gpu_check` is what the program of that name does, behind a feature.
//! Only the agent may call this crate, and it may call only `cwm-kernels`.

pub mod backend;
pub mod cache;
pub mod catalogue;
pub mod comparison;
pub mod engine;
pub mod formats;
#[cfg(feature = "gpu-check")]
pub mod gpu_check;
pub mod memory;
pub mod model;
#[cfg(feature = "candle")]
pub mod oracle;
pub mod source;
pub mod speed;
pub mod text;

mod retry;
#[cfg(test)]
mod test_device;
#[cfg(test)]
mod test_models;
#[cfg(test)]
mod test_random;
#[cfg(test)]
mod test_server;
