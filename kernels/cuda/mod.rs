//! Kernels for NVIDIA GPUs: what they are called, what they are given, and how they are launched.
//!
//! The kernels are device code only, in the `.cu` files beside this one; `scripts/build-cuda-kernels` compiles them to the artefacts in
//! `prebuilt`, which are embedded here, so that nobody needs a CUDA compiler. What enters are device pointers and shapes; what leaves are
//! [`Launch`]es, plain data. An [`Accelerator`] runs them: a [`Gpu`], or the emulation in [`emulate`], which tests use. Each kernel takes one
//! struct, whose layout here is the same as in its source.

mod accelerator;
mod artefact;
mod attention;
#[cfg(feature = "checks")]
pub mod checks;
mod driver;
mod elementwise;
#[cfg(feature = "emulate")]
pub mod emulate;
mod launch;
mod norm;
mod pages;
mod products;
mod repack;
mod rope;
mod sampling;

pub use accelerator::{Accelerator, DeviceError, Graph, Mark, RecordedLaunch};
pub use artefact::Artefact;
pub use attention::{
    AttentionTile, DecodeArguments, MergeArguments, PREFILL_ROWS, PrefillArguments, SPLIT_TOKENS,
    decode_tile_rows, splits_seen,
};
pub use driver::{
    ComputeCapability, CudaVersion, Device, Gpu, MatrixLibrary, MatrixLibraryUse, NoMatrixLibrary, Unusable,
    discover, find_matrix_library,
};
pub use elementwise::{CopyArguments, EmbeddingArguments, GateArguments, SAMPLED_TOKEN};
pub use launch::{DevicePointer, Kernel, Launch, RawLaunch, ShapeError};
pub use norm::{NormArguments, NormOutput};
pub use pages::{CudaKvElement, CudaPages, PAGE_TOKENS};
pub use products::{DequantiseArguments, ProductArguments, SKINNY_ROWS, Store, WeightFormat, Weights};
pub use repack::{Planes, planes_of_q6_k, planes_of_q8_0};
pub use rope::RopeArguments;
pub use sampling::{NO_TOKEN, PenaltyArguments, SampleArguments, SampleRow};
