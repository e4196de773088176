//! Kernels for processors. Each has a scalar version, which is the definition, and vector versions for the instruction sets in
//! [`Isa`], which give the very same bits: every output is one fixed sequence of roundings, whatever runs beside it.

mod activations;
mod attention;
mod disjoint;
mod elementwise;
mod exp;
mod float_matmul;
mod isa;
mod lanes;
mod limits;
mod matmul;
mod norm;
mod packed;
mod pages;
mod pool;
mod rope;

pub use activations::Activations;
pub use attention::{AttentionCall, AttentionSequence, attention};
pub use elementwise::{add, silu_multiply};
pub use float_matmul::FloatMatrix;
pub use isa::Isa;
pub use limits::{int8_peak, read_bandwidth};
pub use matmul::{Matrix, Product, matmul};
pub use norm::rms_norm;
pub use packed::PackedMatrix;
pub use pages::{KvPages, write_key_value};
pub use pool::ThreadPool;
pub use rope::{RopePairs, rope};
