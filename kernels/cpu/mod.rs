//! Kernels for processors. Each has a scalar version, which is the definition, and vector versions for the instruction sets in
//! [`Isa`], which give the very same bits: every output is one fixed sequence of roundings, whatever runs beside it.

mod activations;
mod disjoint;
mod float_matmul;
mod isa;
mod matmul;
mod packed;
mod pool;

pub use activations::Activations;
pub use float_matmul::FloatMatrix;
pub use isa::Isa;
pub use matmul::{Matrix, Product, matmul};
pub use packed::PackedMatrix;
pub use pool::ThreadPool;
