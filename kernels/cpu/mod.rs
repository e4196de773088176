//! Kernels for processors. Each has a scalar version, which is the definition, and vector versions for the instruction sets in
//! [`Isa`], which give the very same bits: every output is one fixed sequence of roundings, whatever runs beside it.

mod isa;
mod pool;

pub use isa::Isa;
pub use pool::ThreadPool;
