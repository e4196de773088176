//! Tests that a model writes for the issue: what it is sent, and which model that may be.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::Bench;
use super::adversarial::{HONEST, SHOP, TEST};
use crate::cli::test_server::{TestServer, begin_stream, end_stream, respond, send_chunk};

const MODELS: &[u8] = br#"{"data": [{"id": "small", "max_model_len": 32768}]}"#;

/// A server that answers with one assertion and keeps what it was sent.
fn server(heard: &Arc<Mutex<String>>) -> TestServer {
    let heard = heard.clone();
    TestServer::start(move |_, request, connection| {
        if request.line.starts_with("GET") {
            return respond(connection, 200, "Content-Type: application/json\r\n", MODELS);
        }
        heard.lock().unwrap().push_str(&request.body);
        let answer = "```python\nassert total([(3, 3)]) == 9\n```";
        let piece = json!({"choices": [{"index": 0, "delta": {"content": answer}}]});
        let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        begin_stream(connection);
        for chunk in [piece, last] {
            send_chunk(connection, format!("data: {chunk}\n\n").as_bytes());
        }
        send_chunk(connection, b"data: [DONE]\n\n");
        end_stream(connection);
    })
}

#[test]
fn what_goes_to_a_server_goes_without_secrets() {
    let secret = format!("ghp_{}", "a1B2c3D4e5".repeat(4).get(..36).unwrap());
    let bench = Bench::new(&format!("{SHOP}\necho 'TOKEN = \"{secret}\"' >> shop.py"));
    let honest = bench.patch("honest.diff", HONEST);
    let wrong = bench.patch("wrong.diff", "sed -i 's/price + quantity/price/' shop.py");
    let heard = Arc::new(Mutex::new(String::new()));
    let server = server(&heard);
    let words = [
        "-m",
        "total() adds what it must multiply",
        "--issue-tests",
        "1",
        "--model",
    ];
    let patches = [honest.to_str().unwrap(), wrong.to_str().unwrap()];
    let told = bench.rank(&[&TEST[..], &words, &[&*server.address()], &patches].concat());
    assert_eq!(told.code, 0, "{}", told.stderr);
    let heard = heard.lock().unwrap();
    assert!(heard.contains("def total(items)"), "{heard}");
    assert!(!heard.contains(&secret), "{heard}");
}

#[test]
fn the_repository_cannot_have_a_model_fetched() {
    let bench = Bench::new(&format!(
        "{SHOP}\necho 'model = \"qwen2.5-coder-0.5b\"' > cwm.toml"
    ));
    let honest = bench.patch("honest.diff", HONEST);
    let told = bench.rank(&[&TEST[..], &["-m", "total() is wrong", honest.to_str().unwrap()]].concat());
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("cwm model pull"), "{}", told.stderr);
    // Who asks for no tests needs no model.
    let told = bench.rank(&[&TEST[..], &[honest.to_str().unwrap()]].concat());
    assert_eq!(told.code, 0, "{}", told.stderr);
}

#[test]
fn the_table_tells_what_becomes_of_written_tests() {
    let bench = Bench::new(SHOP);
    let honest = bench.patch("honest.diff", HONEST);
    let wrong = bench.patch("wrong.diff", "sed -i 's/price + quantity/price/' shop.py");
    let script =
        "from shop import total\nprint('Issue resolved' if total([(3, 3)]) == 9 else 'Issue reproduced')\n";
    let file = honest.with_file_name("check.py");
    std::fs::write(&file, script).unwrap();
    let words = [
        &TEST[..],
        &[
            "--issue-test",
            file.to_str().unwrap(),
            wrong.to_str().unwrap(),
            honest.to_str().unwrap(),
        ],
    ];
    let done = bench.spawn(&words.concat()).wait_with_output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .take(3)
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(&rows[0][5..7], ["written", "right"], "{text}");
    assert!(
        rows[1][1].ends_with("honest.diff") && rows[2][1].ends_with("wrong.diff"),
        "{text}"
    );
    assert_eq!((rows[1][5], rows[2][5]), ("1 of 1", "0 of 1"), "{text}");
    assert!(rows[1][6].ends_with(" %"), "{text}");
}
