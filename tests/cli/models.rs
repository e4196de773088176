//! `cwm model` and `cwm generate`, with a real model and with servers that play Hugging Face and OpenAI.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::context::{Outcome, TestContext, binary};
use super::test_server::{TestServer, begin_stream, end_stream, respond, send_chunk};

const SMOLLM2: &str = "smollm2-135m";

/// The smallest real model.
fn model() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fetch-models");
    let output = Command::new(script).arg("smollm2").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// A context in which the real model is there by its name.
fn with_model() -> TestContext {
    let cache = model()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    TestContext::new().with("CWM_CACHE", &cache)
}

fn events_named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// Runs `cwm` with that text on stdin.
fn with_input(context: &TestContext, arguments: &[&str], input: &str) -> Outcome {
    let quoted: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
    std::fs::write(context.folder().join("input"), input).unwrap();
    context.shell(&format!("\"$CWM\" {} < input", quoted.join(" ")))
}

#[test]
fn the_list_names_every_model_and_what_is_here() {
    let events = TestContext::new().run(["model", "list", "--json"]).events();
    let entries = events_named(&events, "model.entry");
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "qwen2.5-coder-1.5b",
            "qwen2.5-coder-0.5b",
            SMOLLM2,
            "cwm",
            "cwm-sft",
            "cwm-pretrain"
        ]
    );
    assert!(entries.iter().all(|entry| entry["state"] == "absent"));
    let text = TestContext::new().run(["model", "list"]);
    assert!(text.stdout.contains("non-commercial research only"), "{text:?}");
    let here = with_model().run(["model", "list", "--json"]).events();
    let states: Vec<_> = events_named(&here, "model.entry");
    assert_eq!(states[2]["state"], "present");
}

