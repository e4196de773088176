//! What the host and the supervisor inside a sandbox say to each other, over one stream socket.
//!
//! A frame is a length (four bytes, little endian), then a [`ToInside`] or [`FromInside`] in postcard's
//! encoding. The host trusts nothing it reads: a frame over [`MAX_FRAME`] or one that does not decode ends the sandbox.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::task::Task;

/// The largest frame either side accepts: a task's result (a diff, say) travels in pieces, so this bounds requests.
pub(crate) const MAX_FRAME: usize = 64 << 20;

/// Bytes of output in one frame.
pub(crate) const OUTPUT_CHUNK: usize = 64 << 10;

/// From the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInside {
    /// First frame: what to set up.
    Begin(Box<Plan>),
    /// Run something. One job at a time.
    Start {
        job: u32,
        what: JobSpec,
        timeout: Duration,
    },
    /// Bytes for the running program's standard input.
    Input {
        job: u32,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// End of that input.
    InputEnd { job: u32 },
    /// Kill the running job and all it started.
    Kill { job: u32, reason: KillReason },
    /// The user pressed Ctrl-C: interrupt the running job, which may clean up.
    Interrupt { job: u32 },
}

/// Which back end's supervisor this is, and under which policy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) policy: Policy,
    pub(crate) isolation: Isolation,
}

/// What separates the supervisor's programs from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Isolation {
    /// Namespaces of the supervisor's own making.
    Namespaces,
    /// A container that an engine made.
    Container,
    /// Nothing: the user said that the machine is the sandbox.
    External,
}

/// Something to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum JobSpec {
    /// Text for the persistent bash.
    Shell {
        #[serde(with = "serde_bytes")]
        script: Vec<u8>,
        spool: SpoolSpec,
    },
    /// A program of its own, its two outputs apart.
    Program(ProgramSpec),
    /// Work of our own code, in a forked child of the supervisor.
    Task(Box<Task>),
}

/// How a command's long output is kept in a file inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpoolSpec {
    /// An output of more bytes is long.
    pub(crate) after: u64,
    /// The file's name; the job's number makes one when there is none.
    pub(crate) name: Option<String>,
}

/// The file, inside, that a long output is kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOutput {
    /// Where it is.
    #[serde(with = "crate::bytes_path::serde_path")]
    pub path: PathBuf,
    /// How many of the output's bytes it holds, from the first on.
    pub bytes: u64,
}

/// A program to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Where it starts; the policy's folder when `None`.
    #[serde(with = "crate::bytes_path::serde_paths")]
    pub working_directory: Option<PathBuf>,
    /// Variables besides the policy's.
    pub environment: BTreeMap<OsString, OsString>,
    /// Whether input will be sent; otherwise it reads `/dev/null`.
    pub input: bool,
}

/// Which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output; the shell's both outputs.
    Output,
    /// Standard error of a program of its own.
    Error,
}

/// Why the host had a job killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillReason {
    /// Its time was over.
    Timeout,
    /// The user, or the program's end, cancelled it.
    Cancelled,
    /// It wrote more to disk than allowed.
    Disk,
    /// All processes together used more memory than allowed.
    Memory,
    /// More processes at once than allowed.
    Processes,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It ended by itself with this status; the shell lives on.
    Exited(i32),
    /// The program, or the shell itself, was ended by this signal.
    Signalled(i32),
    /// The shell itself exited with this status: the next command gets a fresh one.
    ShellExited(i32),
    /// It was killed, with everything that ran in the sandbox.
    Killed(KillReason),
    /// It could not be started.
    NotStarted {
        /// Whether there is no such program.
        missing: bool,
        /// Why.
        why: String,
    },
}

impl std::fmt::Display for KillReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            KillReason::Timeout => "its time was over",
            KillReason::Cancelled => "it was cancelled",
            KillReason::Disk => "it wrote more to disk than allowed",
            KillReason::Memory => "it used more memory than allowed",
            KillReason::Processes => "it started more processes than allowed",
        })
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Exited(code) => write!(out, "exit status {code}"),
            Ending::Signalled(signal) => write!(out, "ended by signal {signal}"),
            Ending::ShellExited(code) => write!(out, "the shell exited with status {code}"),
            Ending::Killed(reason) => write!(out, "killed because {reason}"),
            Ending::NotStarted { why, .. } => write!(out, "not started: {why}"),
        }
    }
}

/// From inside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInside {
    /// The sandbox stands. `weaker` lists what could not be enforced and does not have to be.
    Ready { weaker: Vec<String> },
    /// The sandbox cannot be made.
    Failed {
        stage: String,
        errno: i32,
        message: String,
    },
    /// Output of the running job.
    Output {
        job: u32,
        stream: Stream,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The job is over; all of its output has been sent.
    Ended {
        job: u32,
        ending: Ending,
        #[serde(with = "crate::bytes_path::serde_paths")]
        working_directory: Option<PathBuf>,
        spool: Option<KeptOutput>,
        /// For a shell command: how the shell before its own ended, when no command was there to tell.
        lost_before: Option<Ending>,
    },
}

/// Writes one frame.
pub(crate) fn write_frame<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// The bytes of one frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4)
        .ok()
        .filter(|&length| length as usize <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::other("a message to the sandbox is too large"))?;
    if let Some(head) = bytes.get_mut(..4) {
        head.copy_from_slice(&length.to_le_bytes());
    }
    Ok(bytes)
}

/// Reads one frame; `None` at the end of the stream.
pub(crate) fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    if let Err(error) = from.read_exact(&mut head) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Ok(None),
            _ => Err(error),
        };
    }
    let length = frame_length(head)?;
    let mut body = Vec::new();
    // `take` and not a buffer of `length`: memory grows with what arrives, not with what is claimed.
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Ok(None);
    }
    decode(&body).map(Some)
}

/// The body's length that a frame's head claims.
pub(crate) fn frame_length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the sandbox sent a frame beyond the limit",
        ));
    }
    Ok(length)
}

/// A frame's body, decoded.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
