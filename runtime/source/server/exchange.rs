//! One attempt: the request goes out on a thread of its own, what comes back arrives as messages, so that whoever waits for them can
//! stop at any time.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, Timeout};

use super::sse::{MOST_BYTES, SseError, SseParser};
use crate::retry::retry_after;
use crate::source::ModelError;

/// What an attempt sends to whoever waits.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The data of an event of the stream.
    Event(String),
    /// A whole answer, because the server does not stream.
    Whole(String),
    /// The answer ended, as far as the connection can tell.
    End,
    /// The server said no.
    Refusal {
        status: u16,
        body: String,
        retry_after: Option<Duration>,
    },
    /// The connection failed; whether another attempt may help.
    Broken { error: ModelError, passing: bool },
}

/// A request under way. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Exchange {
    arrivals: Receiver<Arrival>,
    agent: Option<Agent>,
}

/// What is asked, whole.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) url: String,
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<String>,
    /// The body of a POST; without one it is a GET.
    pub(super) body: Option<String>,
    /// How long nothing may come.
    pub(super) idle_timeout: Duration,
}

impl Exchange {
    /// Sends the request.
    pub(super) fn start(agent: Agent, outgoing: Outgoing) -> Result<Exchange, ModelError> {
        // Bounded, so that a reader who waits stops the server too.
        let (sender, arrivals) = sync_channel(256);
        let (kept, url) = (agent.clone(), outgoing.url.clone());
        std::thread::Builder::new()
            .name("cwm-http".to_owned())
            .spawn(move || attempt(&agent, &outgoing, &sender))
            .map_err(|error| ModelError::Connection {
                url,
                message: format!("no thread can be started: {error}"),
            })?;
        Ok(Exchange {
            arrivals,
            agent: Some(kept),
        })
    }

    /// The next arrival; `None` when none comes in that time.
    pub(super) fn next(&self, wait: Duration) -> Option<Arrival> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.arrivals.recv_timeout(wait) {
            Ok(arrival) => Some(arrival),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Arrival::End),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A read that waits returns at once, and the server sees that nobody listens.
        if let Some(agent) = self.agent.take() {
            agent.shutdown();
        }
    }
}

/// Makes the request and passes on what comes. A receiver that has gone ends it quietly.
fn attempt(agent: &Agent, outgoing: &Outgoing, sender: &SyncSender<Arrival>) {
    let last = match exchange(agent, outgoing, sender) {
        Ok(last) => last,
        Err(error) => broken(outgoing, &error),
    };
    let _ = sender.send(last);
}

fn exchange(
    agent: &Agent,
    outgoing: &Outgoing,
    sender: &SyncSender<Arrival>,
) -> Result<Arrival, ureq::Error> {
    let authorization = outgoing.authorization.as_deref();
    let response = match &outgoing.body {
        Some(body) => {
            let mut request = agent.post(&outgoing.url).content_type("application/json");
            if let Some(value) = authorization {
                request = request.header("Authorization", value);
            }
            request
                .header("Accept", "text/event-stream, application/json")
                .send(body.as_str())?
        }
        None => {
            let mut request = agent.get(&outgoing.url);
            if let Some(value) = authorization {
                request = request.header("Authorization", value);
            }
            request.header("Accept", "application/json").call()?
        }
    };
    let status = response.status().as_u16();
    if status != 200 {
        return Ok(refusal(status, response));
    }
    let kind = header(&response, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind.starts_with("text/event-stream") {
        return stream(response.into_body().into_reader(), outgoing, sender);
    }
    let mut body = Vec::new();
    let most = MOST_BYTES as u64;
    response
        .into_body()
        .into_reader()
        .take(most)
        .read_to_end(&mut body)?;
    // Some servers stream under another name.
    let (start, trimmed) = (body.len(), body.trim_ascii_start());
    if start > 0 && (trimmed.starts_with(b"data:") || trimmed.starts_with(b":")) {
        return stream(body.as_slice(), outgoing, sender);
    }
    Ok(Arrival::Whole(String::from_utf8_lossy(&body).into_owned()))
}

fn stream(
    mut reader: impl Read,
    outgoing: &Outgoing,
    sender: &SyncSender<Arrival>,
) -> Result<Arrival, ureq::Error> {
    let mut parser = SseParser::default();
    let mut buffer = vec![0_u8; 16 << 10];
    let mut events = Vec::new();
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let taken = match buffer.get(..count) {
            None | Some([]) => parser.finish(&mut events),
            Some(bytes) => parser.push(bytes, &mut events),
        };
        for event in events.drain(..) {
            if sender.send(Arrival::Event(event)).is_err() {
                return Ok(Arrival::End);
            }
        }
        if let Err(error) = taken {
            let message = match error {
                SseError::TooLarge => "one event of its stream is larger than 16 MiB",
                SseError::NotUtf8 => "its stream is not UTF-8",
            };
            let (url, message) = (outgoing.url.clone(), message.to_owned());
            return Ok(Arrival::Broken {
                error: ModelError::Protocol { url, message },
                passing: false,
            });
        }
        if count == 0 {
            return Ok(Arrival::End);
        }
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn refusal(status: u16, response: Response<Body>) -> Arrival {
    let wait = header(&response, "retry-after").and_then(|value| retry_after(value, SystemTime::now()));
    let elsewhere = header(&response, "location").map(str::to_owned);
    let mut body = Vec::new();
    // A body that breaks off says what it says.
    let _ = response
        .into_body()
        .into_reader()
        .take(1 << 16)
        .read_to_end(&mut body);
    let body = match elsewhere {
        Some(target) if (300..400).contains(&status) => {
            format!("it leads to {target}; if that is the right place, give that address")
        }
        _ => String::from_utf8_lossy(&body).into_owned(),
    };
    Arrival::Refusal {
        status,
        body,
        retry_after: wait,
    }
}

/// What an error of the connection means.
fn broken(outgoing: &Outgoing, error: &ureq::Error) -> Arrival {
    let url = outgoing.url.clone();
    let (error, passing) = match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            let message = "no connection was made in time".to_owned();
            (ModelError::Connection { url, message }, true)
        }
        ureq::Error::Timeout(_) => {
            let after = outgoing.idle_timeout;
            (ModelError::Timeout { url, after }, false)
        }
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
            let message = error.to_string();
            (ModelError::Connection { url, message }, true)
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            let message = format!("it does not speak HTTP as it should ({error})");
            (ModelError::Protocol { url, message }, false)
        }
        _ => {
            let message = error.to_string();
            (ModelError::Connection { url, message }, false)
        }
    };
    Arrival::Broken { error, passing }
}
