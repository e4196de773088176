//! A model that says what a script tells it to: for tests of everything above the trait, without weights or servers.
//!
//! A script is a list of answers. An answer with `when` or `seed` is a rule: it is given whenever a request fits, any number of times, so
//! that what is said depends on the prompt alone and not on who asks first. The first rule that fits goes before the others, and rules
//! before the answers without conditions, which are given one after the other, once each. A request that nothing is left for, or a prompt
//! without what is expected, is an error that says so. How scripts are written as files is told in `docs/models.md`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::script_text::{end_of, prompt_text, tokens_of, what_was_said_last};
use super::{
    CallFormat, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt, StopReason,
    ToolCall, ToolDefinition, count_script_tokens as count,
};
use crate::engine::Usage;

/// How often the sink is asked whether to go on while an answer is waited for.
const HEARTBEAT: Duration = Duration::from_millis(20);

/// One answer of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptAnswer {
    /// What is said.
    #[serde(default)]
    pub text: String,
    /// The calls that come with it, as servers tell them from the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// How it ends, when neither a stop text nor `max_tokens` ends it before.
    #[serde(default = "stop")]
    pub reason: StopReason,
    /// Texts that the last message of the conversation must contain, or the last 2,000 characters of a raw prompt, for this answer to
    /// be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
    /// The seed that a request must have for this answer to be given. A request's samples count on from its seed, as servers do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts that the prompt must contain.
    #[serde(default)]
    pub expect: Vec<String>,
    /// The request fails with this message instead.
    #[serde(default)]
    pub error: Option<String>,
    /// How long the model thinks before its first word, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

fn stop() -> StopReason {
    StopReason::Stop
}

impl ScriptAnswer {
    /// An answer that ends by itself.
    pub fn new(text: impl Into<String>) -> ScriptAnswer {
        ScriptAnswer {
            text: text.into(),
            calls: Vec::new(),
            reason: StopReason::Stop,
            when: Vec::new(),
            seed: None,
            expect: Vec::new(),
            error: None,
            delay_ms: 0,
        }
    }

    /// The same, with one more text that the prompt must contain.
    #[must_use]
    pub fn expecting(mut self, text: impl Into<String>) -> ScriptAnswer {
        self.expect.push(text.into());
        self
    }

    /// The same as a rule: with one more text that the last message must contain.
    #[must_use]
    pub fn when(mut self, text: impl Into<String>) -> ScriptAnswer {
        self.when.push(text.into());
        self
    }

    /// The same as a rule: for samples of that seed.
    #[must_use]
    pub fn for_seed(mut self, seed: u64) -> ScriptAnswer {
        self.seed = Some(seed);
        self
    }

    fn is_rule(&self) -> bool {
        !self.when.is_empty() || self.seed.is_some()
    }

    fn fits(&self, last: &str, seed: u64) -> bool {
        self.when.iter().all(|text| last.contains(text.as_str()))
            && self.seed.is_none_or(|wanted| wanted == seed)
    }
}

/// What the first line of a file says of the model that it plays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Played {
    name: Option<String>,
    context: Option<usize>,
    calls: Option<CallFormat>,
    parameters: Option<u64>,
    fingerprint: Option<String>,
}

/// A line of a file.
enum Line {
    Model(Played),
    Answer(Box<ScriptAnswer>),
}

/// The model that plays a script.
#[derive(Debug)]
pub struct ScriptModel {
    info: ModelInfo,
    rules: Vec<ScriptAnswer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<ScriptAnswer>,
    given: usize,
    requests: Vec<GenerateRequest>,
}

impl ScriptModel {
    /// A model with that context, in tokens of [`count_script_tokens`](count), that gives these answers.
    pub fn new(answers: impl IntoIterator<Item = ScriptAnswer>, context: Option<usize>) -> ScriptModel {
        let info = ModelInfo {
            name: "script".to_owned(),
            context,
            fingerprint: None,
            parameters: None,
            calls: CallFormat::Tags,
        };
        ScriptModel::with_info(answers, info)
    }

