//! What is asked of the engine, and what it answers.

use serde::{Deserialize, Serialize};

use crate::model::TokenId;

/// How the next token is chosen from the logits. The order: penalties, temperature, top-k, top-p, min-p, draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingParameters {
    /// Logits are divided by it; 0 takes the most likely token.
    pub temperature: f32,
    /// Only so many of the most likely tokens are considered; 0 considers all.
    pub top_k: usize,
    /// Only the fewest of the most likely tokens that together have at least this share of the probability that `top_k` leaves are
    /// considered; 1 considers all.
    pub top_p: f32,
    /// Only tokens with at least this share of the most likely one's probability are considered; 0 considers all.
    pub min_p: f32,
    /// Positive logits of tokens that were there before are divided by it, negative ones multiplied; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Subtracted for each time that a token was generated before.
    pub frequency_penalty: f32,
    /// Subtracted when a token was generated before.
    pub presence_penalty: f32,
    /// How many of the last tokens, the prompt's included, `repetition_penalty` looks at; 0 looks at all.
    pub repetition_window: usize,
    /// The seed: the same seed, sample and position draw the same number.
    pub seed: u64,
}

impl Default for SamplingParameters {
    fn default() -> SamplingParameters {
        SamplingParameters {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repetition_window: 0,
            seed: 0,
        }
    }
}

/// A prompt to be continued, once or several times.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The prompt's tokens, at least one.
    pub prompt: Vec<TokenId>,
    /// How many samples are wanted; the prompt is computed once for all.
    pub samples: usize,
    /// How tokens are chosen. Sample `i` is drawn as sequence `i` of the seed.
    pub sampling: SamplingParameters,
    /// The most tokens a sample may have.
    pub max_tokens: usize,
    /// Tokens that end a sample. They are reported, but are not part of its text.
    pub stop_ids: Vec<TokenId>,
    /// Texts that end a sample. They are not part of its text.
    pub stop_strings: Vec<String>,
    /// How many of the most likely tokens are reported with each token; `None` reports no probabilities.
    pub logprobs: Option<usize>,
    /// Whether the prompt's end is kept as a checkpoint for later requests.
    pub keep_prefix: bool,
}

/// Why a sample ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// One of the stop ids was sampled.
    StopId(TokenId),
    /// One of the stop strings was completed.
    StopString(String),
    /// `max_tokens` were sampled.
    Length,
    /// The model's context is full.
    ContextFull,
    /// It was cancelled.
    Cancelled,
    /// The back end failed; the message is for a person.
    Failed(String),
}

/// A token and how likely it was, as the natural logarithm of its probability before penalties, temperature and filters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: TokenId,
    /// The logarithm of its probability.
    pub logprob: f32,
}

/// How likely a sampled token and its rivals were.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// The sampled token.
    pub sampled: TokenLogprob,
    /// The most likely ones, best first.
    pub top: Vec<TokenLogprob>,
}

/// What a sample cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were in the cache already.
    pub cached_tokens: usize,
    /// Tokens sampled, the stop token included.
    pub completion_tokens: usize,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A sample has one more token.
    Token {
        /// Which sample.
        sample: usize,
        /// The token.
        token: TokenId,
        /// The text that is certain by now: whole characters, and nothing that may turn out to belong to a stop string.
        text: String,
        /// How likely it was, when that was asked for.
        logprobs: Option<TokenLogprobs>,
    },
    /// A sample has ended.
    Finished {
        /// Which sample.
        sample: usize,
        /// Text held back until now.
        text: String,
        /// Why.
        reason: FinishReason,
        /// What it cost.
        usage: Usage,
    },
}
