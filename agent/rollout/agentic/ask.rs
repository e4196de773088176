//! One answer of the model, as it is recorded.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cwm_runtime::source::{Completion, GenerateRequest, ModelError, StopReason};

use super::halt::Halt;
use crate::rollout::journal::Generated;
use crate::rollout::types::{Ending, Workbench};

/// How often an answer that broke off is asked for again.
const TRIES: usize = 2;

/// Asks for the answer that `request` wants, which begins with the prefix. It is broken off when `left` is over.
///
/// # Errors
///
/// The model's, and that the user ended the attempt.
pub(super) fn ask(
    bench: &Workbench<'_>,
    attempt: &str,
    request: &GenerateRequest,
    prefix: &str,
    left: Option<Duration>,
) -> Result<Generated, Halt> {
    let started = Instant::now();
    let over = || left.is_some_and(|left| started.elapsed() >= left) || bench.control.out_of_time();
    let mut tries = 0;
    let completion = loop {
        tries += 1;
        let mut sink = |piece: cwm_runtime::source::Piece| {
            if !piece.is_heartbeat() {
                bench.journal.observer().generated(attempt, 1);
            }
            if bench.control.stopped() || over() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let asked = bench.model.generate(request, &mut sink);
        if bench.control.stopped() {
            return Err(Halt::Ended(Ending::Interrupted));
        }
        match asked {
            Err(ModelError::EndedEarly { .. }) if tries < TRIES && !over() => {}
            other => break other?.into_iter().next(),
        }
    };
    // Nothing at all came before it was broken off.
    let completion = completion.unwrap_or(Completion {
        text: String::new(),
        tokens: Vec::new(),
        reason: StopReason::Cancelled,
        usage: cwm_runtime::engine::Usage::default(),
        calls: Vec::new(),
    });
    let seconds = started.elapsed().as_secs_f64();
    Ok(Generated::of(
        completion,
        prefix.to_owned(),
        request.sampling.seed,
        seconds,
    ))
}