#[test]
fn a_model_that_is_not_here_is_named_with_the_command_that_fetches_it() {
    let context = TestContext::new();
    for command in [
        "model info smollm2-135m",
        "generate smollm2-135m",
        "model logits smollm2-135m --ids /dev/null",
    ] {
        let outcome = context.shell(&format!(
            "echo '[1]' > ids; \"$CWM\" {} < /dev/null",
            command.replace("/dev/null", "ids")
        ));
        assert_eq!(outcome.code, 3, "{outcome:?}");
        assert!(
            outcome.stderr.contains("`cwm model pull smollm2-135m`"),
            "{outcome:?}"
        );
    }
    let unknown = context.run(["model", "info", "gpt-9"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("`cwm model list` shows the names"),
        "{unknown:?}"
    );
    assert_eq!(context.run(["model", "pull", SMOLLM2, "gpt-9"]).code, 2);
}

/// Interrupted half way by Ctrl-C, resumed by the next pull, checked, and then there.
#[test]
fn a_pull_is_interrupted_resumed_and_checked() {
    let bytes: &'static [u8] = Box::leak(std::fs::read(model()).unwrap().into_boxed_slice());
    let half = bytes.len() / 2;
    let server = TestServer::start(move |number, request, connection| {
        if number > 0 {
            let from: usize = request.header("range").map_or(0, |range| {
                range["bytes=".len()..].trim_end_matches('-').parse().unwrap()
            });
            let range = format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                bytes.len() - 1,
                bytes.len()
            );
            return respond(connection, 206, &range, &bytes[from..]);
        }
        let _ = write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        let _ = connection.write_all(&bytes[..half]);
        std::thread::sleep(Duration::from_secs(20));
    });
    let context = TestContext::new().with("HF_ENDPOINT", &server.address());
    let mut pull = context.command(binary());
    let mut child = pull.args(["model", "pull", SMOLLM2]).spawn().unwrap();
    let part = context
        .folder()
        .join("home/.cache/cwm/models/smollm2-135m-instruct-q4_1.gguf.part");
    let started = Instant::now();
    while part.metadata().map_or(0, |data| data.len()) < half as u64 {
        assert!(started.elapsed() < Duration::from_secs(30), "nothing comes");
        std::thread::sleep(Duration::from_millis(10));
    }
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let outcome = context.run(["model", "pull", SMOLLM2, "--json"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let events = outcome.events();
    assert!(!events_named(&events, "model.progress").is_empty());
    let path = events_named(&events, "model.pulled")[0]["path"]
        .as_str()
        .unwrap()
        .replace("[FOLDER]", context.folder().to_str().unwrap());
    assert!(std::fs::read(path).unwrap() == bytes);
    assert_eq!(
        server.received()[1].header("range"),
        Some(format!("bytes={half}-").as_str())
    );
    let again = context.run(["model", "pull", SMOLLM2]);
    assert_eq!((again.code, server.received().len()), (0, 2), "{again:?}");
}

fn interrupt(process: u32) {
    assert!(
        Command::new("kill")
            .args(["-INT", &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_pull_that_fails_says_why_for_each_source() {
    let server = TestServer::start(|_, _, connection| respond(connection, 404, "", b""));
    let context = TestContext::new().with("HF_ENDPOINT", &server.address());
    let bin = context.folder().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let context = context.with("PATH", &format!("{}:{path}", bin.display()));
    let outcome = context.shell(
        "printf '#!/bin/sh\\necho ERROR: no route to any index >&2\\nexit 1\\n' > bin/pip; chmod +x bin/pip
         \"$CWM\" model pull smollm2-135m",
    );
    assert_eq!(outcome.code, 3, "{outcome:?}");
    for words in ["it has no such file", "no route to any index", "--file FILE"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    }
    let gated = TestServer::start(|_, _, connection| respond(connection, 401, "", b""));
    let context = context.with("HF_ENDPOINT", &gated.address());
    let outcome = context.run(["model", "pull", "cwm"]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    for words in ["non-commercial research only", "set HF_TOKEN"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    }
}

#[test]
fn info_says_what_a_model_is_and_takes() {
    let context = with_model();
    let events = context
        .run([
            "model",
            "info",
            SMOLLM2,
            "--json",
            "--context",
            "1000",
            "--batch",
            "3",
        ])
        .events();
    let info = events_named(&events, "model.info")[0];
    for (field, value) in [
        ("architecture", json!("llama")),
        ("layers", json!(30)),
        ("full_layers", json!(30)),
        ("heads", json!(9)),
        ("kv_heads", json!(3)),
        ("head_dim", json!(64)),
        ("vocabulary", json!(49152)),
        ("context", json!(8192)),
        ("tied_head", json!(true)),
        ("parameters", json!(134_515_008)),
        ("file_bytes", json!(98_362_432)),
        // 30 layers, keys and values, 3 heads of 64 elements of 2 bytes.
        ("kv_bytes_per_token_full", json!(23_040)),
        ("kv_bytes_per_token_window", json!(0)),
        // 16 pages of 64 tokens for each of 3 sequences.
        ("kv_bytes", json!(23_040 * 1024 * 3)),
    ] {
        assert_eq!(info[field], value, "{field}: {info}");
    }
    let text = context.run(["model", "info", SMOLLM2, "--kv", "q8"]);
    assert!(
        text.stdout.contains("Q4_1") && text.stdout.contains("8192 tokens and batch 1"),
        "{text:?}"
    );
    let folder = context.run(["model", "info", "."]);
    assert_eq!(folder.code, 3, "{folder:?}");
}

#[test]
fn logits_are_one_object_and_the_back_ends_agree() {
    let context = with_model();
    std::fs::write(context.folder().join("ids"), "[1, 504, 3575, 282]").unwrap();
    let rows = |backend: &str| {
        let outcome = context.run([
            "model",
            "logits",
            SMOLLM2,
            "--ids",
            "ids",
            "--json",
            "--backend",
            backend,
        ]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 1);
        let rows: Vec<Vec<f32>> = serde_json::from_value(value["logits"].clone()).unwrap();
        rows
    };
    let (fast, plain) = (rows("cpu"), rows("reference"));
    assert_eq!((fast.len(), fast[0].len()), (4, 49152));
    let best = |row: &[f32]| {
        (0..row.len())
            .max_by(|one, other| row[*one].total_cmp(&row[*other]))
            .unwrap()
    };
    for (fast, plain) in fast.iter().zip(&plain) {
        let token = best(plain);
        assert!(
            (fast[token] - plain[token]).abs() < 1.0,
            "{} {}",
            fast[token],
            plain[token]
        );
    }
    let text = context
        .run([
            "model",
            "logits",
            SMOLLM2,
            "--ids",
            "ids",
            "--backend",
            "reference",
        ])
        .stdout;
    let last = text.lines().last().unwrap();
    assert!(last.contains(&format!("token {:>7}", best(&plain[3]))), "{last}");
    for (ids, words) in [
        ("[49152]", "not in the vocabulary"),
        ("[]", "no token ids"),
        ("{}", "not a JSON list"),
    ] {
        std::fs::write(context.folder().join("ids"), ids).unwrap();
        let outcome = context.run(["model", "logits", SMOLLM2, "--ids", "ids", "--json"]);
        assert!(
            outcome.code == 2 && outcome.stdout.is_empty() && outcome.stderr.contains(words),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_real_model_answers_on_the_command_line() {
    let context = with_model();
    let question = "What is the capital of France?";
    let words = [
        "generate",
        SMOLLM2,
        "--chat",
        "--temperature",
        "0",
        "--max-tokens",
        "12",
        "--context",
        "256",
    ];
    let outcome = with_input(&context, &words, question);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("Paris"), "{outcome:?}");
    let json: Vec<&str> = words.into_iter().chain(["--json", "-n", "2"]).collect();
    let events = with_input(&context, &json, question).events();
    let completions = events_named(&events, "generate.completion");
    assert_eq!(
        (completions.len(), &completions[0]["text"]),
        (2, &json!(outcome.stdout))
    );
    let pieces = events_named(&events, "generate.token");
    let said: String = pieces
        .iter()
        .filter(|piece| piece["sample"] == 0)
        .filter_map(|piece| piece["text"].as_str())
        .collect();
    assert_eq!(said, outcome.stdout);
    let usage = events_named(&events, "generate.usage")[0];
    assert!(usage["completion_tokens"].as_u64().unwrap() > 2, "{usage}");
}

#[test]
fn a_server_answers_on_the_command_line_and_ctrl_c_ends_it() {
    let server = TestServer::start(|number, request, connection| {
        assert_eq!(request.header("authorization"), Some("Bearer sk-secret"));
        begin_stream(connection);
        send_chunk(
            connection,
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"So far\"}}]}\n\n",
        );
        if number > 0 {
            std::thread::sleep(Duration::from_secs(20));
        }
        send_chunk(
            connection,
            b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        );
        end_stream(connection);
    });
    let context = TestContext::new().with("CWM_API_KEY", "sk-secret");
    let words = ["generate", &server.address(), "--model-name", "m", "--chat"];
    let outcome = with_input(&context, &words, "hi");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (0, "So far", "")
    );
    let sent: Value = serde_json::from_str(&server.received()[0].body).unwrap();
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "hi"}]));

    let mut child = context
        .command(binary())
        .args(words)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(b"hi"));
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 6];
    std::io::Read::read_exact(&mut out, &mut first).unwrap();
    let started = Instant::now();
    interrupt(child.id());
    assert_eq!((child.wait().unwrap().code(), &first), (Some(130), b"So far"));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
