//! Models behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, OpenAI and their like.
//!
//! Conversations go to `/chat/completions`, raw prompts to `/completions`, both streamed. A request is made again after errors that
//! pass (429, 5xx, broken connections), but never once text has been delivered: nothing is said twice. The key goes to the given
//! address only; redirects are not followed.

mod address;
mod answer;
mod body;
mod chunk;
mod exchange;
mod failure;
mod sse;

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ureq::Agent;

use self::address::Address;
use self::answer::Answer;
use self::body::Left;
use self::chunk::{Chunk, ModelEntry, ModelList};
use self::exchange::{Arrival, Exchange, Outgoing};
use self::failure::{protocol, web_page};
use super::{
    CallFormat, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt, ToolDefinition,
};
use crate::retry;

pub use address::ApiKey;

/// How often the sink is asked whether to go on while nothing comes.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// Where a server is and how long it is waited for.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// `http://host:port`, with or without `/v1`.
    pub address: String,
    /// The model's name there; without it the server must offer exactly one.
    pub model: Option<String>,
    /// Sent as bearer token.
    pub key: Option<ApiKey>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long nothing may come; a long prompt is computed in silence.
    pub idle_timeout: Duration,
    /// How many times a request is made again.
    pub retries: u32,
    /// The wait before the first repetition; it doubles with each.
    pub first_wait: Duration,
    /// How the model calls tools; `None` goes by its name: a CWM by its tags, any other by the server.
    pub calls: Option<CallFormat>,
}

impl ServerOptions {
    /// Usual patience with the server at that address.
    pub fn new(address: impl Into<String>) -> ServerOptions {
        ServerOptions {
            address: address.into(),
            model: None,
            key: None,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(600),
            retries: 4,
            first_wait: Duration::from_millis(500),
            calls: None,
        }
    }
}

/// A model behind an OpenAI-compatible server.
#[derive(Debug)]
pub struct ServerModel {
    options: ServerOptions,
    address: Address,
    /// The model's name and context, once they are known.
    known: OnceLock<ModelInfo>,
}

/// How an attempt ended.
enum Outcome {
    /// With that many whole samples.
    Whole(Vec<Completion>),
    /// The sink had enough.
    Cancelled(Vec<Completion>),
    /// Another attempt may succeed, after that wait.
    Again(ModelError, Option<Duration>),
    /// The server refuses a field, and may do without.
    Without(Left),
    /// The server gives one sample a request.
    OneByOne,
}

impl ServerModel {
    /// Checks the address; nothing is sent yet.
    pub fn new(options: ServerOptions) -> Result<ServerModel, ModelError> {
        let address = Address::parse(&options.address)?;
        Ok(ServerModel {
            options,
            address,
            known: OnceLock::new(),
        })
    }

