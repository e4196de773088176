//! A session: one sandbox with one persistent bash in it, and the four tools acting through it.
//!
//! What enters are commands and tool calls' contents; what leaves are typed results. The shell keeps its
//! working directory, variables and background processes from command to command. When it ends (by `exit`, `exec`, a signal, a
//! timeout) the result says so, and the next command finds a fresh shell at the default directory.
//! Output streams to whoever asked for it; what is kept is its head and its tail, and a long one besides in a file inside.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::create::{CreateDone, CreateError};
use crate::edit::{EditDone, EditError};
use crate::patch::apply::Applied;
use crate::sandbox::{
    ApplyRefused, ApplyRequest, DiffDone, DiffRequest, Ending, FileTool, Interrupt, JobOutcome, KeptOutput,
    ProgramSpec, Sandbox, SandboxError, Sink, SpoolSpec, Stream, Task,
};
use crate::submit::{SubmitError, Submitted};
use crate::truncate::{HeadTail, Truncated};

/// The most that a task's result may hold; a diff of many large binary files is the largest there is.
const MOST_RESULT: usize = 1 << 30;

/// How a session treats commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// How long a command may run.
    pub command_timeout: Duration,
    /// How long a file tool or the diff may take.
    pub task_timeout: Duration,
    /// Bytes kept of an output's beginning.
    pub head_bytes: usize,
    /// Bytes kept of its end.
    pub tail_bytes: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            command_timeout: Duration::from_secs(120),
            task_timeout: Duration::from_secs(300),
            head_bytes: 240 << 10,
            tail_bytes: 240 << 10,
        }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// How it ended. The shell lives on only after [`Ending::Exited`].
    pub ending: Ending,
    /// Head and tail of its output, standard output and standard error as they came.
    pub output: Truncated,
    /// The file inside that keeps an output of which a part was omitted.
    pub kept_output: Option<KeptOutput>,
    /// The session's shell had ended unseen since the last command (a background process killed it, say), in this way: this
    /// command ran in a fresh one, at the default directory.
    pub lost_before: Option<Ending>,
    /// Where the next command starts.
    pub working_directory: PathBuf,
    /// How long it took.
    pub wall_time: Duration,
}

impl CommandResult {
    /// Whether the shell ended, so that the next command finds a fresh one.
    pub fn session_ended(&self) -> bool {
        !matches!(self.ending, Ending::Exited(_) | Ending::NotStarted { .. })
    }

    /// The exit status, when the command or the shell itself exited.
    pub fn exit_code(&self) -> Option<i32> {
        match self.ending {
            Ending::Exited(code) | Ending::ShellExited(code) => Some(code),
            Ending::Signalled(_) | Ending::Killed(_) | Ending::NotStarted { .. } => None,
        }
    }
}

/// One sandbox, one persistent shell, four tools.
pub struct Session {
    sandbox: Sandbox,
    options: SessionOptions,
    working_directory: PathBuf,
    /// The name of the file for the next command's output, if that is long.
    output_name: Option<String>,
}

impl Session {
    /// A session in a sandbox that stands. The shell starts with the first command.
    pub fn new(sandbox: Sandbox, options: SessionOptions) -> Session {
        let working_directory = sandbox.policy().working_directory.clone();
        Session {
            sandbox,
            options,
            working_directory,
            output_name: None,
        }
    }

    /// Names the file that keeps the next command's output if it is long. A name is given once in a session; without one, files have
    /// numbers that depend on all that was done before.
    pub fn name_output(&mut self, name: String) {
        self.output_name = Some(name);
    }

    /// How long the next commands may run.
    pub fn set_command_timeout(&mut self, timeout: Duration) {
        self.options.command_timeout = timeout;
    }

    /// Runs a command in the persistent shell.
    pub fn run(&mut self, command: &str) -> Result<CommandResult, SandboxError> {
        self.run_streaming(command, &mut |_: Stream, _: &[u8]| {})
    }

