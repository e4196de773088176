//! NVIDIA's driver: which devices there are, why none can be used, and a device that runs launches.
//!
//! The driver's library is loaded when it is asked for, so that one program runs with and without a GPU, a driver or a toolkit.
//! `library` holds the calls of its C interface, and nothing else here is unsafe.

mod discovery;
mod library;

pub use discovery::{ComputeCapability, CudaVersion, Device, Unusable, discover};