    /// An agent for one request: its connection can be closed without touching another's.
    fn agent(&self, idle: Duration) -> Agent {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(self.options.connect_timeout))
            .timeout_per_read(Some(idle))
            .timeout_per_write(Some(idle))
            .user_agent(concat!("cwm/", env!("CARGO_PKG_VERSION")));
        if self.address.is_loopback() {
            config = config.proxy(None);
        }
        Agent::new_with_config(config.build())
    }

    fn start(&self, url: &str, body: Option<String>, idle_timeout: Duration) -> Result<Exchange, ModelError> {
        let outgoing = Outgoing {
            url: url.to_owned(),
            authorization: self.options.key.as_ref().map(ApiKey::header),
            body,
            idle_timeout,
        };
        Exchange::start(self.agent(idle_timeout), outgoing)
    }

    /// The error of a refusal, in which the key does not appear.
    fn refused(&self, url: &str, status: u16, body: &str) -> ModelError {
        match &self.options.key {
            Some(key) => failure::of_refusal(url, status, &key.hidden_in(body)),
            None => failure::of_refusal(url, status, body),
        }
    }

    /// The models that the server offers.
    fn models(&self) -> Result<Vec<ModelEntry>, ModelError> {
        let url = self.address.route("models");
        let idle = self.options.idle_timeout.min(Duration::from_secs(60));
        let mut attempt = 0;
        loop {
            let exchange = self.start(&url, None, idle)?;
            let arrival = loop {
                if let Some(arrival) = exchange.next(idle) {
                    break arrival;
                }
            };
            let (error, asked_wait) = match arrival {
                Arrival::Whole(body) => return self.parse_models(&url, &body),
                Arrival::Refusal {
                    status,
                    body,
                    retry_after,
                } if retry::is_passing(status) => (self.refused(&url, status, &body), retry_after),
                Arrival::Refusal { status, body, .. } => return Err(self.refused(&url, status, &body)),
                Arrival::Broken { error, passing: true } => (error, None),
                Arrival::Broken { error, .. } => return Err(error),
                Arrival::Event(_) | Arrival::End => {
                    return Err(protocol(&url, "it sent a stream instead of a list of models"));
                }
            };
            attempt += 1;
            match self.wait_before(attempt, asked_wait) {
                Some(wait) => std::thread::sleep(wait),
                None => return Err(error),
            }
        }
    }

    fn parse_models(&self, url: &str, body: &str) -> Result<Vec<ModelEntry>, ModelError> {
        match serde_json::from_str::<ModelList>(body) {
            Ok(list) => Ok(list.data),
            Err(_) if failure::looks_like_html(body) => Err(web_page(url)),
            Err(error) => Err(protocol(
                url,
                &format!("its list of models is not what it should be ({error})"),
            )),
        }
    }

    /// How long to wait before that repetition; `None` when there have been enough, or the server wants more patience than there is.
    fn wait_before(&self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt > self.options.retries || asked.is_some_and(|wait| wait > retry::LONGEST_WAIT) {
            return None;
        }
        let own = retry::back_off(self.options.first_wait, attempt, retry::random());
        Some(asked.map_or(own, |asked| asked.max(own)))
    }

    /// The model's name: the given one, or the only one that the server has.
    fn model_name(&self) -> Result<String, ModelError> {
        match &self.options.model {
            Some(name) => Ok(name.clone()),
            None => self.info().map(|info| info.name),
        }
    }

    /// Asks for samples until an attempt ends, one way or the other.
    fn ask(
        &self,
        request: &GenerateRequest,
        model: &str,
        (first, samples): (usize, usize),
        left: &mut Left,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Outcome, ModelError> {
        let url = self.address.route(body::route(&request.prompt));
        let mut attempt = 0;
        loop {
            let body = body::build(request, model, first, samples, *left).to_string();
            let exchange = self.start(&url, Some(body), self.options.idle_timeout)?;
            let answer = Answer::new(first, samples);
            let outcome = self.receive(&exchange, answer, (&url, model, request), *left, sink)?;
            drop(exchange);
            match outcome {
                Outcome::Again(error, asked) => {
                    attempt += 1;
                    let wait = self.wait_before(attempt, asked).ok_or(error)?;
                    if wait_for(wait, first, sink).is_break() {
                        return Ok(Outcome::Cancelled(Vec::new()));
                    }
                }
                Outcome::Without(fewer) => *left = fewer,
                ended => return Ok(ended),
            }
        }
    }

    /// Takes what an attempt brings.
    fn receive(
        &self,
        exchange: &Exchange,
        mut answer: Answer,
        (url, model, request): (&str, &str, &GenerateRequest),
        left: Left,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Outcome, ModelError> {
        loop {
            let Some(arrival) = exchange.next(HEARTBEAT) else {
                if sink(Piece::heartbeat()).is_break() {
                    return Ok(cancelled(answer));
                }
                continue;
            };
            match arrival {
                Arrival::Event(data) if data.trim() == "[DONE]" => answer.done = true,
                Arrival::Event(data) => {
                    let chunk = Chunk::parse(url, &data)?;
                    if let Some(error) = &chunk.error {
                        return self.failed_inside(url, error, &answer);
                    }
                    if answer.take(chunk, sink).is_break() {
                        return Ok(cancelled(answer));
                    }
                }
                Arrival::Whole(body) if failure::looks_like_html(&body) => return Err(web_page(url)),
                Arrival::Whole(body) => {
                    let chunk = Chunk::parse(url, &body)?;
                    if let Some(error) = &chunk.error {
                        return self.failed_inside(url, error, &answer);
                    }
                    let flow = answer.take(chunk, sink);
                    return if flow.is_break() {
                        Ok(cancelled(answer))
                    } else {
                        ended(url, answer)
                    };
                }
                Arrival::End => return ended(url, answer),
                Arrival::Refusal {
                    status,
                    body,
                    retry_after,
                } => return self.on_refusal((url, model, request), status, &body, retry_after, left),
                // All was said before it broke.
                Arrival::Broken { .. } if answer.is_complete() => return ended(url, answer),
                Arrival::Broken { error, passing } if passing && !answer.has_begun() => {
                    return Ok(Outcome::Again(error, None));
                }
                Arrival::Broken { error, .. } if answer.has_begun() => {
                    return Err(early(url, &answer, &error.to_string()));
                }
                Arrival::Broken { error, .. } => return Err(error),
            }
        }
    }

    /// An error in the middle of a stream.
    fn failed_inside(
        &self,
        url: &str,
        error: &serde_json::Value,
        answer: &Answer,
    ) -> Result<Outcome, ModelError> {
        let status = failure::status_of(error).unwrap_or(500);
        let failed = self.refused(url, status, &error.to_string());
        if answer.has_begun() {
            return Err(early(url, answer, &failed.to_string()));
        }
        if retry::is_passing(status) {
            return Ok(Outcome::Again(failed, None));
        }
        Err(failed)
    }

    fn on_refusal(
        &self,
        (url, model, request): (&str, &str, &GenerateRequest),
        status: u16,
        body: &str,
        retry_after: Option<Duration>,
        left: Left,
    ) -> Result<Outcome, ModelError> {
        let error = self.refused(url, status, body);
        if body::announces_tools(request)
            && let Some(error) = failure::of_tools(&error, body)
        {
            return Err(error);
        }
        if retry::is_passing(status) && !matches!(error, ModelError::ServerContext { .. }) {
            return Ok(Outcome::Again(error, retry_after));
        }
        if matches!(status, 400 | 422) {
            let mut fewer = left;
            fewer.stream_options |= body.contains("stream_options");
            fewer.token_ids |= body.contains("return_tokens_as_token_ids");
            if fewer != left {
                return Ok(Outcome::Without(fewer));
            }
            if body.contains("Only one completion choice is allowed") {
                return Ok(Outcome::OneByOne);
            }
        }
        if status == 404 {
            return Err(self.not_found(url, model, error));
        }
        Err(error)
    }

    /// A 404 means an unknown model or an unknown route; the list of models tells which.
    fn not_found(&self, url: &str, model: &str, error: ModelError) -> ModelError {
        let Ok(known) = self.models() else {
            return error;
        };
        if known.iter().any(|entry| entry.id == model) {
            return error;
        }
        ModelError::UnknownModel {
            url: url.to_owned(),
            name: model.to_owned(),
            known: ModelEntry::names(&known),
        }
    }
}

impl Model for ServerModel {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        if let Some(info) = self.known.get() {
            return Ok(info.clone());
        }
        let models = self.models()?;
        let url = || self.address.to_string();
        let entry = match (&self.options.model, models.as_slice()) {
            (Some(name), list) => list.iter().find(|entry| entry.id == *name).ok_or_else(|| {
                let (name, known) = (name.clone(), ModelEntry::names(list));
                let url = url();
                ModelError::UnknownModel { url, name, known }
            })?,
            (None, [only]) => only,
            (None, list) => {
                let (url, known) = (url(), ModelEntry::names(list));
                return Err(ModelError::Request(format!(
                    "{url} has {} models: name the one that is meant; it has {known}",
                    list.len(),
                )));
            }
        };
        let info = ModelInfo {
            name: entry.id.clone(),
            context: entry.context(),
            fingerprint: None,
            parameters: None,
            calls: self.options.calls.unwrap_or_else(|| usual_calls(&entry.id)),
        };
        Ok(self.known.get_or_init(|| info).clone())
    }

    /// Servers have no common way to count.
    fn count_tokens(&self, _text: &str) -> Option<usize> {
        None
    }

    fn count_prompt(&self, _prompt: &Prompt, _tools: &[ToolDefinition]) -> Option<usize> {
        None
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let model = self.model_name()?;
        let (mut left, mut one_by_one) = (Left::default(), false);
        let mut completions = Vec::new();
        // Servers that know no `n` give one sample, whatever was asked for: the others are asked for again.
        while completions.len() < request.samples {
            let first = completions.len();
            let samples = if one_by_one { 1 } else { request.samples - first };
            match self.ask(request, &model, (first, samples), &mut left, sink)? {
                Outcome::Whole(more) => completions.extend(more),
                Outcome::Cancelled(more) => {
                    completions.extend(more);
                    break;
                }
                Outcome::OneByOne if !one_by_one => one_by_one = true,
                Outcome::OneByOne | Outcome::Again(..) | Outcome::Without(_) => {
                    let url = self.address.route(body::route(&request.prompt));
                    return Err(protocol(
                        &url,
                        "it refuses more than one sample where one was asked for",
                    ));
                }
            }
        }
        Ok(completions)
    }
}

