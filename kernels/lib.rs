//! The arithmetic of model inference, for processors and for NVIDIA GPUs.
//!
//! Empty for now: no kernel has been written, and nothing in the program depends on this crate.
//! What enters will be plain slices and packed weights; what leaves, plain slices. Only `cwm-runtime` may call it.
