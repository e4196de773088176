//! NVIDIA GPUs: which there are, and a model on one.
//!
//! A step is a list of launches that depends on its shape only ([`forward`]); what changes from step to step is one array of tokens, positions and
//! pages ([`batch`]). Steps of single tokens are filled up to a few sizes, whose launches are kept as graphs. Nothing waits for the device
//! within a step but for the logits at its end.
//!
//! What a device is, is a matter of [`Accelerator`]: tests run the same on an emulation.

mod arena;
mod backend;
mod batch;
mod forward;
mod matrices;
#[cfg(feature = "gpu-check")]
mod random;
mod workspace;

#[cfg(test)]
mod cuda_tests;

pub use backend::{CudaBackend, CudaOptions};
pub use cwm_kernels::cuda::{
    Accelerator, ComputeCapability, CudaVersion, Device, DeviceError, Unusable, discover,
};
