//! NVIDIA GPUs. What is here finds them and says what they are, or why none can be used; no model runs on them yet.

pub use cwm_kernels::cuda::{ComputeCapability, CudaVersion, Device, Unusable, discover};
