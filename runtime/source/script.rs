//! A model that says what a script tells it to: for tests of everything above the trait, without weights or servers.
//!
//! A script is a list of answers, given one after the other, whoever asks. In a file it is JSON lines, each an object with `text` and, if
//! wanted, `reason` (`stop` or `length`), `expect` (texts that the prompt must contain) and `error` (instead of the answer).
//! A request too many, or a prompt without what is expected, is an error that says so.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{
    CallFormat, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt, StopReason,
    ToolDefinition,
};
use crate::engine::Usage;

/// One answer of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptAnswer {
    /// What is said.
    #[serde(default)]
    pub text: String,
    /// How it ends, when neither a stop text nor `max_tokens` ends it before.
    #[serde(default = "stop")]
    pub reason: StopReason,
    /// Texts that the prompt must contain.
    #[serde(default)]
    pub expect: Vec<String>,
    /// The request fails with this message instead.
    #[serde(default)]
    pub error: Option<String>,
}

fn stop() -> StopReason {
    StopReason::Stop
}

impl ScriptAnswer {
    /// An answer that ends by itself.
    pub fn new(text: impl Into<String>) -> ScriptAnswer {
        ScriptAnswer {
            text: text.into(),
            reason: StopReason::Stop,
            expect: Vec::new(),
            error: None,
        }
    }

    /// The same, with one more text that the prompt must contain.
    #[must_use]
    pub fn expecting(mut self, text: impl Into<String>) -> ScriptAnswer {
        self.expect.push(text.into());
        self
    }
}

/// The model that plays a script.
#[derive(Debug)]
pub struct ScriptModel {
    info: ModelInfo,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<ScriptAnswer>,
    given: usize,
    requests: Vec<GenerateRequest>,
}

impl ScriptModel {
    /// A model with that context, in tokens of [`count`], that gives these answers.
    pub fn new(answers: impl IntoIterator<Item = ScriptAnswer>, context: Option<usize>) -> ScriptModel {
        ScriptModel {
            info: ModelInfo {
                name: "script".to_owned(),
                context,
                fingerprint: None,
                parameters: None,
                calls: CallFormat::Tags,
            },
            state: Mutex::new(State {
                answers: answers.into_iter().collect(),
                ..State::default()
            }),
        }
    }

    /// Reads a script from a file of JSON lines; empty lines are skipped.
    pub fn read(path: &Path) -> Result<ScriptModel, ModelError> {
        let wrong = |what: String| ModelError::Request(format!("the script {}: {what}", path.display()));
        let text =
            std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        let answers: Result<Vec<ScriptAnswer>, ModelError> = lines
            .map(|(number, line)| {
                serde_json::from_str(line).map_err(|error| wrong(format!("line {}: {error}", number + 1)))
            })
            .collect();
        Ok(ScriptModel::new(answers?, None))
    }

    /// The requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<GenerateRequest> {
        self.lock().requests.clone()
    }

    /// How many answers have not been given.
    pub fn remaining(&self) -> usize {
        self.lock().answers.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers for a request's samples, all taken at once.
    fn take(&self, request: &GenerateRequest, prompt: &str) -> Result<Vec<ScriptAnswer>, ModelError> {
        let mut state = self.lock();
        state.requests.push(request.clone());
        let mut taken = Vec::new();
        for _ in 0..request.samples {
            let given = state.given;
            let answer = state.answers.pop_front().ok_or_else(|| {
                ModelError::Request(format!(
                    "the script has only {given} answers, and one more is asked for; the prompt: {}",
                    end_of(prompt)
                ))
            })?;
            state.given += 1;
            for expected in &answer.expect {
                if !prompt.contains(expected.as_str()) {
                    return Err(ModelError::Request(format!(
                        "the script's answer {} expects `{expected}` in the prompt, which is not there; the prompt: {}",
                        state.given,
                        end_of(prompt)
                    )));
                }
            }
            if let Some(error) = &answer.error {
                return Err(ModelError::Engine(error.clone()));
            }
            taken.push(answer);
        }
        Ok(taken)
    }
}

impl Model for ScriptModel {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        Ok(self.info.clone())
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        Some(count(text))
    }

    fn count_prompt(&self, prompt: &Prompt, _tools: &[ToolDefinition]) -> Option<usize> {
        Some(match prompt {
            Prompt::Tokens(tokens) => tokens.len(),
            Prompt::Chat { .. } | Prompt::Text(_) => count(&prompt_text(prompt)),
        })
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let prompt = prompt_text(&request.prompt);
        let prompt_tokens = match &request.prompt {
            Prompt::Tokens(tokens) => tokens.len(),
            Prompt::Chat { .. } | Prompt::Text(_) => count(&prompt),
        };
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
        let answers = self.take(request, &prompt)?;
        let mut completions = Vec::new();
        for (sample, answer) in answers.iter().enumerate() {
            let (text, mut reason) = cut(answer, &request.stop, most);
            let (mut said, mut tokens) = (String::new(), 0);
            for piece in tokens_of(text) {
                said.push_str(piece);
                tokens += 1;
                let piece = Piece {
                    sample,
                    text: piece.to_owned(),
                    ..Piece::heartbeat()
                };
                if sink(piece).is_break() {
                    reason = StopReason::Cancelled;
                    break;
                }
            }
            completions.push(Completion {
                text: said,
                tokens: Vec::new(),
                reason,
                usage: Usage {
                    prompt_tokens,
                    cached_tokens: 0,
                    completion_tokens: tokens,
                },
                calls: Vec::new(),
            });
            if reason == StopReason::Cancelled {
                break;
            }
        }
        Ok(completions)
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

/// The number of tokens of a text, by a rule that anyone can follow: a run of letters, digits and `_` is one, every other character is one,
/// and spaces belong to the token before.
pub fn count(text: &str) -> usize {
    tokens_of(text).count()
}

/// The tokens, which together are the text.
fn tokens_of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let first = rest.chars().next()?;
        let body = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let spaces = rest.get(body..)?;
        let end = body + (spaces.len() - spaces.trim_start_matches(' ').len());
        let (token, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(token)
    })
}

fn prompt_text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Tokens(tokens) => format!("{tokens:?}"),
        Prompt::Chat {
            messages,
            assistant_prefix,
        } => {
            let mut text = String::new();
            for message in messages {
                text.push_str(&format!("{}: {}\n", message.role, message.content));
            }
            text + assistant_prefix
        }
    }
}

/// The last part of a prompt, for messages.
fn end_of(prompt: &str) -> String {
    let skipped = prompt.chars().count().saturating_sub(400);
    let end: String = prompt.chars().skip(skipped).collect();
    if skipped > 0 { format!("… {end}") } else { end }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
