//! Asks the model once, and takes down what it said.

use std::ops::ControlFlow;
use std::time::Instant;

use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::{ChatMessage, GenerateRequest, ModelError, Prompt, StopReason};

use super::prompt::Question;
use crate::rollout::journal::{AttemptLog, Generated, Record};
use crate::rollout::tokens::message_tokens;
use crate::rollout::types::{AttemptOptions, Ending, RolloutError, Workbench};

/// How often an answer that broke off on its way is asked for.
const TRIES: usize = 2;

/// Why an attempt goes no further.
pub(super) enum Stop {
    /// It ended so.
    Ended(Ending),
    /// It failed.
    Failed(RolloutError),
}

impl<E: Into<RolloutError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Failed(error.into())
    }
}

/// What the model is asked.
pub(super) fn request(
    question: &Question,
    messages: &[ChatMessage],
    sampling: SamplingParameters,
) -> GenerateRequest {
    // An answer that begins within a fence ends with it.
    let fenced = question.prefix.starts_with("```");
    GenerateRequest {
        prompt: Prompt::Chat {
            messages: messages.to_vec(),
            assistant_prefix: question.prefix.clone(),
        },
        samples: 1,
        sampling,
        max_tokens: Some(question.answer),
        stop: if fenced {
            vec!["\n```\n".to_owned()]
        } else {
            Vec::new()
        },
        logprobs: None,
        tools: Vec::new(),
    }
}

/// Asks, unless the user or the time end it.
pub(super) fn say(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    attempt_started: Instant,
    request: &GenerateRequest,
) -> Result<Generated, Stop> {
    let started = Instant::now();
    let observer = bench.journal.observer();
    let over = || bench.control.stopped() || out_of_time(bench, options, attempt_started);
    let mut tries = 0;
    let mut completions = loop {
        tries += 1;
        let asked = bench.model.generate(request, &mut |piece| {
            if !piece.is_heartbeat() {
                observer.generated(&options.name, 1);
            }
            if over() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match asked {
            Err(ModelError::EndedEarly { .. }) if tries < TRIES && !over() => {}
            other => break other?,
        }
    };
    let completion = completions.pop();
    let Some(completion) = completion.filter(|done| done.reason != StopReason::Cancelled) else {
        return Err(Stop::Ended(if bench.control.stopped() {
            Ending::Interrupted
        } else {
            Ending::Time
        }));
    };
    let prefix = match &request.prompt {
        Prompt::Chat { assistant_prefix, .. } => assistant_prefix.clone(),
        Prompt::Text(_) | Prompt::Tokens(_) => String::new(),
    };
    let seconds = started.elapsed().as_secs_f64();
    Ok(Generated::of(completion, prefix, request.sampling.seed, seconds))
}

/// Asks a question that is no attempt's: what the model answers, and none where the user ends it.
pub(super) fn answer(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    log: &mut AttemptLog<'_>,
    question: &Question,
) -> Result<Option<Generated>, RolloutError> {
    for message in &question.messages {
        log.note(Record::Message {
            attempt: options.name.clone(),
            tokens: message_tokens(bench.model, message),
            message: message.clone(),
        })?;
    }
    let started = Instant::now();
    let asked = request(question, &question.messages, options.sampling.clone());
    let generated = log.generation(|| -> Result<Generated, Stop> { say(bench, options, started, &asked) });
    match generated {
        Ok(generated) => Ok(Some(generated)),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Ended(_)) => Ok(None),
    }
}

pub(super) fn out_of_time(bench: &Workbench<'_>, options: &AttemptOptions, started: Instant) -> bool {
    let own = options.budget.time.is_some_and(|time| started.elapsed() >= time);
    own || bench.control.out_of_time()
}
