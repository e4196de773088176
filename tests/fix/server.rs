//! A model behind a server that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::{Desk, END, MEND, SUBMIT, WRITE, refuses};
use crate::cli::test_server::{TestServer, begin_stream, end_stream, respond, send_chunk};

const MODELS: &[u8] = br#"{"data": [{"id": "facebook/cwm", "max_model_len": 32768}]}"#;

/// A server that plays the script, and drops whoever asks while `down` is set, which it sets itself after its first answer.
fn server(down: &Arc<AtomicBool>) -> TestServer {
    let (down, next) = (down.clone(), AtomicUsize::new(0));
    TestServer::start(move |_, request, connection| {
        if down.load(Ordering::SeqCst) {
            return;
        }
        if request.line.starts_with("GET") {
            return respond(connection, 200, "Content-Type: application/json\r\n", MODELS);
        }
        let turn = next.fetch_add(1, Ordering::SeqCst);
        let text = [MEND, WRITE, SUBMIT, END][turn];
        let piece = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
        let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        begin_stream(connection);
        for chunk in [piece, last] {
            send_chunk(connection, format!("data: {chunk}\n\n").as_bytes());
        }
        send_chunk(connection, b"data: [DONE]\n\n");
        end_stream(connection);
        if turn == 0 {
            down.store(true, Ordering::SeqCst);
        }
    })
}

#[test]
fn a_server_that_goes_away_leaves_a_run_that_goes_on_when_it_is_back() {
    let desk = Desk::calculator();
    let down = Arc::new(AtomicBool::new(false));
    let server = server(&down);
    let address = server.address();
    let done = desk.fix(&address, &[]);
    let place = address.strip_prefix("http://").unwrap();
    let says = [
        "cwm: error: No attempt came to an end; attempt-1:",
        place,
        "hint: What was done is kept: `cwm runs resume",
        "goes on when that is mended",
    ];
    refuses(&done, 3, &says);
    let answers = |desk: &Desk| {
        let journal = desk.journal().into_iter();
        journal.filter(|line| line["event"] == "generation").count()
    };
    assert_eq!(answers(&desk), 1);
    // While it is away, going on fails in the same way and loses nothing.
    refuses(&desk.run(&["runs", "resume", "last"]), 3, &[place]);
    down.store(false, Ordering::SeqCst);
    let resumed = desk.run(&["runs", "resume", "last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.text().contains("+    return a + b"), "{}", resumed.text());
    assert_eq!(answers(&desk), 4);
    desk.assert_untouched();
}
