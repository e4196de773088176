//! What is sent: the JSON body of a request.

use serde_json::{Map, Value, json};

use crate::engine::SamplingParameters;
use crate::source::{ChatMessage, GenerateRequest, Prompt, ToolCall, ToolDefinition};

/// Fields that some servers refuse. A server that names one in its refusal is asked again without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Without `stream_options`.
    pub(super) stream_options: bool,
    /// Without `return_tokens_as_token_ids`.
    pub(super) token_ids: bool,
}

/// The route that a prompt goes to.
pub(super) fn route(prompt: &Prompt) -> &'static str {
    match prompt {
        Prompt::Chat { .. } => "chat/completions",
        Prompt::Text(_) | Prompt::Tokens(_) => "completions",
    }
}

/// Whether a request's tools are sent: raw prompts have no place for them.
pub(super) fn announces_tools(request: &GenerateRequest) -> bool {
    !request.tools.is_empty() && matches!(request.prompt, Prompt::Chat { .. })
}

/// The body that asks for `samples` samples, of which the first is number `first` of the request.
pub(super) fn build(
    request: &GenerateRequest,
    model: &str,
    first: usize,
    samples: usize,
    left: Left,
) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    let chat = prompt(&mut body, &request.prompt);
    if announces_tools(request) {
        let tools: Vec<Value> = request.tools.iter().map(tool).collect();
        body.insert("tools".into(), tools.into());
    }
    body.insert("n".into(), samples.into());
    body.insert("stream".into(), true.into());
    if !left.stream_options {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    // Left out, raw completions end after 16 tokens on most servers; null leaves the length to the context.
    match request.max_tokens {
        Some(most) => drop(body.insert("max_tokens".into(), most.into())),
        None if !chat => drop(body.insert("max_tokens".into(), Value::Null)),
        None => {}
    }
    if !request.stop.is_empty() {
        body.insert("stop".into(), request.stop.clone().into());
    }
    if let Some(rivals) = request.logprobs {
        if chat {
            body.insert("logprobs".into(), true.into());
            body.insert("top_logprobs".into(), rivals.into());
        } else {
            body.insert("logprobs".into(), rivals.into());
        }
        // vLLM's: tokens come as `token_id:N`, which is what probabilities are reported of here.
        if !left.token_ids {
            body.insert("return_tokens_as_token_ids".into(), true.into());
        }
    }
    sampling(&mut body, &request.sampling, first);
    Value::Object(body)
}

/// Puts the prompt in; tells whether it is a conversation.
fn prompt(body: &mut Map<String, Value>, prompt: &Prompt) -> bool {
    match prompt {
        Prompt::Chat {
            messages,
            assistant_prefix,
        } => {
            let mut list: Vec<Value> = messages.iter().map(message).collect();
            if !assistant_prefix.is_empty() {
                // The convention of vLLM and SGLang for an answer that has begun.
                list.push(json!({"role": "assistant", "content": assistant_prefix}));
                body.insert("continue_final_message".into(), true.into());
                body.insert("add_generation_prompt".into(), false.into());
            }
            body.insert("messages".into(), list.into());
            true
        }
        // A server encodes special tokens in it as such; there is no common way to forbid that.
        Prompt::Text(text) => {
            body.insert("prompt".into(), text.as_str().into());
            false
        }
        Prompt::Tokens(tokens) => {
            body.insert("prompt".into(), tokens.clone().into());
            false
        }
    }
}

/// A message. CWM's roles `tool: NAME` are no roles to servers, which refuse roles that they do not know: they go as role `tool`
/// with `name`, from which CWM's chat template makes `tool: NAME` again.
fn message(message: &ChatMessage) -> Value {
    let mut body = match message.role.strip_prefix("tool:") {
        Some(name) => json!({"role": "tool", "name": name.trim(), "content": message.content}),
        None => json!({"role": message.role, "content": message.content}),
    };
    if !message.calls.is_empty() {
        body["tool_calls"] = message.calls.iter().map(call).collect();
        if message.content.is_empty() {
            body["content"] = Value::Null;
        }
    }
    if let Some(id) = &message.call_id {
        body["tool_call_id"] = id.as_str().into();
    }
    body
}

fn call(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments(&call.arguments)},
    })
}

/// A call's arguments: as the model wrote them where they are an object, else within one, as servers parse what they are sent back.
fn arguments(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => text.to_owned(),
        _ if text.trim().is_empty() => "{}".to_owned(),
        _ => json!({"arguments": text}).to_string(),
    }
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    })
}

/// Temperature and top_p always, because servers have defaults of their own; fields that are not OpenAI's only when they say something.
fn sampling(body: &mut Map<String, Value>, sampling: &SamplingParameters, first: usize) {
    let plain = SamplingParameters::default();
    let number = |value: f32| Value::from((f64::from(value) * 1e6).round() / 1e6);
    body.insert("temperature".into(), number(sampling.temperature));
    body.insert("top_p".into(), number(sampling.top_p));
    // Servers take signed integers.
    let seed = sampling.seed.wrapping_add(first as u64) & i64::MAX as u64;
    body.insert("seed".into(), seed.into());
    for (name, value, default) in [
        ("min_p", sampling.min_p, plain.min_p),
        (
            "repetition_penalty",
            sampling.repetition_penalty,
            plain.repetition_penalty,
        ),
        (
            "frequency_penalty",
            sampling.frequency_penalty,
            plain.frequency_penalty,
        ),
        (
            "presence_penalty",
            sampling.presence_penalty,
            plain.presence_penalty,
        ),
    ] {
        if value != default {
            body.insert(name.into(), number(value));
        }
    }
    if sampling.top_k != plain.top_k {
        body.insert("top_k".into(), sampling.top_k.into());
    }
}
