//! Tools through a server: what goes out, and calls that come back whole, in fragments, or not at all.

use super::*;
use crate::source::{ToolCall, ToolDefinition};

fn definition() -> ToolDefinition {
    ToolDefinition {
        name: "bash".to_owned(),
        description: "Runs commands.".to_owned(),
        parameters: json!({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}),
    }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

fn asked(messages: Vec<ChatMessage>) -> GenerateRequest {
    GenerateRequest {
        tools: vec![definition()],
        ..request(Prompt::Chat {
            messages,
            assistant_prefix: String::new(),
        })
    }
}

fn delta(delta: Value, finish: Option<&str>) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// The completion that a server streams in these chunks.
fn streamed(chunks: Vec<Value>) -> Completion {
    let server = TestServer::start(move |_, _, connection| {
        begin_stream(connection);
        for chunk in &chunks {
            event(connection, chunk);
        }
        send_chunk(connection, b"data: [DONE]\n\n");
        end_stream(connection);
    });
    let (_, outcome) = collect(&model(&server), &asked(Vec::new()));
    outcome.unwrap().remove(0)
}

fn fragment(index: usize, fields: Value) -> Value {
    let mut call = fields;
    call["index"] = index.into();
    delta(json!({"tool_calls": [call]}), None)
}

fn more(arguments: &str) -> Value {
    json!({"function": {"arguments": arguments}})
}

#[test]
fn tools_calls_and_results_go_out_as_documented() {
    let server = TestServer::start(|_, _, connection| answer(connection, &["done"]));
    let said = ChatMessage {
        calls: vec![
            call("1", "bash", "{\"command\": \"ls\"}"),
            call("2", "bash", "{\"command"),
            call("3", "bash", ""),
        ],
        ..ChatMessage::new("assistant", "")
    };
    let result = ChatMessage {
        call_id: Some("1".to_owned()),
        ..ChatMessage::new("tool", "a.py")
    };
    let named = ChatMessage {
        call_id: Some("2".to_owned()),
        ..ChatMessage::new("tool: bash", "?")
    };
    let talking = ChatMessage {
        content: "I look.".to_owned(),
        calls: vec![call("4", "bash", "{}")],
        ..said.clone()
    };
    let messages = vec![ChatMessage::new("user", "hi"), said, result, named, talking];
    collect(&model(&server), &asked(messages)).1.unwrap();
    let function = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "bash", "arguments": arguments}});
    let body = sent(&server.received()[0]);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [
                function("1", "{\"command\": \"ls\"}"),
                function("2", "{\"arguments\":\"{\\\"command\"}"),
                function("3", "{}"),
            ]},
            {"role": "tool", "content": "a.py", "tool_call_id": "1"},
            {"role": "tool", "name": "bash", "content": "?", "tool_call_id": "2"},
            {"role": "assistant", "content": "I look.", "tool_calls": [function("4", "{}")]},
        ])
    );
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": {"name": "bash", "description": "Runs commands.", "parameters": definition().parameters}}])
    );
    // Raw prompts have no place for tools, and a request without any sends none.
    let raw = GenerateRequest {
        tools: vec![definition()],
        ..text("p")
    };
    collect(&model(&server), &raw).1.unwrap();
    let none = GenerateRequest {
        tools: Vec::new(),
        ..asked(Vec::new())
    };
    collect(&model(&server), &none).1.unwrap();
    let received = server.received();
    assert!(
        received[1..]
            .iter()
            .all(|request| sent(request).get("tools").is_none())
    );
}

#[test]
fn calls_are_put_together_from_their_fragments() {
    let completion = streamed(vec![
        delta(json!({"role": "assistant", "content": null}), None),
        delta(json!({"reasoning_content": "I should look."}), None),
        delta(json!({"content": "I look."}), None),
        fragment(
            0,
            json!({"id": "a", "type": "function", "function": {"name": "bash", "arguments": ""}}),
        ),
        fragment(0, more("{\"command\": \"l")),
        fragment(
            1,
            json!({"id": "b", "type": "function", "function": {"name": "edit", "arguments": "{\"path\""}}),
        ),
        fragment(0, more("s é\"}")),
        // As some servers do it: id and name once more.
        fragment(
            1,
            json!({"id": "b", "function": {"name": "edit", "arguments": ": \"x\"}"}}),
        ),
        delta(json!({}), Some("tool_calls")),
        json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 20}}),
    ]);
    assert_eq!(
        (completion.text.as_str(), completion.reason),
        ("I look.", StopReason::Stop)
    );
    assert_eq!(
        completion.calls,
        [
            call("a", "bash", "{\"command\": \"ls é\"}"),
            call("b", "edit", "{\"path\": \"x\"}")
        ]
    );
    assert_eq!(completion.usage.completion_tokens, 20);
}

