//! The little of HTTP/1.1 that asking a container engine for its version takes: one GET on a fresh stream,
//! its body by length, by chunks, or up to the end.

use std::io::{self, ErrorKind, Read, Write};

/// The most that an answer may hold.
const LIMIT: usize = 256 << 10;

/// Sends one GET and returns the body of a 200. `arm` runs before each read and write, to set their time limit.
pub(crate) fn get<Stream: Read + Write>(
    stream: &mut Stream,
    path: &str,
    arm: impl Fn(&Stream) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    arm(stream)?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(body) = body_of(&answer)? {
            return Ok(body);
        }
        arm(stream)?;
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return body_at_end(&answer);
        }
        answer.extend_from_slice(piece.get(..count).unwrap_or_default());
        if answer.len() > LIMIT {
            return Err(invalid("its answer is too long"));
        }
    }
}

/// The head's end: the status line and headers, and what follows them.
fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((answer.get(..at)?, answer.get(at + 4..)?))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The body, once the answer says by itself that it is complete.
fn body_of(answer: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Some((head, rest)) = split(answer) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(head).map_err(|_| invalid("its answer is no HTTP"))?;
    check_status(head)?;
    if header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return unchunk(rest);
    }
    match header(head, "content-length") {
        Some(length) => {
            let length: usize = length
                .parse()
                .map_err(|_| invalid("its answer has no sensible length"))?;
            Ok(rest.get(..length).map(<[u8]>::to_vec))
        }
        None => Ok(None),
    }
}

/// The body of an answer that ends where its stream does.
fn body_at_end(answer: &[u8]) -> io::Result<Vec<u8>> {
    let (head, rest) = split(answer).ok_or_else(|| invalid("its answer is no HTTP"))?;
    let head = std::str::from_utf8(head).map_err(|_| invalid("its answer is no HTTP"))?;
    if header(head, "content-length").is_some() || header(head, "transfer-encoding").is_some() {
        return Err(invalid("its answer is cut short"));
    }
    Ok(rest.to_vec())
}

fn check_status(head: &str) -> io::Result<()> {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(protocol), Some("200")) if protocol.starts_with("HTTP/1.") => Ok(()),
        (Some(protocol), Some(status)) if protocol.starts_with("HTTP/1.") => {
            Err(io::Error::other(format!("it answers with HTTP status {status}")))
        }
        _ => Err(invalid("its answer is no HTTP")),
    }
}

/// The chunks put together, or `None` while the last one is missing.
fn unchunk(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(at) = rest.windows(2).position(|window| window == b"\r\n") else {
            return Ok(None);
        };
        let size = rest.get(..at).and_then(|line| std::str::from_utf8(line).ok());
        let size = size.and_then(|line| line.split(';').next()).map(str::trim);
        let size = size.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let size = size
            .filter(|&size| size <= LIMIT)
            .ok_or_else(|| invalid("its answer has no sensible chunks"))?;
        if size == 0 {
            return Ok(Some(body));
        }
        let start = at + 2;
        let Some(chunk) = rest.get(start..start + size) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        let Some(after) = rest.get(start + size + 2..) else {
            return Ok(None);
        };
        rest = after;
    }
}

fn invalid(words: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, words)
}
