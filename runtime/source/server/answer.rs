//! The samples of one answer, put together as their pieces come.

use std::ops::ControlFlow;

use super::chunk::{Choice, Chunk, WireCall, WireUsage};
use crate::engine::{TokenLogprobs, Usage};
use crate::model::TokenId;
use crate::source::{Completion, Piece, StopReason, ToolCall};

/// More calls than any answer has; those behind are left out.
const MOST_CALLS: usize = 256;

/// One sample so far.
#[derive(Debug, Default)]
struct Sample {
    text: String,
    tokens: Vec<TokenId>,
    reason: Option<StopReason>,
    /// The calls, each with the number that the server gives it.
    calls: Vec<(usize, ToolCall)>,
    /// Pieces with text and fragments of calls: about as many as tokens, for servers that count none.
    pieces: usize,
}

/// All samples so far.
#[derive(Debug)]
pub(super) struct Answer {
    /// The number that the first of them has in the whole request.
    first: usize,
    samples: Vec<Sample>,
    usage: Option<WireUsage>,
    /// The server said that this is all.
    pub(super) done: bool,
}

impl Answer {
    /// An answer of `samples` samples, none of which has begun.
    pub(super) fn new(first: usize, samples: usize) -> Answer {
        Answer {
            first,
            samples: std::iter::repeat_with(Sample::default).take(samples).collect(),
            usage: None,
            done: false,
        }
    }

    /// Takes a chunk and hands its pieces to the sink.
    pub(super) fn take(
        &mut self,
        chunk: Chunk,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        for choice in &chunk.choices {
            // More samples than were asked for are nobody's.
            let Some(sample) = self.samples.get_mut(choice.index) else {
                continue;
            };
            if let Some(reason) = &choice.finish_reason {
                sample.reason = Some(match reason.as_str() {
                    "length" => StopReason::Length,
                    "abort" | "cancelled" => StopReason::Cancelled,
                    _ => StopReason::Stop,
                });
            }
            for fragment in choice.calls() {
                sample.pieces += 1;
                sample.take_call(fragment);
            }
            let number = self.first + choice.index;
            let mut pieces = pieces(choice, number);
            // A model that thinks or calls says nothing; the sink is asked all the same.
            if pieces.is_empty() {
                pieces.push(Piece {
                    sample: number,
                    ..Piece::heartbeat()
                });
            }
            for piece in pieces {
                sample.pieces += usize::from(!piece.text.is_empty());
                sample.text.push_str(&piece.text);
                sample.tokens.extend(piece.token);
                sink(piece)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether any text or call has come, so that a repetition would say it twice.
    pub(super) fn has_begun(&self) -> bool {
        self.samples.iter().any(Sample::has_begun)
    }

    /// Whether every sample has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.samples.iter().all(|sample| sample.reason.is_some())
    }

    /// How many characters have come, those of calls included.
    pub(super) fn characters(&self) -> usize {
        let texts = self.samples.iter().flat_map(|sample| {
            let arguments = sample.calls.iter().map(|(_, call)| &call.arguments);
            arguments.chain([&sample.text])
        });
        texts.map(|text| text.chars().count()).sum()
    }

    /// How many samples, from the first on, are whole; `None` when one was begun and not ended.
    pub(super) fn whole(&self) -> Option<usize> {
        let ended = |sample: &&Sample| sample.reason.is_some();
        let whole = self.samples.iter().take_while(ended).count();
        let rest_is_fresh = self.samples.iter().skip(whole).all(|sample| !sample.has_begun());
        let rest_is_open = self
            .samples
            .iter()
            .skip(whole)
            .all(|sample| sample.reason.is_none());
        (rest_is_fresh && rest_is_open).then_some(whole)
    }

    /// The first `count` samples as completions; those that have not ended count as cancelled.
    pub(super) fn completions(self, count: usize) -> Vec<Completion> {
        let total = self.usage.as_ref().map(WireUsage::total);
        let shares = shares(total.map(|usage| usage.completion_tokens), &self.samples);
        let with_usage = self.samples.into_iter().zip(shares).take(count);
        with_usage
            .map(|(sample, completion_tokens)| Completion {
                text: sample.text,
                tokens: sample.tokens,
                reason: sample.reason.unwrap_or(StopReason::Cancelled),
                usage: Usage {
                    completion_tokens,
                    ..total.unwrap_or_default()
                },
                calls: sample.calls.into_iter().map(|(_, call)| call).collect(),
            })
            .collect()
    }
}

impl Sample {
    fn has_begun(&self) -> bool {
        !self.text.is_empty() || !self.tokens.is_empty() || !self.calls.is_empty()
    }

    /// Puts a fragment to its call. Without a number an id that is new begins another.
    fn take_call(&mut self, fragment: &WireCall) {
        let id = fragment.id.as_deref().unwrap_or_default();
        let last = self.calls.last();
        let number = fragment.index.unwrap_or_else(|| match last {
            Some((number, call)) if id.is_empty() || call.id == id => *number,
            Some((number, _)) => number.saturating_add(1),
            None => 0,
        });
        let place = self.calls.iter().position(|(known, _)| *known == number);
        let place = place.unwrap_or(self.calls.len());
        if place == self.calls.len() && place < MOST_CALLS {
            let call = ToolCall {
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
            };
            self.calls.push((number, call));
        }
        let Some((_, call)) = self.calls.get_mut(place) else {
            return;
        };
        if call.id.is_empty() {
            call.id = id.to_owned();
        }
        // Some servers name the tool again in each fragment.
        if call.name != fragment.name() {
            call.name.push_str(fragment.name());
        }
        call.arguments.push_str(&fragment.arguments());
    }

    fn length(&self) -> usize {
        self.tokens.len().max(self.pieces)
    }
}

/// Servers count the tokens of all samples together: each gets a share after its number of pieces, and the sum is the server's.
fn shares(total: Option<usize>, samples: &[Sample]) -> Vec<usize> {
    let lengths: Vec<usize> = samples.iter().map(Sample::length).collect();
    let sum: usize = lengths.iter().sum();
    let Some(total) = total.filter(|_| sum > 0 || samples.len() == 1) else {
        return lengths;
    };
    let share = |length: &usize| (total as u128 * *length as u128 / sum.max(1) as u128) as usize;
    let mut shares: Vec<usize> = lengths.iter().map(share).collect();
    let rest = total.saturating_sub(shares.iter().sum());
    if let Some(first) = shares.first_mut() {
        *first += rest;
    }
    shares
}

/// A choice as pieces: one with the text, and with the token when there is one; further tokens of the same chunk without text.
fn pieces(choice: &Choice, sample: usize) -> Vec<Piece> {
    let text = choice.text();
    let mut logprobs = choice.logprobs().into_iter();
    let piece = |text: &str, logprobs: Option<TokenLogprobs>| Piece {
        sample,
        text: text.to_owned(),
        token: logprobs.as_ref().map(|logprobs| logprobs.sampled.token),
        logprobs,
    };
    let first = logprobs.next();
    let mut pieces = Vec::new();
    if !text.is_empty() || first.is_some() {
        pieces.push(piece(text, first));
    }
    pieces.extend(logprobs.map(|logprobs| piece("", Some(logprobs))));
    pieces
}