/// How a model of that name calls tools.
fn usual_calls(name: &str) -> CallFormat {
    if name.to_ascii_lowercase().contains("cwm") {
        CallFormat::Tags
    } else {
        CallFormat::Native
    }
}

/// Waits, and asks the sink meanwhile whether to go on.
fn wait_for(
    wait: Duration,
    sample: usize,
    sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let end = Instant::now() + wait;
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return ControlFlow::Continue(());
        }
        std::thread::sleep(rest.min(HEARTBEAT));
        let heartbeat = Piece {
            sample,
            ..Piece::heartbeat()
        };
        sink(heartbeat)?;
    }
}

fn cancelled(answer: Answer) -> Outcome {
    Outcome::Cancelled(answer.completions(usize::MAX))
}

/// The connection has ended in order: is the answer whole?
fn ended(url: &str, answer: Answer) -> Result<Outcome, ModelError> {
    match answer.whole() {
        Some(whole) if whole > 0 => Ok(Outcome::Whole(answer.completions(whole))),
        _ if answer.has_begun() => Err(early(url, &answer, "the server closed the connection")),
        _ if answer.done => Err(protocol(url, "the stream ended without an answer in it")),
        _ => {
            let (url, message) = (url.to_owned(), "the stream ended before any text".to_owned());
            Ok(Outcome::Again(ModelError::Protocol { url, message }, None))
        }
    }
}

fn early(url: &str, answer: &Answer, why: &str) -> ModelError {
    ModelError::EndedEarly {
        url: url.to_owned(),
        characters: answer.characters(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
