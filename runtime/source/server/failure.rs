//! What a server's refusal means: the sentence in its answer, and whether it says that the context is too short.

use serde_json::Value;

use crate::source::ModelError;

/// How many characters of a server's answer are shown.
const SHOWN: usize = 600;

/// The sentence in an error's body: OpenAI's form, older ones of vLLM and FastAPI, or the text as it is.
pub(super) fn sentence(body: &str) -> String {
    let found = serde_json::from_str::<Value>(body).ok().and_then(|value| {
        let error = value.get("error").unwrap_or(&value);
        let candidates = [error.get("message"), error.get("detail"), Some(error)];
        candidates
            .into_iter()
            .flatten()
            .find_map(|candidate| candidate.as_str().map(str::to_owned))
    });
    let text = match found {
        Some(text) => text,
        None if looks_like_html(body) => "a web page instead of an answer".to_owned(),
        None if body.trim().is_empty() => "nothing more".to_owned(),
        None => body.to_owned(),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Whether a body is a web page.
pub(super) fn looks_like_html(body: &str) -> bool {
    let start: String = body.trim_start().chars().take(15).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// The status that an error inside a stream names.
pub(super) fn status_of(error: &Value) -> Option<u16> {
    let code = error.get("code").or_else(|| error.get("status"))?;
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(number)
        .ok()
        .filter(|status| (400..600).contains(status))
}

/// The error that a refusal stands for. `body` is the whole answer.
pub(super) fn of_refusal(url: &str, status: u16, body: &str) -> ModelError {
    let message = sentence(body);
    let url = url.to_owned();
    if (400..500).contains(&status) && speaks_of_context(body) {
        let (allowed, asked) = context_numbers(&message, body);
        return ModelError::ServerContext {
            url,
            allowed,
            asked,
            message,
        };
    }
    match status {
        401 | 403 => ModelError::Key { url, status, message },
        _ => ModelError::Server { url, status, message },
    }
}

/// The error of a refusal of a request that announced tools, if it is those that the server does not take.
pub(super) fn of_tools(error: &ModelError, body: &str) -> Option<ModelError> {
    let ModelError::Server { url, status, message } = error else {
        return None;
    };
    let body = body.to_lowercase();
    let speaks_of_tools = [
        "tools",
        "tool choice",
        "tool_choice",
        "tool-call",
        "tool use",
        "function calling",
    ]
    .iter()
    .any(|words| body.contains(words));
    let refuses = match status {
        400 | 422 | 501 => speaks_of_tools,
        404 => body.contains("support tool"),
        _ => false,
    };
    // llama.cpp answers 500 and names its own option.
    (refuses || body.contains("--jinja")).then(|| ModelError::Tools {
        url: url.clone(),
        message: message.clone(),
    })
}

/// An answer that is not what the protocol says.
pub(super) fn protocol(url: &str, message: &str) -> ModelError {
    ModelError::Protocol {
        url: url.to_owned(),
        message: message.to_owned(),
    }
}

/// An answer that is a web page.
pub(super) fn web_page(url: &str) -> ModelError {
    protocol(
        url,
        "it is a web page, not JSON; give the address of the OpenAI-compatible interface, which often ends in /v1",
    )
}

/// What vLLM, SGLang, llama.cpp and OpenAI say of a prompt that is too long, in lower case. A number after it is the limit.
const LIMIT_PHRASES: [&str; 7] = [
    "maximum context length",
    "model's context length",
    "available context size",
    "maximum model length",
    "context window",
    "maximum allowed length",
    "\"n_ctx\"",
];

fn speaks_of_context(body: &str) -> bool {
    let body = body.to_lowercase();
    ["context_length_exceeded", "exceed_context_size"]
        .iter()
        .chain(&LIMIT_PHRASES)
        .any(|phrase| body.contains(phrase))
}

/// The tokens that are allowed, and those that were asked for, where the message tells.
fn context_numbers(message: &str, body: &str) -> (Option<usize>, Option<usize>) {
    let body = body.to_lowercase();
    let message = message.to_lowercase();
    let allowed = LIMIT_PHRASES
        .iter()
        .find_map(|phrase| number_after(&message, phrase).or_else(|| number_after(&body, phrase)));
    let asked = [
        "a total of ",
        "you requested ",
        "resulted in ",
        "request has ",
        "prompt contains at least ",
        "input (",
        "request (",
        "(length ",
        "\"n_prompt_tokens\"",
    ];
    let asked = asked
        .iter()
        .find_map(|phrase| number_after(&message, phrase).or_else(|| number_after(&body, phrase)));
    (allowed, asked)
}

/// The first number within a few words after a phrase.
fn number_after(text: &str, phrase: &str) -> Option<usize> {
    let rest = text.split_once(phrase)?.1;
    let near: String = rest.chars().take(24).collect();
    let start = near.find(|c: char| c.is_ascii_digit())?;
    // A full stop before it: the number belongs to the next sentence.
    let before = near.get(..start)?;
    if before.contains('.') {
        return None;
    }
    // The whole number, even where it goes on after those few words.
    let digits: String = rest
        .get(start..)?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages in the form in which the servers send them.
    #[test]
    fn a_context_that_is_too_short_is_recognised_for_each_server() {
        let cases = [
            (
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5012 tokens (4500 in the messages, 512 in the completion). Please reduce the length of the messages or completion.","type":"BadRequestError","code":400}}"#,
                (Some(4096), Some(5012)),
            ),
            (
                r#"{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 12 input tokens (5000 > 4096 - 12).","code":400}}"#,
                (Some(4096), Some(12)),
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                (Some(8192), Some(9000)),
            ),
            (
                r#"{"object":"error","message":"The input (5000 tokens) is longer than the model's context length (4096 tokens).","type":"BadRequest","code":400}"#,
                (Some(4096), Some(5000)),
            ),
            (
                r#"{"object":"error","message":"Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4500 tokens from the input messages and 500 tokens for the completion.","code":400}"#,
                (Some(4096), Some(5000)),
            ),
            (
                r#"{"error":{"code":400,"message":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
                (Some(4096), Some(5000)),
            ),
            (
                r#"{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
                (Some(4096), Some(5000)),
            ),
        ];
        for (body, numbers) in cases {
            match of_refusal("http://h/v1/chat/completions", 400, body) {
                ModelError::ServerContext { allowed, asked, .. } => {
                    assert_eq!((allowed, asked), numbers, "{body}")
                }
                other => panic!("{body}: {other}"),
            }
        }
    }

    #[test]
    fn other_refusals_keep_their_sentence() {
        for (status, body, said) in [
            (
                400,
                r#"{"error":{"message":"top_p must be in (0, 1]"}}"#,
                "top_p must be in (0, 1]",
            ),
            (400, r#"{"error":"no such\nfield"}"#, "no such field"),
            (422, r#"{"detail":"Not Found"}"#, "Not Found"),
            (500, "oops", "oops"),
            (502, "<!DOCTYPE html><html>…", "a web page instead of an answer"),
            (503, "", "nothing more"),
        ] {
            let text = of_refusal("http://h", status, body).to_string();
            assert!(
                text.contains(said) && text.contains(&status.to_string()),
                "{text}"
            );
        }
        assert!(matches!(
            of_refusal("http://h", 403, "no"),
            ModelError::Key { status: 403, .. }
        ));
        let long = of_refusal("http://h", 500, &"é".repeat(5000)).to_string();
        assert!(long.chars().count() < 800, "{long}");
    }
}
