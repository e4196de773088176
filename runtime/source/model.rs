//! The trait and what goes through it.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{SamplingParameters, TokenLogprobs, Usage};
use crate::model::TokenId;

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant`, or `tool: NAME` (for models with a tool format of their own also plain `tool`).
    pub role: String,
    /// What it says.
    pub content: String,
    /// The part of an assistant's content that the model itself sampled, so that it need not be tokenised again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
    /// The calls that an assistant's message made, where the source tells them from its text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// For a tool's result: the id of the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
}

impl ChatMessage {
    /// A message of that role that says this.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> ChatMessage {
        ChatMessage {
            role: role.into(),
            content: content.into(),
            ..ChatMessage::default()
        }
    }
}

/// The tokens of the end of a message, as they were sampled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// Where in the content they begin, in bytes: behind the assistant prefix.
    pub start: usize,
    /// The tokens, which spell the rest of the content.
    pub tokens: Vec<TokenId>,
}

/// A tool that a model may call, announced in the model's own format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its arguments, as a JSON schema of an object.
    pub parameters: serde_json::Value,
}

/// A call that a server's model made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Which call of the conversation it is.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments: JSON as the model wrote it, which may be wrong.
    pub arguments: String,
}

/// How a model was taught to call tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallFormat {
    /// CWM's tags in the text; the system prompt announces the tools.
    Tags,
    /// JSON: the model's chat template, or the server, announces the tools of the request.
    Native,
    /// It was not.
    None,
}

/// What is to be continued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// A conversation, put into the model's own chat format; `assistant_prefix` is what the answer already begins with.
    Chat {
        /// The messages so far.
        messages: Vec<ChatMessage>,
        /// What the answer begins with, e.g. `<think>` and a newline.
        assistant_prefix: String,
    },
    /// A text, encoded as it is, with the begin of text before it; special tokens in it are plain text.
    Text(String),
    /// Token ids, as they are. Servers that take no ids refuse them.
    Tokens(Vec<TokenId>),
}

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateRequest {
    /// What is continued.
    pub prompt: Prompt,
    /// How many samples.
    pub samples: usize,
    /// How tokens are chosen.
    pub sampling: SamplingParameters,
    /// The most tokens a sample may have; `None` leaves it to the context.
    pub max_tokens: Option<usize>,
    /// Texts that end a sample, beside the model's own stop tokens.
    pub stop: Vec<String>,
    /// How many rivals of each token are reported; `None` reports no probabilities.
    pub logprobs: Option<usize>,
    /// The tools that are announced in the model's own format, for conversations. Empty announces none.
    pub tools: Vec<ToolDefinition>,
}

/// A piece of a sample, as it comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Which sample.
    pub sample: usize,
    /// Whole characters; may be empty.
    pub text: String,
    /// The token, where the source knows it.
    pub token: Option<TokenId>,
    /// How likely it was, when that was asked for and is known.
    pub logprobs: Option<TokenLogprobs>,
}

impl Piece {
    /// A piece that says nothing: it only asks whether to go on.
    pub fn heartbeat() -> Piece {
        Piece {
            sample: 0,
            text: String::new(),
            token: None,
            logprobs: None,
        }
    }

    /// Whether it says nothing.
    pub fn is_heartbeat(&self) -> bool {
        self.text.is_empty() && self.token.is_none()
    }
}

/// Why a sample ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended it, or one of the stop texts came.
    Stop,
    /// It reached `max_tokens` or the end of the context.
    Length,
    /// It was cancelled.
    Cancelled,
}

/// A whole sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Its text, without the assistant prefix.
    pub text: String,
    /// Its tokens, where the source knows them; the stop token is not among them.
    pub tokens: Vec<TokenId>,
    /// Why it ended.
    pub reason: StopReason,
    /// What it cost.
    pub usage: Usage,
    /// The calls in it, where the source tells them from its text (servers do).
    pub calls: Vec<ToolCall>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// The most tokens that prompt and answer may have together, where that is known.
    pub context: Option<usize>,
    /// Tells the weights from others, where they are at hand.
    pub fingerprint: Option<String>,
    /// How many parameters it has, where that is known.
    pub parameters: Option<u64>,
    /// How it calls tools.
    pub calls: CallFormat,
}

/// Why a model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The prompt does not fit.
    #[error(
        "the prompt has {prompt} tokens, but {name} has a context of {context}; shorten it, or choose a model with a longer context"
    )]
    PromptTooLong {
        /// The model.
        name: String,
        /// The prompt's length.
        prompt: usize,
        /// The most there may be.
        context: usize,
    },
    /// The request itself is wrong.
    #[error("{0}")]
    Request(String),
    /// The server refused or failed, also after retries.
    #[error("{url} answered {status}: {message}")]
    Server {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// What it said, shortened.
        message: String,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("{url} cannot be reached: {message}; check the address, and that the server runs")]
    Connection {
        /// Where.
        url: String,
        /// What went wrong.
        message: String,
    },
    /// Nothing came for too long.
    #[error("{url} sent nothing for {} seconds; the server may be overloaded, or --timeout too short", after.as_secs())]
    Timeout {
        /// Where.
        url: String,
        /// How long.
        after: Duration,
    },
    /// What the server sent is not what its protocol says.
    #[error("{url} sent an answer that cannot be read: {message}")]
    Protocol {
        /// Where.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// The server wants a key, or another one.
    #[error(
        "{url} refused the key ({status}): {message}; set CWM_API_KEY or OPENAI_API_KEY to a key that it accepts"
    )]
    Key {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// What it said, shortened.
        message: String,
    },
    /// The server does not have the model.
    #[error("{url} has no model `{name}`; it has: {known}")]
    UnknownModel {
        /// Where.
        url: String,
        /// The model that was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The server takes no tools.
    #[error(
        "{url} does not take tools: {message}; start it with them (vLLM --enable-auto-tool-choice --tool-call-parser NAME, SGLang --tool-call-parser NAME, llama.cpp --jinja), or choose the tags of CWM with --tool-format tags"
    )]
    Tools {
        /// Where.
        url: String,
        /// What it said, shortened.
        message: String,
    },
    /// The server's context is shorter than asked.
    #[error(
        "{url} {}{}: start the server with a longer context (vLLM --max-model-len, SGLang --context-length, llama.cpp --ctx-size), or ask for less; it said: {message}",
        allowed.map_or("has too short a context".to_owned(), |tokens| format!("has a context of {tokens} tokens")),
        asked.map_or(String::new(), |tokens| format!(", but was asked for {tokens}"))
    )]
    ServerContext {
        /// Where.
        url: String,
        /// The tokens that the server takes, where it says so.
        allowed: Option<usize>,
        /// The tokens that were asked for, where it says so.
        asked: Option<usize>,
        /// What it said, shortened.
        message: String,
    },
    /// The answer broke off after part of it was delivered.
    #[error(
        "the answer of {url} broke off after {characters} characters ({why}); what came so far is not whole, and it is not asked for again"
    )]
    EndedEarly {
        /// Where.
        url: String,
        /// How much had come.
        characters: usize,
        /// What happened.
        why: String,
    },
    /// The embedded engine failed.
    #[error("the model stopped: {0}")]
    Engine(String),
}

/// A model that answers. Shared by threads; requests may overlap.
pub trait Model: Send + Sync {
    /// What is known of it.
    fn info(&self) -> Result<ModelInfo, ModelError>;

    /// How many tokens a text has, where the source can tell.
    fn count_tokens(&self, text: &str) -> Option<usize>;

    /// How many tokens a whole prompt has, with the headers of its messages and the tools that are announced, where the source can
    /// tell.
    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize>;

    /// Answers a request. `sink` gets every piece as it comes, and now and then an empty one without a token while nothing comes, so that
    /// it can break at any time; when it breaks, the request is cancelled and the completions so far are returned. The completions are
    /// in the order of the samples.
    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError>;
}
