//! Real sockets with answers as engines give them, and with answers that would hang or fool a naive reader.

use std::os::unix::net::UnixListener;
use std::thread;

use super::*;
use crate::cli::Environment;
use crate::cli::doctor::check::Status;

/// Serves each connection with what `answer` makes of its request, and runs the check against it.
fn check_against(answer: impl Fn(&str, &mut UnixStream) + Send + 'static) -> Check {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
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
fn a_chunked_answer_in_small_pieces_names_docker() {
    let found = check_against(|request, stream| {
        let answer: &[u8] = if request.starts_with("GET /_ping ") {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
        } else {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              12\r\n{\"Version\":\"27.1\",\r\n15;x=y\r\n\"ApiVersion\":\"1.46\" } \r\n0\r\n\r\n"
        };
        for piece in answer.chunks(3) {
            stream.write_all(piece).unwrap();
        }
    });
    assert_eq!(found.status, Status::Ok, "{found:?}");
    assert!(found.found.starts_with("Docker 27.1 (API 1.46) at "), "{found:?}");
}

#[test]
fn an_answer_up_to_the_streams_end_names_podman() {
    let found = check_against(|request, stream| {
        let body = if request.contains("_ping") {
            "OK"
        } else {
            r#"{"Version":"5.2","ApiVersion":"1.41","Components":[{"Name":"Podman Engine"}]}"#
        };
        stream
            .write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes())
            .unwrap();
    });
    assert!(found.found.starts_with("Podman 5.2 (API 1.41) at "), "{found:?}");
}

#[test]
fn a_server_that_is_no_engine_is_not_taken_for_one() {
    for (answer, words) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP status 404",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "no container engine",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nOK", "cut short"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
            "no sensible chunks",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        ("", "no HTTP"),
    ] {
        let found = check_against(move |_, stream| stream.write_all(answer.as_bytes()).unwrap());
        assert_eq!(found.status, Status::Warn);
        assert!(found.found.contains(words), "{answer:?} gave {found:?}");
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
    assert!(found.found.contains("no answer within 2 s"), "{found:?}");
    assert!(start.elapsed() < 2 * PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn a_socket_nobody_listens_on_and_addresses_not_asked_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        check_at(&format!("unix://{}", path.display()))
            .found
            .contains("nothing listens there")
    );
    assert!(
        check_at("unix:///nowhere/docker.sock")
            .found
            .contains("neither Docker nor Podman")
    );
    assert!(check_at("ssh://host").found.contains("only unix:// and tcp://"));
    let tls: Environment = [("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1")]
        .into_iter()
        .collect();
    let found = check(&System {
        root: "/".into(),
        environment: &tls,
    });
    assert!(found.found.contains("TLS"), "{found:?}");
}
