//! One GET: made on a thread of its own, so that whoever waits can stop at any time.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, Error};

use crate::retry::retry_after;

/// What comes of a GET.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The head of the answer.
    Head(Head),
    /// More of its body.
    Bytes(Vec<u8>),
    /// The body's end.
    End,
    /// The connection failed.
    Broken(String),
    /// Nothing yet.
    Nothing,
}

/// The head of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) content_range: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// A GET under way. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Transfer {
    arrivals: Receiver<Arrival>,
    agent: Option<Agent>,
}

impl Transfer {
    /// Asks for `url` from byte `from` on.
    pub(super) fn start(url: &str, authorization: Option<String>, from: u64, idle: Duration) -> Transfer {
        let loopback = ["://127.", "://localhost", "://[::1]"]
            .iter()
            .any(|host| url.contains(host));
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(15).min(idle)))
            .timeout_per_read(Some(idle))
            .user_agent(concat!("cwm/", env!("CARGO_PKG_VERSION")));
        if loopback {
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        let (sender, arrivals) = sync_channel(8);
        let (kept, url) = (agent.clone(), url.to_owned());
        let failed = sender.clone();
        let thread = std::thread::Builder::new().name("cwm-download".to_owned());
        let started = thread.spawn(move || {
            let last = match run(&agent, &url, authorization.as_deref(), from, &sender) {
                Ok(()) => Arrival::End,
                Err(error) => Arrival::Broken(error.to_string()),
            };
            let _ = sender.send(last);
        });
        if let Err(error) = started {
            let _ = failed.send(Arrival::Broken(format!("no thread can be started: {error}")));
        }
        Transfer {
            arrivals,
            agent: Some(kept),
        }
    }

    /// The next arrival, or [`Arrival::Nothing`] after a tenth of a second.
    pub(super) fn next(&self) -> Arrival {
        match self.arrivals.recv_timeout(Duration::from_millis(100)) {
            Ok(arrival) => arrival,
            Err(RecvTimeoutError::Timeout) => Arrival::Nothing,
            Err(RecvTimeoutError::Disconnected) => Arrival::End,
        }
    }

    /// The head of the answer; `None` when `tick` broke.
    pub(super) fn head(&self, tick: &mut dyn FnMut() -> ControlFlow<()>) -> Option<Result<Head, String>> {
        loop {
            match self.next() {
                Arrival::Head(head) => return Some(Ok(head)),
                Arrival::Broken(why) => return Some(Err(why)),
                Arrival::End => return Some(Err("it closed the connection".to_owned())),
                Arrival::Bytes(_) | Arrival::Nothing => {}
            }
            if tick().is_break() {
                return None;
            }
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown();
        }
    }
}

fn run(
    agent: &Agent,
    url: &str,
    authorization: Option<&str>,
    from: u64,
    sender: &SyncSender<Arrival>,
) -> Result<(), Error> {
    let mut request = agent.get(url);
    if let Some(value) = authorization {
        request = request.header("Authorization", value);
    }
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let response = request.call()?;
    if sender.send(Arrival::Head(head(&response))).is_err() {
        return Ok(());
    }
    let mut reader = response.into_body().into_reader();
    loop {
        let mut buffer = vec![0_u8; 256 << 10];
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        buffer.truncate(count);
        if sender.send(Arrival::Bytes(buffer)).is_err() {
            return Ok(());
        }
    }
}

fn head(response: &Response<Body>) -> Head {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    Head {
        status: response.status().as_u16(),
        location: header("location"),
        content_range: header("content-range"),
        retry_after: header("retry-after").and_then(|value| retry_after(&value, SystemTime::now())),
    }
}
