//! Kernels for processors. Each has a scalar version, which is the definition, and vector versions for the instruction sets in
//! [`Isa`], which give the very same bits: every output is one fixed sequence of roundings, whatever runs beside it.

mod attention;
mod elementwise;
mod exp;
mod isa;
mod lanes;
mod norm;
mod pages;
mod pool;
mod rope;

pub use attention::{AttentionCall, AttentionSequence, attention};
pub use elementwise::{add, silu_multiply};
pub use isa::Isa;
pub use norm::rms_norm;
pub use pages::{KvPages, write_key_value};
pub use pool::ThreadPool;
pub use rope::{RopePairs, rope};