    /// The same, passing output on as it comes. A slow `sink` slows the command down.
    pub fn run_streaming(
        &mut self,
        command: &str,
        sink: &mut dyn Sink,
    ) -> Result<CommandResult, SandboxError> {
        let started = Instant::now();
        let mut kept = HeadTail::new(self.options.head_bytes, self.options.tail_bytes);
        let spool = SpoolSpec {
            after: (self.options.head_bytes + self.options.tail_bytes) as u64,
            name: self.output_name.take(),
        };
        let outcome = self.sandbox.run_in_shell(
            command.as_bytes(),
            self.options.command_timeout,
            spool,
            &mut |stream: Stream, bytes: &[u8]| {
                kept.push(bytes);
                sink.take(stream, bytes);
            },
        )?;
        let JobOutcome {
            ending,
            working_directory,
            spool,
            lost_before,
        } = outcome;
        match working_directory {
            Some(now) => self.working_directory = now,
            // The shell, if there is one, stands where it stood.
            None if matches!(ending, Ending::NotStarted { .. }) => {}
            None => self.working_directory = self.sandbox.policy().working_directory.clone(),
        }
        Ok(CommandResult {
            ending,
            output: kept.finish(),
            kept_output: spool,
            lost_before,
            working_directory: self.working_directory.clone(),
            wall_time: started.elapsed(),
        })
    }

    /// Runs a program of its own, outside of the shell, its two outputs apart.
    pub fn run_program(
        &mut self,
        spec: ProgramSpec,
        timeout: Duration,
        input: Option<&mut (dyn io::Read + Send)>,
        sink: &mut dyn Sink,
    ) -> Result<JobOutcome, SandboxError> {
        self.sandbox.run(spec, timeout, input, sink)
    }

    /// The `edit` tool.
    pub fn edit(&mut self, content: &str) -> Result<Result<EditDone, EditError>, SandboxError> {
        self.file_tool(FileTool::Edit, content)
    }

    /// The `create` tool.
    pub fn create(&mut self, content: &str) -> Result<Result<CreateDone, CreateError>, SandboxError> {
        self.file_tool(FileTool::Create, content)
    }

    /// The `submit` tool.
    pub fn submit(&mut self, content: &str) -> Result<Result<Submitted, SubmitError>, SandboxError> {
        self.file_tool(FileTool::Submit, content)
    }

    /// How many bytes a file inside has; `None` when there is no plain file of that name.
    pub fn file_size(&mut self, path: &Path) -> Result<Option<u64>, SandboxError> {
        self.task(Task::Size(path.to_owned()))
    }

    /// What the copy changed against its base, made inside, without a look at the copy's `.git`.
    pub fn diff(&mut self, request: DiffRequest) -> Result<Result<DiffDone, String>, SandboxError> {
        self.task(Task::Diff(request))
    }

    /// Applies a patch to the copy, all of it or nothing, by our own code inside.
    pub fn apply(&mut self, request: ApplyRequest) -> Result<Result<Applied, ApplyRefused>, SandboxError> {
        self.task(Task::Apply(request))
    }

    /// Where the shell stands, inside.
    pub fn working_directory(&self) -> &Path {
        &self.working_directory
    }

    /// Something to interrupt a running command with, from another thread.
    pub fn interrupter(&self) -> Interrupt {
        self.sandbox.interrupter()
    }

    /// The sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn file_tool<T: DeserializeOwned>(&mut self, tool: FileTool, content: &str) -> Result<T, SandboxError> {
        let roots = self.sandbox.policy().writable_folders();
        let working_directory = self.working_directory.clone();
        self.task(Task::File {
            tool,
            roots,
            working_directory,
            content: content.to_owned(),
        })
    }

    fn task<T: DeserializeOwned>(&mut self, task: Task) -> Result<T, SandboxError> {
        let mut result = Vec::new();
        let outcome =
            self.sandbox
                .run_task(task, self.options.task_timeout, &mut |_: Stream, bytes: &[u8]| {
                    if result.len() + bytes.len() <= MOST_RESULT {
                        result.extend_from_slice(bytes);
                    }
                })?;
        match outcome.ending {
            Ending::Exited(0) => postcard::from_bytes(&result).map_err(|_| {
                SandboxError::Refused("a tool's result from the sandbox could not be read".to_owned())
            }),
            ending => Err(SandboxError::Refused(format!(
                "a tool did not finish inside the sandbox: {ending}"
            ))),
        }
    }
}
