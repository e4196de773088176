//! llama.cpp in a process of its own, timed on the same file beside ours.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::speed::SpeedError;

const SCRIPT: &str = include_str!("peer.py");

/// How a peer is started.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// A Python that has `llama_cpp`.
    pub python: PathBuf,
    /// Threads that it computes with.
    pub threads: usize,
    /// Positions that its cache has room for, all sequences together.
    pub context: usize,
    /// The most sequences in a batch.
    pub sequences: usize,
}

/// A running llama.cpp with a model loaded.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it calls itself.
    pub version: String,
    /// How long it took to load the model.
    pub load: Duration,
}

impl Peer {
    /// Starts it and loads a GGUF file.
    pub fn start(model: &Path, options: &PeerOptions) -> Result<Peer, SpeedError> {
        let failed = |message: String| SpeedError::Peer {
            python: options.python.clone(),
            message,
        };
        let mut child = Command::new(&options.python)
            .args(["-c", SCRIPT])
            .arg(model)
            .args([options.threads, options.context, options.sequences].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("it cannot be started: {error}")))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no streams".to_owned()));
        };
        let mut peer = Peer {
            child,
            requests,
            answers: BufReader::new(answers),
            version: String::new(),
            load: Duration::ZERO,
        };
        let hello = peer.answer().map_err(failed)?;
        peer.version = hello["version"].as_str().unwrap_or("llama.cpp").to_owned();
        peer.load = seconds(&hello["load_seconds"]).map_err(failed)?;
        Ok(peer)
    }

    /// How long a prompt of so many tokens takes.
    pub fn prefill(&mut self, tokens: usize) -> Result<Duration, SpeedError> {
        self.ask(&json!({ "prefill": tokens }))
    }

    /// How long so many steps of a batch take, behind a context that its sequences share.
    pub fn decode(&mut self, steps: usize, context: usize, batch: usize) -> Result<Duration, SpeedError> {
        self.ask(&json!({ "decode": steps, "context": context, "batch": batch }))
    }

    fn ask(&mut self, request: &Value) -> Result<Duration, SpeedError> {
        let failed = |message| SpeedError::Peer {
            python: PathBuf::from("llama.cpp"),
            message,
        };
        writeln!(self.requests, "{request}")
            .and_then(|()| self.requests.flush())
            .map_err(|error| failed(format!("it takes no more requests: {error}")))?;
        let answer = self.answer().map_err(failed)?;
        seconds(&answer["seconds"]).map_err(failed)
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        let length = self
            .answers
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if length == 0 {
            return Err(
                "it ended without an answer; does that Python have the package llama-cpp-python?".to_owned(),
            );
        }
        let answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("its answer cannot be read: {error}"))?;
        match answer["error"].as_str() {
            Some(message) => Err(message.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It holds gigabytes and has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn seconds(value: &Value) -> Result<Duration, String> {
    let seconds = value.as_f64().ok_or("its answer has no time in it")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
