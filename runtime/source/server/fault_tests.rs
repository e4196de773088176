//! Servers that fail, lie or fall silent.

use super::*;

#[test]
fn errors_that_pass_are_waited_out() {
    let server = TestServer::start(|number, _, connection| match number {
        0 => respond(connection, 429, "Retry-After: 0.2\r\n", b"slow down"),
        1 => respond(connection, 503, "", b"{\"error\":{\"message\":\"loading\"}}"),
        // Closed without a byte.
        2 => {}
        // Closed within the head of the stream.
        3 => begin_stream(connection),
        _ => answer(connection, &["ok"]),
    });
    let start = Instant::now();
    assert_eq!(collect(&model(&server), &text("p")).1.unwrap()[0].text, "ok");
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(server.received().len(), 5);
}

#[test]
fn patience_ends() {
    let server = TestServer::start(|_, _, connection| {
        respond(
            connection,
            500,
            "",
            b"{\"error\":{\"message\":\"no GPU, sk-secret\"}}",
        )
    });
    let said = failure(&model(&server), &text("p"));
    assert!(said.contains("answered 500: no GPU, [API key]"), "{said}");
    assert_eq!(server.received().len(), 5);

    let server =
        TestServer::start(|_, _, connection| respond(connection, 429, "Retry-After: 86400\r\n", b"quota"));
    let start = Instant::now();
    assert!(failure(&model(&server), &text("p")).contains("answered 429: quota"));
    assert_eq!(server.received().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_has_been_said_is_never_asked_for_again() {
    type Fault = fn(&mut TcpStream);
    let faults: [(Fault, &str); 3] = [
        (|_| {}, "broke off after 5 characters"),
        (
            |connection| end_stream(connection),
            "broke off after 5 characters",
        ),
        (
            |connection| {
                event(
                    connection,
                    &json!({"error": {"message": "CUDA error", "code": 500}}),
                );
            },
            "CUDA error",
        ),
    ];
    for (fault, words) in faults {
        let server = TestServer::start(move |_, _, connection| {
            begin_stream(connection);
            event(connection, &raw(0, "Hello", None));
            std::thread::sleep(Duration::from_millis(20));
            fault(connection);
        });
        let (pieces, outcome) = collect(&model(&server), &text("p"));
        assert_eq!(pieces.len(), 1);
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        assert_eq!(server.received().len(), 1, "{said}");
    }
}

#[test]
fn errors_inside_a_stream_before_any_text_are_as_good_as_refusals() {
    let server = TestServer::start(|number, _, connection| {
        begin_stream(connection);
        let code = if number == 0 { 503 } else { 400 };
        let message = if number == 0 {
            "busy"
        } else {
            "This model's maximum context length is 64 tokens."
        };
        event(connection, &json!({"error": {"message": message, "code": code}}));
        end_stream(connection);
    });
    let said = failure(&model(&server), &text("p"));
    assert!(
        said.contains("context of 64 tokens") && said.contains("--max-model-len"),
        "{said}"
    );
    assert_eq!(server.received().len(), 2);
}

#[test]
fn refusals_say_what_to_do() {
    let cases: [(u16, &'static str, &[u8], &str); 6] = [
        (
            401,
            "",
            b"{\"error\":{\"message\":\"Incorrect API key: sk-secret\"}}",
            "set CWM_API_KEY or OPENAI_API_KEY",
        ),
        (
            400,
            "",
            b"{\"error\":{\"message\":\"top_p must be in (0, 1]\"}}",
            "top_p must be in (0, 1]",
        ),
        (
            307,
            "Location: http://elsewhere/v1\r\n",
            b"",
            "leads to http://elsewhere/v1",
        ),
        (
            200,
            "Content-Type: text/html\r\n",
            b"<!doctype html><html></html>",
            "often ends in /v1",
        ),
        (
            200,
            "Content-Type: text/event-stream\r\n",
            b"data: {\"choices\": [}\n\n",
            "cannot be read",
        ),
        (
            200,
            "Content-Type: text/event-stream\r\n",
            b"data: \xff\xfe\n\n",
            "not UTF-8",
        ),
    ];
    for (status, headers, body, words) in cases {
        let server = TestServer::start(move |_, _, connection| respond(connection, status, headers, body));
        let said = failure(&model(&server), &text("p"));
        assert!(said.contains(words), "{said}");
        assert_eq!(server.received().len(), 1, "{said}");
    }
}

/// A redirect is not followed, so that the key goes nowhere else.
#[test]
fn a_redirect_leads_nobody_to_the_key() {
    let other = TestServer::start(|_, _, connection| answer(connection, &["stolen"]));
    let location = format!("Location: {}/v1/completions\r\n", other.address());
    let server = TestServer::start(move |_, _, connection| respond(connection, 302, &location, b""));
    failure(&model(&server), &text("p"));
    assert!(other.received().is_empty());
}

#[test]
fn an_unknown_model_is_answered_with_those_that_there_are() {
    let server = TestServer::start(|_, request, connection| {
        if request.line == "GET /v1/models" {
            let list = json!({"data": [{"id": "facebook/cwm", "max_model_len": 131_072}]}).to_string();
            return respond(
                connection,
                200,
                "Content-Type: application/json\r\n",
                list.as_bytes(),
            );
        }
        let body = sent(request);
        if body["model"] == "facebook/cwm" {
            return answer(connection, &["ok"]);
        }
        respond(
            connection,
            404,
            "",
            b"{\"error\":{\"message\":\"The model `m` does not exist.\"}}",
        );
    });
    let said = failure(&model(&server), &text("p"));
    assert!(said.contains("no model `m`; it has: facebook/cwm"), "{said}");
    // Without a name it is the only one there is.
    let unnamed = ServerModel::new(ServerOptions {
        model: None,
        ..options(&server)
    });
    let unnamed = unnamed.unwrap();
    assert_eq!(collect(&unnamed, &text("p")).1.unwrap()[0].text, "ok");
    let info = unnamed.info().unwrap();
    assert_eq!(
        (info.name.as_str(), info.context),
        ("facebook/cwm", Some(131_072))
    );
}

#[test]
fn fields_that_a_server_does_not_know_are_left_out() {
    let server = TestServer::start(|_, request, connection| {
        let body = sent(request);
        for field in ["stream_options", "return_tokens_as_token_ids"] {
            if body.get(field).is_some() {
                let message = format!("{{\"error\":{{\"message\":\"Unrecognized argument: {field}\"}}}}");
                return respond(connection, 400, "", message.as_bytes());
            }
        }
        answer(connection, &["a", "b"]);
    });
    let asked = GenerateRequest {
        logprobs: Some(2),
        ..text("p")
    };
    let completions = collect(&model(&server), &asked).1.unwrap();
    // Without the server's count each piece is one.
    assert_eq!(
        (
            completions[0].text.as_str(),
            completions[0].usage.completion_tokens
        ),
        ("ab", 2)
    );
    assert_eq!(server.received().len(), 3);
}

#[test]
fn silence_is_a_timeout() {
    let server = TestServer::start(|_, _, connection| {
        begin_stream(connection);
        event(connection, &raw(0, "Hello", None));
        std::thread::sleep(Duration::from_secs(5));
    });
    let impatient = ServerModel::new(ServerOptions {
        idle_timeout: Duration::from_millis(200),
        ..options(&server)
    });
    let start = Instant::now();
    let (pieces, outcome) = collect(&impatient.unwrap(), &text("p"));
    assert_eq!(pieces.len(), 1);
    assert!(outcome.unwrap_err().to_string().contains("sent nothing for"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn nobody_there_is_said_so() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = ServerModel::new(ServerOptions {
        model: Some("m".to_owned()),
        retries: 2,
        first_wait: Duration::from_millis(1),
        ..ServerOptions::new(format!("http://127.0.0.1:{port}"))
    });
    let said = failure(&nobody.unwrap(), &text("p"));
    assert!(
        said.contains("cannot be reached") && said.contains(&port.to_string()),
        "{said}"
    );
}

/// Cancelled while the server is silent, and while it talks: at once, and the server sees the connection close.
#[test]
fn breaking_the_sink_closes_the_connection() {
    for talks in [false, true] {
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let server = TestServer::start(move |_, _, connection| {
            begin_stream(connection);
            event(connection, &raw(0, "Hello", None));
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
                let bytes: &[u8] = if talks {
                    b"data: {\"choices\":[{\"text\":\"x\"}]}\n\n"
                } else {
                    b": quiet\n\n"
                };
                if !send_chunk(connection, bytes) {
                    seen.store(true, Ordering::SeqCst);
                    return;
                }
            }
        });
        let start = Instant::now();
        let pieces = Mutex::new(0);
        let outcome = model(&server).generate(&text("p"), &mut |piece| {
            *pieces.lock().unwrap() += usize::from(!piece.is_heartbeat());
            if start.elapsed() > Duration::from_millis(150) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let completions = outcome.unwrap();
        assert!(completions[0].text.starts_with("Hello"), "{completions:?}");
        assert_eq!(completions[0].reason, StopReason::Cancelled);
        let end = Instant::now() + Duration::from_secs(5);
        while !closed.load(Ordering::SeqCst) {
            assert!(Instant::now() < end, "the connection stays open");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
