//! What is shown of samples while they come, and at the end.

use std::io::IsTerminal;
use std::time::Duration;

use cwm_runtime::engine::{TokenLogprob, Usage};
use cwm_runtime::source::{Completion, Piece, StopReason};
use serde::Serialize;

use crate::cli::{Printer, Style};

/// One piece, as an event.
#[derive(Serialize)]
struct TokenEvent<'a> {
    sample: usize,
    text: &'a str,
    token: Option<u32>,
    logprob: Option<f32>,
    rivals: Option<Vec<Rival>>,
}

#[derive(Serialize)]
struct Rival {
    token: u32,
    logprob: f32,
}

#[derive(Serialize)]
struct CompletionEvent<'a> {
    sample: usize,
    text: &'a str,
    tokens: &'a [u32],
    reason: StopReason,
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
}

#[derive(Serialize)]
struct UsageEvent {
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    seconds: f64,
}

/// Shows samples: the first as it comes, the others behind it.
pub(super) struct Output {
    samples: usize,
    begun: bool,
}

impl Output {
    pub(super) fn new(samples: usize) -> Output {
        Output {
            samples,
            begun: false,
        }
    }

    /// Shows a piece.
    pub(super) fn piece(&mut self, piece: &Piece, printer: &mut Printer) -> anyhow::Result<()> {
        if piece.is_heartbeat() {
            return Ok(());
        }
        if printer.is_json() {
            let rival = |one: &TokenLogprob| Rival {
                token: one.token,
                logprob: one.logprob,
            };
            let logprobs = piece.logprobs.as_ref();
            let event = TokenEvent {
                sample: piece.sample,
                text: &piece.text,
                token: piece.token,
                logprob: logprobs.map(|logprobs| logprobs.sampled.logprob),
                rivals: logprobs.map(|logprobs| logprobs.top.iter().map(rival).collect()),
            };
            return printer.event("generate.token", &event);
        }
        if piece.sample > 0 {
            return Ok(());
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.heading(0, printer)?;
        }
        printer.result(&piece.text)
    }

    /// Shows the samples that have not been shown, and what all of it cost.
    pub(super) fn end(
        &self,
        completions: &[Completion],
        elapsed: Duration,
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        for (sample, completion) in completions.iter().enumerate() {
            if printer.is_json() {
                printer.event("generate.completion", &event(sample, completion))?;
            } else if sample > 0 {
                printer.result("\n")?;
                self.heading(sample, printer)?;
                printer.result(&completion.text)?;
            }
        }
        // A shell's next prompt belongs on a line of its own; what goes to a file stays as it is.
        let ends = completions
            .last()
            .is_none_or(|last| last.text.is_empty() || last.text.ends_with('\n'));
        if !printer.is_json() && !ends && std::io::stdout().is_terminal() {
            printer.result("\n")?;
        }
        let usage = total(completions);
        let seconds = elapsed.as_secs_f64();
        printer.detail(format_args!(
            "\n{} prompt tokens ({} of them cached), {} tokens generated in {seconds:.2} s",
            usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens
        ));
        let event = UsageEvent {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
            seconds,
        };
        printer.event("generate.usage", &event)
    }

    /// With several samples, each has a line before it.
    fn heading(&self, sample: usize, printer: &mut Printer) -> anyhow::Result<()> {
        if self.samples == 1 {
            return Ok(());
        }
        let line = format!("--- sample {} of {}", sample + 1, self.samples);
        let line = printer.paint(Style::Strong, &line);
        printer.result(format!("{line}\n"))
    }
}

fn event(sample: usize, completion: &Completion) -> CompletionEvent<'_> {
    CompletionEvent {
        sample,
        text: &completion.text,
        tokens: &completion.tokens,
        reason: completion.reason,
        prompt_tokens: completion.usage.prompt_tokens,
        cached_tokens: completion.usage.cached_tokens,
        completion_tokens: completion.usage.completion_tokens,
    }
}

/// The prompt is counted once, since it is computed once.
fn total(completions: &[Completion]) -> Usage {
    let first = completions
        .first()
        .map(|completion| completion.usage)
        .unwrap_or_default();
    Usage {
        completion_tokens: completions
            .iter()
            .map(|completion| completion.usage.completion_tokens)
            .sum(),
        ..first
    }
}