#[test]
fn calls_without_numbers_are_told_apart_by_their_ids() {
    let both = json!([
        {"id": "a", "function": {"name": "bash", "arguments": {"command": "ls"}}},
        {"id": "b", "function": {"name": "bash", "arguments": "{}"}},
    ]);
    let expected = [call("a", "bash", "{\"command\":\"ls\"}"), call("b", "bash", "{}")];
    assert_eq!(
        streamed(vec![delta(json!({"tool_calls": both}), Some("tool_calls"))]).calls,
        expected
    );
    let server = TestServer::start(move |_, _, connection| {
        let body = json!({"choices": [{"message": {"content": null, "tool_calls": both}, "finish_reason": "tool_calls"}]});
        let body = body.to_string();
        respond(
            connection,
            200,
            "Content-Type: application/json\r\n",
            body.as_bytes(),
        );
    });
    let completion = collect(&model(&server), &asked(Vec::new())).1.unwrap().remove(0);
    assert_eq!(
        (completion.calls.as_slice(), completion.text.as_str()),
        (expected.as_slice(), "")
    );
}

#[test]
fn wrong_and_unfinished_arguments_are_passed_on() {
    let completion = streamed(vec![
        fragment(
            0,
            json!({"id": "a", "function": {"name": "bash", "arguments": "{\"command\": ls}"}}),
        ),
        fragment(
            3,
            json!({"id": "b", "function": {"name": "edit", "arguments": "{\"path\": \"x"}}),
        ),
        delta(json!({}), Some("length")),
    ]);
    assert_eq!(completion.reason, StopReason::Length);
    let arguments: Vec<&str> = completion
        .calls
        .iter()
        .map(|call| call.arguments.as_str())
        .collect();
    assert_eq!(arguments, ["{\"command\": ls}", "{\"path\": \"x"]);
}

#[test]
fn a_server_that_makes_calls_without_end_does_not_fill_memory_with_them() {
    let calls: Vec<Value> = (0..2000)
        .map(|index| json!({"index": index, "id": index.to_string()}))
        .collect();
    let completion = streamed(vec![delta(json!({"tool_calls": calls}), Some("stop"))]);
    assert_eq!(completion.calls.len(), 256);
}

/// Half a call is as much as half a text: it is not asked for again.
#[test]
fn a_stream_that_breaks_off_within_a_call_is_an_error() {
    let server = TestServer::start(|_, _, connection| {
        begin_stream(connection);
        event(
            connection,
            &fragment(
                0,
                json!({"id": "a", "function": {"name": "bash", "arguments": "{"}}),
            ),
        );
        end_stream(connection);
    });
    let said = failure(&model(&server), &asked(Vec::new()));
    assert!(said.contains("broke off"), "{said}");
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_model_that_only_thinks_can_be_cancelled() {
    let server = TestServer::start(|_, _, connection| {
        begin_stream(connection);
        while event(connection, &delta(json!({"reasoning_content": "hm"}), None)) {}
    });
    let mut asked_for = 0;
    let completions = model(&server).generate(&asked(Vec::new()), &mut |piece| {
        assert!(piece.is_heartbeat());
        asked_for += 1;
        if asked_for == 50 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(completions.unwrap()[0].reason, StopReason::Cancelled);
}

#[test]
fn servers_that_take_no_tools_are_answered_with_what_to_do() {
    for (status, message) in [
        (
            400,
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
        ),
        (400, "registry.example/library/m does not support tools"),
        (500, "tools param requires --jinja flag"),
        (404, "No endpoints found that support tool use."),
        (422, "Extra inputs are not permitted: tools"),
    ] {
        let body = json!({"error": {"message": message}}).to_string();
        let server =
            TestServer::start(move |_, _, connection| respond(connection, status, "", body.as_bytes()));
        let said = failure(&model(&server), &asked(Vec::new()));
        assert!(
            said.contains("--tool-format tags") && said.contains(message),
            "{said}"
        );
        assert_eq!(server.received().len(), 1, "{said}");
        // Without tools it is an error like any other.
        let none = GenerateRequest {
            tools: Vec::new(),
            ..asked(Vec::new())
        };
        let quick = ServerModel::new(ServerOptions {
            retries: 0,
            ..options(&server)
        });
        let said = failure(&quick.unwrap(), &none);
        assert!(!said.contains("--tool-format"), "{said}");
    }
    let body =
        br#"{"error":{"message":"This model's maximum context length is 64 tokens, tools included."}}"#;
    let server = TestServer::start(move |_, _, connection| respond(connection, 400, "", body));
    let said = failure(&model(&server), &asked(Vec::new()));
    assert!(said.contains("context of 64 tokens"), "{said}");
}

#[test]
fn how_a_model_calls_tools_goes_by_its_name_unless_it_is_said() {
    for (name, said, expected) in [
        ("facebook/CWM", None, CallFormat::Tags),
        ("Qwen/Qwen3-32B", None, CallFormat::Native),
        ("facebook/cwm", Some(CallFormat::Native), CallFormat::Native),
        ("m", Some(CallFormat::Tags), CallFormat::Tags),
    ] {
        let server = TestServer::start(move |_, _, connection| {
            let list = json!({"data": [{"id": name}]}).to_string();
            respond(
                connection,
                200,
                "Content-Type: application/json\r\n",
                list.as_bytes(),
            );
        });
        let model = ServerModel::new(ServerOptions {
            model: Some(name.to_owned()),
            calls: said,
            ..options(&server)
        });
        assert_eq!(model.unwrap().info().unwrap().calls, expected, "{name}");
    }
}
