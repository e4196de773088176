//! Real sockets with answers as engines give them, and with answers that would hang or fool a naive reader.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::cli::Environment;
use crate::cli::doctor::check::Status;

/// Serves each connection with what `answer` makes of its first request, and runs the check against it.
fn check_against(answer: impl Fn(&str, &mut UnixStream) + Send + 'static) -> Check {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                request.push(byte[0]);
            }
            answer(std::str::from_utf8(&request).unwrap(), &mut stream);
        }
    });
    check_at(&format!("unix://{}", path.display()))
}

fn check_at(host: &str) -> Check {
    let environment = [("DOCKER_HOST", host)].into_iter().collect::<Environment>();
    check(&System {
        root: "/".into(),
        environment: &environment,
    })
}

#[test]
fn an_engine_that_answers_is_named() {
    for (version, words) in [
        (r#"{"Version":"27.1","ApiVersion":"1.46"}"#, "Docker 27.1 at "),
        (
            r#"{"ApiVersion":"1.41","Components":[{"Name":"Podman Engine","Version":"5.2"}]}"#,
            "Podman 5.2",
        ),
    ] {
        let found = check_against(move |request, stream| {
            let body = if request.contains("/info") { "{}" } else { version };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            for piece in answer.as_bytes().chunks(7) {
                // A connection that asked nothing is closed by now.
                let _ = stream.write_all(piece);
            }
        });
        assert_eq!(found.status, Status::Ok, "{found:?}");
        assert!(found.found.starts_with(words), "{found:?}");
    }
}

#[test]
fn a_server_that_is_no_engine_is_not_taken_for_one() {
    for answer in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nOK",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "",
    ] {
        let found = check_against(move |_, stream| {
            let _ = stream.write_all(answer.as_bytes());
        });
        assert_eq!(found.status, Status::Warn, "{answer:?} gave {found:?}");
        assert!(
            found.found.starts_with("none answers"),
            "{answer:?} gave {found:?}"
        );
    }
}

#[test]
fn a_daemon_that_never_finishes_is_given_up() {
    let start = Instant::now();
    let found = check_against(|_, stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(found.status, Status::Warn, "{found:?}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_socket_nobody_listens_on_and_addresses_not_asked_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.sock");
    drop(UnixListener::bind(&path).unwrap());
    let dead = check_at(&format!("unix://{}", path.display()));
    assert!(
        dead.found.contains("dead.sock") && dead.found.contains("refused"),
        "{dead:?}"
    );
    let absent = check_at("unix:///nowhere/docker.sock");
    assert!(absent.found.contains("/nowhere/docker.sock"), "{absent:?}");
    let far = check_at("ssh://host");
    assert!(
        far.cure
            .is_some_and(|cure| cure.contains("only an engine on this machine"))
    );
}
