//! The server source against a server on real sockets that answers as it should; see `fault_tests.rs` for those that do not.

use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::engine::{SamplingParameters, Usage};
use crate::source::{ChatMessage, Prompt, StopReason};
use crate::test_server::{Received, TestServer, begin_stream, end_stream, respond, send_chunk};

fn options(server: &TestServer) -> ServerOptions {
    ServerOptions {
        model: Some("m".to_owned()),
        key: Some(ApiKey::new("sk-secret").unwrap()),
        first_wait: Duration::from_millis(5),
        ..ServerOptions::new(server.address())
    }
}

fn model(server: &TestServer) -> ServerModel {
    ServerModel::new(options(server)).unwrap()
}

fn request(prompt: Prompt) -> GenerateRequest {
    GenerateRequest {
        prompt,
        samples: 1,
        sampling: SamplingParameters::default(),
        max_tokens: Some(16),
        stop: Vec::new(),
        logprobs: None,
        tools: Vec::new(),
    }
}

fn text(words: &str) -> GenerateRequest {
    request(Prompt::Text(words.to_owned()))
}

/// The pieces' texts by sample, and the outcome.
fn collect(
    model: &ServerModel,
    request: &GenerateRequest,
) -> (Vec<Piece>, Result<Vec<Completion>, ModelError>) {
    let mut pieces = Vec::new();
    let outcome = model.generate(request, &mut |piece| {
        if !piece.is_heartbeat() {
            pieces.push(piece);
        }
        ControlFlow::Continue(())
    });
    (pieces, outcome)
}

fn failure(model: &ServerModel, request: &GenerateRequest) -> String {
    let error = collect(model, request).1.unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
    error
}

fn event(connection: &mut TcpStream, value: &Value) -> bool {
    send_chunk(connection, format!("data: {value}\n\n").as_bytes())
}

fn raw(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({"choices": [{"index": index, "text": text, "finish_reason": finish}]})
}

/// A whole raw completion.
fn answer(connection: &mut TcpStream, words: &[&str]) {
    begin_stream(connection);
    for word in words {
        event(connection, &raw(0, word, None));
    }
    event(connection, &raw(0, "", Some("stop")));
    send_chunk(connection, b"data: [DONE]\n\n");
    end_stream(connection);
}

fn sent(request: &Received) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

#[path = "fault_tests.rs"]
mod faults;
#[path = "tool_tests.rs"]
mod tools;

#[test]
fn a_conversation_goes_out_as_documented_and_its_answer_comes_in_pieces() {
    let server = TestServer::start(|_, _, connection| {
        begin_stream(connection);
        let delta = |delta: Value, finish: Option<&str>| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        event(
            connection,
            &delta(json!({"role": "assistant", "content": ""}), None),
        );
        event(connection, &delta(json!({"content": "Hel"}), None));
        event(connection, &delta(json!({"content": "lo"}), None));
        event(connection, &delta(json!({}), Some("length")));
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}});
        event(connection, &json!({"choices": [], "usage": usage}));
        send_chunk(connection, b"data: [DONE]\n\n");
        end_stream(connection);
    });
    let message = |role: &str, content: &str| ChatMessage::new(role, content);
    let mut asked = request(Prompt::Chat {
        messages: vec![
            message("user", "hi"),
            message("tool: bash", "<output>\n1\n</output>"),
        ],
        assistant_prefix: "<think>\n".to_owned(),
    });
    asked.stop = vec!["\n\n".to_owned()];
    asked.sampling.temperature = 0.7;
    asked.sampling.seed = u64::MAX;
    asked.sampling.min_p = 0.05;
    let (pieces, outcome) = collect(&model(&server), &asked);
    let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(texts, ["Hel", "lo"]);
    let completions = outcome.unwrap();
    let usage = Usage {
        prompt_tokens: 9,
        cached_tokens: 4,
        completion_tokens: 3,
    };
    assert_eq!(completions.len(), 1);
    assert_eq!(
        (completions[0].text.as_str(), completions[0].reason),
        ("Hello", StopReason::Length)
    );
    assert_eq!(completions[0].usage, usage);

    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].line, "POST /v1/chat/completions");
    assert_eq!(received[0].header("authorization"), Some("Bearer sk-secret"));
    let expected = json!({
        "model": "m", "n": 1, "stream": true, "stream_options": {"include_usage": true},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "tool", "name": "bash", "content": "<output>\n1\n</output>"},
            {"role": "assistant", "content": "<think>\n"},
        ],
        "continue_final_message": true, "add_generation_prompt": false,
        "max_tokens": 16, "stop": ["\n\n"], "temperature": 0.7, "top_p": 1.0, "min_p": 0.05, "seed": i64::MAX,
    });
    assert_eq!(sent(&received[0]), expected);
}

#[test]
fn raw_prompts_and_token_ids_go_to_the_other_route() {
    let server = TestServer::start(|_, _, connection| answer(connection, &["x"]));
    let mut asked = text("def f(");
    asked.max_tokens = None;
    collect(&model(&server), &asked).1.unwrap();
    collect(&model(&server), &request(Prompt::Tokens(vec![1, 2])))
        .1
        .unwrap();
    let received = server.received();
    assert!(
        received
            .iter()
            .all(|request| request.line == "POST /v1/completions")
    );
    let (first, second) = (sent(&received[0]), sent(&received[1]));
    assert_eq!(
        (&first["prompt"], first.get("max_tokens")),
        (&json!("def f("), Some(&Value::Null))
    );
    assert_eq!(second["prompt"], json!([1, 2]));
}

