//! One sample of a request, from its prompt to its last token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::cache::SequenceCache;
use crate::engine::output::SampleText;
use crate::engine::sampling::Sampler;
use crate::engine::{Event, FinishReason, Request, SamplingError, TokenHistory, Usage, token_logprobs};
use crate::model::TokenId;

/// A request that was taken, shared by its samples.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) request: Request,
    pub(super) events: Sender<Event>,
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Submission {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// A caller who has gone does not need the event: its request is about to be cancelled.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A sample. What it still has to compute are its tokens behind those in the cache: the rest of its prompt, its last token, or
/// everything anew after it lost its place; for the engine these are the same.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) submission: Arc<Submission>,
    /// For the plan.
    pub(super) id: u64,
    /// Which sample of its request.
    pub(super) sample: usize,
    /// The prompt and what was sampled.
    pub(super) tokens: Vec<TokenId>,
    /// Its pages, unless it waits.
    pub(super) cache: Option<SequenceCache>,
    /// How many samples are still to be made of it once its prompt is computed, itself not counted.
    pub(super) to_fork: usize,
    /// Prompt tokens that were in the cache when it began.
    pub(super) cached_tokens: Option<usize>,
    history: TokenHistory,
    text: SampleText,
    ended: bool,
}

/// Whether a sample goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It wants its next token.
    Running,
    /// It has ended and said so.
    Finished,
}

impl Sequence {
    /// The first sample of a request.
    pub(super) fn new(submission: Submission, id: u64, text: SampleText) -> Sequence {
        let request = &submission.request;
        Sequence {
            id,
            sample: 0,
            tokens: request.prompt.clone(),
            cache: None,
            to_fork: request.samples.saturating_sub(1),
            cached_tokens: None,
            history: TokenHistory::new(&request.sampling, &request.prompt),
            text,
            ended: false,
            submission: Arc::new(submission),
        }
    }

    /// Another sample, when only the prompt has been computed.
    pub(super) fn fork(&self, id: u64, sample: usize, text: SampleText) -> Sequence {
        Sequence {
            submission: Arc::clone(&self.submission),
            id,
            sample,
            tokens: self.tokens.clone(),
            cache: None,
            to_fork: 0,
            cached_tokens: self.cached_tokens,
            history: self.history.clone(),
            text,
            ended: false,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.submission.request
    }

    /// How many of its tokens are in the cache.
    pub(super) fn computed(&self) -> usize {
        self.cache.as_ref().map_or(0, SequenceCache::len)
    }

    /// How many tokens it has to compute before it can sample.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed().min(self.tokens.len())
    }

    /// How many tokens were sampled.
    pub(super) fn sampled(&self) -> usize {
        self.tokens.len() - self.request().prompt.len()
    }

    /// Whether its end was reported.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.request().prompt.len(),
            cached_tokens: self.cached_tokens.unwrap_or(0),
            completion_tokens: self.sampled(),
        }
    }

    /// Samples the next token from the logits of the last, and reports it.
    pub(super) fn advance(&mut self, sampler: &mut Sampler, logits: &[f32], context: usize) -> Progress {
        match self.sample(sampler, logits) {
            Ok(token) => self.report(token, logits, context),
            Err(error) => {
                self.end(FinishReason::Failed(error.to_string()));
                Progress::Finished
            }
        }
    }

    fn sample(&self, sampler: &mut Sampler, logits: &[f32]) -> Result<TokenId, SamplingError> {
        let parameters = &self.request().sampling;
        sampler.sample(logits, parameters, &self.history, self.sample, self.tokens.len())
    }

    fn report(&mut self, token: TokenId, logits: &[f32], context: usize) -> Progress {
        self.tokens.push(token);
        self.history.push(token);
        let stops = self.request().stop_ids.contains(&token);
        let scanned = if stops {
            self.text.nothing()
        } else {
            self.text.push(token)
        };
        let logprobs = self
            .request()
            .logprobs
            .map(|top| token_logprobs(logits, token, top));
        self.submission.send(Event::Token {
            sample: self.sample,
            token,
            text: scanned.text,
            logprobs,
        });
        let reason = if stops {
            FinishReason::StopId(token)
        } else if let Some(stop) = scanned.stopped {
            FinishReason::StopString(stop)
        } else if self.sampled() >= self.request().max_tokens {
            FinishReason::Length
        } else if self.tokens.len() >= context {
            FinishReason::ContextFull
        } else {
            return Progress::Running;
        };
        self.end(reason);
        Progress::Finished
    }

    /// Reports the end of the sample, and of those that were to be forked from it.
    pub(super) fn end(&mut self, reason: FinishReason) {
        self.ended = true;
        let held = self.text.finish();
        let reason = held.stopped.map_or(reason, FinishReason::StopString);
        let usage = self.usage();
        for sample in self.sample..=self.sample + self.to_fork {
            self.submission.send(Event::Finished {
                sample,
                text: held.text.clone(),
                reason: reason.clone(),
                usage,
            });
        }
    }
}
