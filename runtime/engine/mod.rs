//! Many sequences at once on one back end: continuous batching, chunked prefill, forked samples, cancellation.
//!
//! What enters are requests of token ids; what leaves are events, a token at a time. Words are no matter of the engine's, but for
//! stop strings, for which it is given a decoder.

mod draw;
mod generation;
mod options;
mod output;
mod parameters;
mod penalties;
mod request;
mod sampling;
mod scheduler;
mod sequence;
mod service;
mod shared;
mod stop;

pub use draw::DrawKey;
pub use generation::{Generation, TimedOut};
pub use options::{EngineError, EngineOptions, Statistics};
pub use parameters::ParameterError;
pub use penalties::TokenHistory;
pub use request::{Event, FinishReason, Request, SamplingParameters, TokenLogprob, TokenLogprobs, Usage};
pub use sampling::{Sampler, SamplingError, token_logprobs};
pub use service::Engine;
pub use stop::{Scanned, StopStrings};

#[cfg(test)]
mod endings_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod test_backend;
#[cfg(test)]
mod text_tests;
