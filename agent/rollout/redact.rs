//! Takes secrets out of texts that leave the machine: what goes to a model on another one, and what is exported.
//!
//! What enters is a text, and once the variables of an environment; what leaves is the text with `[redacted: KIND]` in the place of each
//! secret. Known are secrets by their form (the tokens of well-known services, private keys, JSON web tokens), by their place (values that
//! are assigned to a name such as `password`, credentials in addresses, `Authorization` headers), and the values of variables whose
//! names say that they are secret. Code that only speaks of secrets, hashes, UUIDs and encoded data stay as they are. A mark depends on
//! the secret alone, so that the same secret has the same mark everywhere. Time is linear in the text.

mod context;
mod keys;
mod random;
mod tokens;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::sync::Arc;

use cwm_runtime::source::{
    ChatMessage, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt, ToolDefinition,
};

/// What a value assigned to a name such as `password` is called, whatever the name.
const SECRET: &str = "secret";
/// The shortest value of a variable that is looked for.
const SHORTEST_VALUE: usize = 8;

/// A secret's place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found<'a> {
    start: usize,
    end: usize,
    kind: &'a str,
}

/// Takes secrets out of texts. Shared by threads.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Values of variables that are secret, the longest first, each with what stands in its place.
    values: Vec<(String, String)>,
}

impl Redactor {
    /// One that knows forms and places of secrets, and the values of those variables whose names say that they are secret (`API_KEY`,
    /// `DB_PASSWORD`, `GITHUB_TOKEN`), when they have at least 8 characters and are not words that everybody uses for it.
    pub fn new(variables: &BTreeMap<OsString, OsString>) -> Redactor {
        let mut values: Vec<(String, String)> = Vec::new();
        for (name, value) in variables {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            let value = value.trim();
            let known = values.iter().any(|(known, _)| known == value);
            if is_secret_variable(name)
                && value.chars().count() >= SHORTEST_VALUE
                && !random::is_placeholder(value)
                && !known
            {
                let kind = format!("value of {name}");
                values.extend(in_json(value).map(|escaped| (escaped, kind.clone())));
                values.push((value.to_owned(), kind));
            }
        }
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Redactor { values }
    }

    /// The text with a mark in the place of each secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut done = 0;
        for secret in found {
            redacted.push_str(text.get(done..secret.start).unwrap_or_default());
            redacted.push_str("[redacted: ");
            redacted.push_str(secret.kind);
            redacted.push(']');
            done = secret.end;
        }
        redacted.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// The secrets of a text, in its order, none overlapping another.
    fn find<'a>(&'a self, text: &str) -> Vec<Found<'a>> {
        let mut layers: Vec<Vec<Found<'a>>> = Vec::new();
        for (value, kind) in &self.values {
            let places = text.match_indices(value.as_str());
            layers.push(
                places
                    .map(|(start, value)| Found {
                        start,
                        end: start + value.len(),
                        kind,
                    })
                    .collect(),
            );
        }
        layers.push(keys::find(text));
        layers.push(tokens::find(text));
        layers.push(context::find(text));
        // The surest knowledge first: what one layer takes, those behind it only extend.
        let mut found = Vec::new();
        for layer in layers.into_iter().filter(|layer| !layer.is_empty()) {
            found = merge(found, layer);
        }
        found
    }
}

/// Both lists as one; where they overlap, the whole is one secret of the kind that `first` says.
fn merge<'a>(first: Vec<Found<'a>>, second: Vec<Found<'a>>) -> Vec<Found<'a>> {
    let mut all: Vec<(bool, Found<'a>)> = first.into_iter().map(|found| (false, found)).collect();
    all.extend(second.into_iter().map(|found| (true, found)));
    all.sort_by_key(|(later, found)| (found.start, *later));
    let mut merged: Vec<(bool, Found<'a>)> = Vec::new();
    for (later, found) in all {
        match merged.last_mut() {
            Some((last_later, last)) if found.start < last.end => {
                last.end = last.end.max(found.end);
                if *last_later && !later {
                    last.kind = found.kind;
                    *last_later = false;
                }
            }
            _ => merged.push((later, found)),
        }
    }
    merged.into_iter().map(|(_, found)| found).collect()
}

/// A value as it stands within a string of JSON, in a call's arguments for example, where that differs.
fn in_json(value: &str) -> Option<String> {
    let quoted = serde_json::to_string(value).ok()?;
    let escaped = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (escaped != value).then(|| escaped.to_owned())
}

/// Whether a variable's name says that its value is a secret.
fn is_secret_variable(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "PAT",
        "APIKEY",
        "KEY",
        "CREDENTIAL",
        "CREDENTIALS",
    ];
    const NOT_THE_SECRET: [&str; 14] = [
        "FILE", "PATH", "DIR", "URL", "URI", "HOST", "NAME", "ID", "USER", "SOCK", "TYPE", "COUNT", "LENGTH",
        "PUBLIC",
    ];
    let name = name.to_ascii_uppercase();
    if matches!(name.as_str(), "PWD" | "OLDPWD") {
        return false;
    }
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let says_so = words.iter().any(|word| {
        WORDS.contains(word)
            || word.ends_with("PASSWORD")
            || word.ends_with("TOKEN")
            || word.ends_with("SECRET")
    });
    says_so && !words.contains(&"PUBLIC") && !words.last().is_some_and(|last| NOT_THE_SECRET.contains(last))
}

/// A model on another machine, which gets to read no secrets.
pub struct RedactingModel {
    model: Arc<dyn Model>,
    redactor: Arc<Redactor>,
}

impl RedactingModel {
    /// `model`, with everything that it is sent redacted.
    pub fn new(model: Arc<dyn Model>, redactor: Arc<Redactor>) -> RedactingModel {
        RedactingModel { model, redactor }
    }

    /// What may go out of a prompt.
    fn prompt(&self, prompt: &Prompt) -> Result<Prompt, ModelError> {
        match prompt {
            Prompt::Chat {
                messages,
                assistant_prefix,
            } => Ok(Prompt::Chat {
                messages: messages.iter().map(|message| self.message(message)).collect(),
                assistant_prefix: self.text(assistant_prefix),
            }),
            Prompt::Text(text) => Ok(Prompt::Text(self.text(text))),
            Prompt::Tokens(_) => Err(ModelError::Request(
                "a prompt of token ids cannot be searched for secrets, so it is not sent to a server; send it as text".to_owned(),
            )),
        }
    }

    fn message(&self, message: &ChatMessage) -> ChatMessage {
        let content = self.redactor.redact(&message.content);
        let changed = matches!(content, Cow::Owned(_));
        let mut calls = message.calls.clone();
        for call in &mut calls {
            call.arguments = self.text(&call.arguments);
        }
        ChatMessage {
            role: message.role.clone(),
            content: content.into_owned(),
            // The tokens spell the text as it was.
            sampled: message.sampled.clone().filter(|_| !changed),
            calls,
            call_id: message.call_id.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }
}

impl Model for RedactingModel {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        self.model.info()
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        self.model.count_tokens(&self.redactor.redact(text))
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        self.model.count_prompt(&self.prompt(prompt).ok()?, tools)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let request = GenerateRequest {
            prompt: self.prompt(&request.prompt)?,
            ..request.clone()
        };
        self.model.generate(&request, sink)
    }
}

#[cfg(test)]
#[path = "redact_model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
