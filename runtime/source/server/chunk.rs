//! What a server answers: chunks of a stream, or the same as one whole answer.

use serde::Deserialize;
use serde_json::Value;

use super::failure::protocol;
use crate::engine::{TokenLogprob, TokenLogprobs, Usage};
use crate::model::TokenId;
use crate::source::ModelError;

/// A chunk of chat completions or of raw completions. Unknown fields are of no interest, missing ones usual.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk {
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

impl Chunk {
    /// A chunk, or a whole answer.
    pub(super) fn parse(url: &str, data: &str) -> Result<Chunk, ModelError> {
        serde_json::from_str(data).map_err(|error| {
            let start: String = data.chars().take(120).collect();
            protocol(url, &format!("{error} in `{start}`"))
        })
    }
}

/// A piece of one sample.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: usize,
    /// Raw completions have their text here …
    #[serde(default)]
    text: Option<String>,
    /// … chat completions here …
    #[serde(default)]
    delta: Option<Message>,
    /// … and here when they are not streamed.
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<WireLogprobs>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<WireCall>>,
}

/// A call, or a fragment of one: the first has id and name, the others more of the arguments.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireCall {
    /// Which call of the answer it is; some servers leave it out.
    #[serde(default)]
    pub(super) index: Option<usize>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    function: Option<WireFunction>,
}

#[derive(Debug, Default, Deserialize)]
struct WireFunction {
    #[serde(default)]
    name: Option<String>,
    /// JSON as a text; some servers send the JSON itself.
    #[serde(default)]
    arguments: Option<Value>,
}

impl WireCall {
    /// The tool's name, where this fragment has it.
    pub(super) fn name(&self) -> &str {
        let function = self.function.as_ref();
        function
            .and_then(|function| function.name.as_deref())
            .unwrap_or_default()
    }

    /// More of the arguments.
    pub(super) fn arguments(&self) -> String {
        match self
            .function
            .as_ref()
            .and_then(|function| function.arguments.as_ref())
        {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(json) => json.to_string(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<usize>,
    #[serde(default)]
    completion_tokens: Option<usize>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<usize>,
}

/// Chat completions say `content`, raw completions parallel lists.
#[derive(Debug, Default, Deserialize)]
struct WireLogprobs {
    #[serde(default)]
    content: Option<Vec<WireToken>>,
    #[serde(default)]
    tokens: Option<Vec<String>>,
    #[serde(default)]
    token_logprobs: Option<Vec<Option<f32>>>,
    #[serde(default)]
    top_logprobs: Option<Vec<Option<serde_json::Map<String, Value>>>>,
}

#[derive(Debug, Default, Deserialize)]
struct WireToken {
    #[serde(default)]
    id: Option<TokenId>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    logprob: Option<f32>,
    #[serde(default)]
    top_logprobs: Option<Vec<WireToken>>,
}

impl Choice {
    /// The new text.
    pub(super) fn text(&self) -> &str {
        let chat = || self.said()?.content.as_deref();
        self.text.as_deref().or_else(chat).unwrap_or_default()
    }

    /// The calls, or fragments of some.
    pub(super) fn calls(&self) -> &[WireCall] {
        let calls = self.said().and_then(|message| message.tool_calls.as_deref());
        calls.unwrap_or_default()
    }

    fn said(&self) -> Option<&Message> {
        self.delta.as_ref().or(self.message.as_ref())
    }

    /// The probabilities of the tokens of this piece, as far as the server names tokens by number: as `id` (llama.cpp), or as
    /// `token_id:N` (vLLM, asked to).
    pub(super) fn logprobs(&self) -> Vec<TokenLogprobs> {
        let Some(logprobs) = &self.logprobs else {
            return Vec::new();
        };
        if let Some(content) = &logprobs.content {
            return content.iter().filter_map(WireToken::with_rivals).collect();
        }
        let (Some(tokens), Some(values)) = (&logprobs.tokens, &logprobs.token_logprobs) else {
            return Vec::new();
        };
        let rivals = |position: usize| -> Vec<TokenLogprob> {
            let map = logprobs
                .top_logprobs
                .as_ref()
                .and_then(|list| list.get(position)?.as_ref());
            let pair = |(token, value): (&String, &Value)| {
                Some(TokenLogprob {
                    token: token_number(token)?,
                    logprob: value.as_f64()? as f32,
                })
            };
            let mut rivals: Vec<TokenLogprob> = map.into_iter().flatten().filter_map(pair).collect();
            rivals.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
            rivals
        };
        let both = tokens.iter().zip(values).enumerate();
        both.filter_map(|(position, (token, value))| {
            let sampled = TokenLogprob {
                token: token_number(token)?,
                logprob: (*value)?,
            };
            Some(TokenLogprobs {
                sampled,
                top: rivals(position),
            })
        })
        .collect()
    }
}

impl WireToken {
    fn single(&self) -> Option<TokenLogprob> {
        let token = self.id.or_else(|| token_number(self.token.as_deref()?))?;
        Some(TokenLogprob {
            token,
            logprob: self.logprob?,
        })
    }

    fn with_rivals(&self) -> Option<TokenLogprobs> {
        let rivals = self.top_logprobs.iter().flatten();
        Some(TokenLogprobs {
            sampled: self.single()?,
            top: rivals.filter_map(WireToken::single).collect(),
        })
    }
}

fn token_number(token: &str) -> Option<TokenId> {
    token.strip_prefix("token_id:")?.parse().ok()
}

impl WireUsage {
    /// The same in our words, for all samples of the request together.
    pub(super) fn total(&self) -> Usage {
        let cached = self
            .prompt_tokens_details
            .as_ref()
            .and_then(|details| details.cached_tokens);
        Usage {
            prompt_tokens: self.prompt_tokens.unwrap_or(0),
            cached_tokens: cached.unwrap_or(0),
            completion_tokens: self.completion_tokens.unwrap_or(0),
        }
    }
}

/// The answer of the route `models`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelList {
    #[serde(default)]
    pub(super) data: Vec<ModelEntry>,
}

/// A model that a server offers.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelEntry {
    pub(super) id: String,
    /// vLLM's and SGLang's name for the context that they were started with …
    #[serde(default)]
    max_model_len: Option<usize>,
    /// … and others'.
    #[serde(default)]
    context_length: Option<usize>,
    #[serde(default)]
    meta: Option<ModelMeta>,
}

#[derive(Debug, Default, Deserialize)]
struct ModelMeta {
    #[serde(default)]
    n_ctx: Option<usize>,
}

impl ModelEntry {
    /// The names of models, for people.
    pub(super) fn names(models: &[ModelEntry]) -> String {
        match models {
            [] => "none".to_owned(),
            _ => models
                .iter()
                .take(20)
                .map(|entry| entry.id.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// The most tokens that the server takes, where it says so.
    pub(super) fn context(&self) -> Option<usize> {
        let meta = || self.meta.as_ref().and_then(|meta| meta.n_ctx);
        self.max_model_len.or(self.context_length).or_else(meta)
    }
}
