//! Another implementation to compare with: what `cwm model verify` asks.
//!
//! What enters are an opened checkpoint, a back end that runs it, and tokens; what leaves is how far the logits are apart.

mod candle;
mod compare;

pub use candle::{Oracle, OracleError};
pub use compare::{CompareError, compare};

#[cfg(test)]
mod compare_tests;
