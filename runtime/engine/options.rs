//! How an engine runs, what it counts, and why it refuses a request.

use std::time::Duration;

use crate::cache::CacheRefusal;
use crate::engine::ParameterError;
use crate::model::TokenId;

/// How an engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// The most tokens that a prompt and its answer may have together.
    pub context: usize,
    /// The most prompt tokens a step, shared by all prompts that are computed: more is faster, less keeps running sequences from
    /// waiting.
    pub prefill_chunk: usize,
    /// The most sequences a step.
    pub max_batch: usize,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            context: 4096,
            prefill_chunk: 256,
            max_batch: 16,
        }
    }
}

/// What an engine has done since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Steps of the back end.
    pub steps: u64,
    /// Tokens that were computed to continue a prompt, or once more after a sequence had lost its place.
    pub prefill_tokens: u64,
    /// Tokens that were computed one at a time, each for the next one.
    pub decode_tokens: u64,
    /// Prompt tokens that the cache had already.
    pub cached_tokens: u64,
    /// How often a sequence lost its place in the cache to an older one.
    pub preemptions: u64,
    /// Time in the back end.
    pub backend_time: Duration,
    /// Time in steps outside of the back end: planning, sampling, text.
    pub other_time: Duration,
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// There is nothing to continue.
    #[error("the prompt is empty; it needs at least one token")]
    EmptyPrompt,
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt} tokens, but the context is {context} tokens, the answer included; shorten it, or ask for a longer context"
    )]
    PromptTooLong {
        /// The prompt's length.
        prompt: usize,
        /// The context.
        context: usize,
    },
    /// A token that the model does not know.
    #[error(
        "token {token} of the prompt is not in the model's vocabulary of {vocabulary} tokens; was it encoded for another model?"
    )]
    UnknownToken {
        /// The token.
        token: TokenId,
        /// How many there are.
        vocabulary: usize,
    },
    /// Too few or too many samples.
    #[error("{samples} samples are asked for, but there must be from 1 to {most}")]
    Samples {
        /// How many were asked for.
        samples: usize,
        /// The most there may be.
        most: usize,
    },
    /// No token may be sampled.
    #[error("max_tokens is 0; at least one token must be allowed")]
    NoTokens,
    /// A sampling parameter is out of range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A stop string that every text contains.
    #[error("a stop string is empty; it would end every answer at once")]
    EmptyStopString,
    /// Stop strings without text to find them in.
    #[error("stop strings are asked for, but the model has no tokenizer that would give text; use stop ids")]
    NoTokenizer,
    /// The request does not fit the memory for the cache, even alone.
    #[error(transparent)]
    Memory(#[from] CacheRefusal),
    /// The engine does not run.
    #[error("the engine does not run: {0}")]
    Stopped(String),
}