    /// A model that is said to be this, and gives these answers.
    pub fn with_info(answers: impl IntoIterator<Item = ScriptAnswer>, info: ModelInfo) -> ScriptModel {
        let (rules, answers): (Vec<ScriptAnswer>, Vec<ScriptAnswer>) =
            answers.into_iter().partition(ScriptAnswer::is_rule);
        ScriptModel {
            info,
            rules,
            state: Mutex::new(State {
                answers: answers.into(),
                ..State::default()
            }),
        }
    }

    /// Reads a script from a file of JSON lines; empty lines are skipped.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line is neither an answer nor, as the first one, the model.
    pub fn read(path: &Path) -> Result<ScriptModel, ModelError> {
        let wrong = |what: String| ModelError::Request(format!("the script {}: {what}", path.display()));
        let text =
            std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let (mut played, mut answers) = (Played::default(), Vec::new());
        let lines = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty());
        for (place, (number, line)) in lines.enumerate() {
            match read_line(line).map_err(|why| wrong(format!("line {number}: {why}")))? {
                Line::Answer(answer) => answers.push(*answer),
                Line::Model(model) if place == 0 => played = model,
                Line::Model(_) => {
                    return Err(wrong(format!(
                        "line {number} says what the model is, which only the first line can do"
                    )));
                }
            }
        }
        let usual = ScriptModel::new([], played.context);
        let info = ModelInfo {
            name: played.name.unwrap_or(usual.info.name),
            calls: played.calls.unwrap_or(usual.info.calls),
            parameters: played.parameters,
            fingerprint: played.fingerprint,
            context: played.context,
        };
        Ok(ScriptModel::with_info(answers, info))
    }

    /// The requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<GenerateRequest> {
        self.lock().requests.clone()
    }

    /// How many answers without conditions have not been given.
    pub fn remaining(&self) -> usize {
        self.lock().answers.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers for a request's samples, all taken at once.
    fn take(&self, request: &GenerateRequest, prompt: &str) -> Result<Vec<ScriptAnswer>, ModelError> {
        let last = what_was_said_last(&request.prompt);
        let mut state = self.lock();
        state.requests.push(request.clone());
        let mut taken = Vec::new();
        for sample in 0..request.samples {
            let seed = request.sampling.seed.wrapping_add(sample as u64);
            let rule = (1..).zip(&self.rules).find(|(_, rule)| rule.fits(&last, seed));
            let (answer, name) = match rule {
                Some((number, rule)) => (rule.clone(), format!("rule {number}")),
                None => {
                    let answer = state.answers.pop_front();
                    let answer = answer.ok_or_else(|| self.nothing_left(state.given, prompt))?;
                    state.given += 1;
                    (answer, format!("answer {}", state.given))
                }
            };
            let missing = answer.expect.iter().find(|text| !prompt.contains(text.as_str()));
            if let Some(expected) = missing {
                return Err(ModelError::Request(format!(
                    "the script's {name} expects `{expected}` in the prompt, which is not there; the prompt: {}",
                    end_of(prompt)
                )));
            }
            if let Some(error) = &answer.error {
                return Err(ModelError::Engine(error.clone()));
            }
            taken.push(answer);
        }
        Ok(taken)
    }

    fn nothing_left(&self, given: usize, prompt: &str) -> ModelError {
        let rules = match self.rules.len() {
            0 => String::new(),
            count => format!(", none of its {count} rules fits"),
        };
        ModelError::Request(format!(
            "the script has only {given} answers{rules}, and one more is asked for; the prompt: {}",
            end_of(prompt)
        ))
    }
}

fn read_line(line: &str) -> Result<Line, serde_json::Error> {
    #[derive(Deserialize)]
    struct Header {
        model: Played,
    }
    // By its text and not through a value, so that errors name the column.
    let is_header = serde_json::from_str::<serde_json::Value>(line)?
        .get("model")
        .is_some();
    if is_header {
        return serde_json::from_str::<Header>(line).map(|header| Line::Model(header.model));
    }
    serde_json::from_str(line).map(|answer| Line::Answer(Box::new(answer)))
}