#[test]
fn characters_cut_anywhere_arrive_whole() {
    let server = TestServer::start(|_, _, connection| {
        begin_stream(connection);
        let stream = format!(
            "data: {}\r\n\r\n: keep-alive\r\n\r\ndata: [DONE]\r\n\r\n",
            raw(0, "né 🦀 漢", Some("stop"))
        );
        for byte in stream.as_bytes() {
            send_chunk(connection, &[*byte]);
        }
        end_stream(connection);
    });
    assert_eq!(
        collect(&model(&server), &text("p")).1.unwrap()[0].text,
        "né 🦀 漢"
    );
}

#[test]
fn samples_are_kept_apart_and_share_the_servers_count() {
    let server = TestServer::start(|_, _, connection| {
        begin_stream(connection);
        for value in [
            raw(1, "b", None),
            raw(0, "a", None),
            raw(1, "bb", Some("stop")),
            raw(0, "aa", None),
            raw(0, "!", Some("length")),
            raw(7, "nobody's", None),
            json!({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 11}}),
        ] {
            event(connection, &value);
        }
        end_stream(connection);
    });
    let asked = GenerateRequest {
        samples: 2,
        ..text("p")
    };
    let (pieces, outcome) = collect(&model(&server), &asked);
    let completions = outcome.unwrap();
    let told: Vec<_> = completions
        .iter()
        .map(|one| (one.text.as_str(), one.reason))
        .collect();
    assert_eq!(told, [("aaa!", StopReason::Length), ("bbb", StopReason::Stop)]);
    assert_eq!(
        completions
            .iter()
            .map(|one| one.usage.completion_tokens)
            .sum::<usize>(),
        11
    );
    assert_eq!(
        pieces.iter().map(|piece| piece.sample).collect::<Vec<_>>(),
        [1, 0, 1, 0, 0]
    );
}

/// Some servers know no `n`, some say so.
#[test]
fn samples_that_a_server_leaves_out_are_asked_for_again() {
    for refuses in [false, true] {
        let server = TestServer::start(move |_, request, connection| {
            let body = sent(request);
            if refuses && body["n"] != 1 {
                return respond(
                    connection,
                    400,
                    "",
                    b"{\"error\":{\"message\":\"Only one completion choice is allowed\"}}",
                );
            }
            answer(connection, &[&format!("seed {}", body["seed"])]);
        });
        let asked = GenerateRequest {
            samples: 3,
            ..text("p")
        };
        let (pieces, outcome) = collect(&model(&server), &asked);
        let texts: Vec<String> = outcome.unwrap().into_iter().map(|one| one.text).collect();
        assert_eq!(texts, ["seed 0", "seed 1", "seed 2"], "{refuses}");
        assert_eq!(
            pieces.iter().map(|piece| piece.sample).collect::<Vec<_>>(),
            [0, 1, 2]
        );
    }
}

#[test]
fn probabilities_come_with_token_numbers() {
    let server = TestServer::start(|_, request, connection| {
        begin_stream(connection);
        let logprobs = if request.line.contains("chat") {
            json!({"content": [
                {"token": "token_id:5", "logprob": -0.5, "top_logprobs": [{"token": "token_id:5", "logprob": -0.5}, {"id": 9, "token": "x", "logprob": -1.0}]},
                {"id": 6, "token": "y", "logprob": -0.25, "top_logprobs": []}]})
        } else {
            json!({"tokens": ["token_id:5", "token_id:6"], "token_logprobs": [-0.5, -0.25],
                "top_logprobs": [{"token_id:9": -1.0, "token_id:5": -0.5}, null]})
        };
        event(
            connection,
            &json!({"choices": [{"index": 0, "text": "xy", "logprobs": logprobs, "finish_reason": "stop"}]}),
        );
        end_stream(connection);
    });
    let chat = Prompt::Chat {
        messages: Vec::new(),
        assistant_prefix: String::new(),
    };
    for prompt in [chat, Prompt::Text("p".to_owned())] {
        let asked = GenerateRequest {
            logprobs: Some(2),
            ..request(prompt)
        };
        let (pieces, outcome) = collect(&model(&server), &asked);
        assert_eq!(outcome.unwrap()[0].tokens, [5, 6]);
        let told: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.text.as_str(), piece.token))
            .collect();
        assert_eq!(told, [("xy", Some(5)), ("", Some(6))]);
        let first = pieces[0].logprobs.as_ref().unwrap();
        assert_eq!(first.sampled.logprob, -0.5);
        assert_eq!(first.top.iter().map(|one| one.token).collect::<Vec<_>>(), [5, 9]);
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood_too() {
    let server = TestServer::start(|_, _, connection| {
        let body = json!({"choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 3}});
        respond(
            connection,
            200,
            "Content-Type: application/json\r\n",
            body.to_string().as_bytes(),
        );
    });
    let completions = collect(&model(&server), &text("p")).1.unwrap();
    assert_eq!(
        (
            completions[0].text.as_str(),
            completions[0].usage.completion_tokens
        ),
        ("all at once", 3)
    );
}
