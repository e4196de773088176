//! NVIDIA GPUs. What is here finds them and says what they are, or why none can be used; no model runs on them yet.
//!
//! The driver's library is loaded when it is asked for, so that one program runs with and without a GPU, a driver or a toolkit.
//! `driver` holds the calls of its C interface, and nothing else here is unsafe.

mod device;
mod driver;

pub use device::{ComputeCapability, CudaVersion, Device, Unusable, discover};