impl Model for ScriptModel {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        Ok(self.info.clone())
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        Some(count(text))
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        Some(match prompt {
            Prompt::Tokens(tokens) => tokens.len(),
            Prompt::Chat { .. } | Prompt::Text(_) => count(&prompt_text(prompt, tools)),
        })
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let prompt = prompt_text(&request.prompt, &request.tools);
        let prompt_tokens = self.count_prompt(&request.prompt, &request.tools).unwrap_or(0);
        if let Some(context) = self.info.context.filter(|context| prompt_tokens >= *context) {
            return Err(ModelError::PromptTooLong {
                name: self.info.name.clone(),
                prompt: prompt_tokens,
                context,
            });
        }
        let room = self
            .info
            .context
            .map_or(usize::MAX, |context| context - prompt_tokens);
        let most = request.max_tokens.unwrap_or(usize::MAX).min(room);
        let mut completions = Vec::new();
        for (sample, answer) in self.take(request, &prompt)?.iter().enumerate() {
            let completion = say(answer, sample, &request.stop, most, sink);
            let cancelled = completion.reason == StopReason::Cancelled;
            completions.push(Completion {
                usage: Usage {
                    prompt_tokens,
                    ..completion.usage
                },
                ..completion
            });
            if cancelled {
                break;
            }
        }
        Ok(completions)
    }
}

/// Says an answer, token by token, until the sink has enough.
fn say(
    answer: &ScriptAnswer,
    sample: usize,
    stop: &[String],
    most: usize,
    sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
) -> Completion {
    let (text, mut reason) = cut(answer, stop, most);
    let (mut said, mut tokens, mut calls) = (String::new(), 0, Vec::new());
    let piece = |text: &str| Piece {
        sample,
        text: text.to_owned(),
        ..Piece::heartbeat()
    };
    let mut flow = wait_for(answer.delay_ms, || sink(piece("")));
    for token in tokens_of(text) {
        if flow.is_break() {
            break;
        }
        said.push_str(token);
        tokens += 1;
        flow = sink(piece(token));
    }
    if flow.is_break() {
        reason = StopReason::Cancelled;
    } else if text.len() == answer.text.len() {
        calls.clone_from(&answer.calls);
        tokens += calls
            .iter()
            .map(|call| count(&call.name) + count(&call.arguments))
            .sum::<usize>();
    }
    Completion {
        text: said,
        tokens: Vec::new(),
        reason,
        usage: Usage {
            completion_tokens: tokens,
            ..Usage::default()
        },
        calls,
    }
}

/// Waits that many milliseconds, asking meanwhile whether to go on.
fn wait_for(milliseconds: u64, mut ask: impl FnMut() -> ControlFlow<()>) -> ControlFlow<()> {
    let (begun, whole) = (Instant::now(), Duration::from_millis(milliseconds));
    loop {
        let rest = whole.saturating_sub(begun.elapsed());
        if rest.is_zero() {
            return ControlFlow::Continue(());
        }
        std::thread::sleep(rest.min(HEARTBEAT));
        ask()?;
    }
}

/// The part of an answer that is said: up to the first stop text, and at most so many tokens.
fn cut<'a>(answer: &'a ScriptAnswer, stop: &[String], most: usize) -> (&'a str, StopReason) {
    let ends = stop.iter().filter(|text| !text.is_empty());
    let end = ends.filter_map(|text| answer.text.find(text.as_str())).min();
    let (text, reason) = match end {
        Some(end) => (answer.text.get(..end).unwrap_or_default(), StopReason::Stop),
        None => (answer.text.as_str(), answer.reason),
    };
    let length: usize = tokens_of(text).take(most).map(str::len).sum();
    if length < text.len() {
        return (text.get(..length).unwrap_or_default(), StopReason::Length);
    }
    (text, reason)
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
