//! Where calls act: the attempt's copy with its session, made anew once when its sandbox is lost.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cwm_tools::bash::{self, BashError};
use cwm_tools::call::{Call, Tool};
use cwm_tools::isolated::{IsolatedCopy, IsolatedError};
use cwm_tools::patch::ScanOptions;
use cwm_tools::sandbox::{DiffDone, SandboxError, Stream};
use cwm_tools::session::CommandResult;

use super::halt::Halt;
use crate::prompts::SessionEnd;
use crate::rollout::control::Registered;
use crate::rollout::journal::{KeptFile, LongOutput, ToolUsed};
use crate::rollout::outputs::Outputs;
use crate::rollout::types::{AttemptOptions, Ending, Workbench};
use crate::rollout::{Copies, RolloutError};

/// However little time is left, a command may run so long.
const LEAST_COMMAND_TIME: Duration = Duration::from_secs(1);
/// What ends the frame of a patch that is shown for review, as the model was trained with.
const SUBMISSION_END: &str = "</submission>";

/// When a call is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// Its turn, from 1.
    pub(super) turn: usize,
    /// The turn was recorded before.
    pub(super) again: bool,
    /// What is left of the time that commands must end in.
    pub(super) left: Option<Duration>,
}

/// A copy that calls act on.
pub(super) struct Workplace<'a> {
    bench: Workbench<'a>,
    copies: Copies,
    name: String,
    open: Open<'a>,
    /// Where outputs are kept outside.
    outputs: Outputs,
    /// What was done in the copy, to be done again in another.
    done: Vec<Deed>,
    /// How often the copy was replaced.
    replaced: usize,
    /// The copy cannot be used any more.
    lost: bool,
}

struct Open<'a> {
    // Dropped first: nothing is to be killed that is going away.
    _registered: Registered<'a>,
    copy: IsolatedCopy,
}

/// Something that was done in the copy.
enum Deed {
    Call { call: Call, turn: usize },
    File { path: String, text: String },
}

impl<'a> Workplace<'a> {
    /// A fresh copy for the attempt.
    pub(super) fn open(
        bench: &Workbench<'a>,
        options: &AttemptOptions,
    ) -> Result<Workplace<'a>, RolloutError> {
        let mut copies = bench.copies.clone();
        copies.session.command_timeout = options.budget.command_timeout;
        Ok(Workplace {
            bench: *bench,
            open: Open::new(bench, &copies, &options.name)?,
            copies,
            outputs: Outputs::new(bench.journal.folder(), &options.name),
            name: options.name.clone(),
            done: Vec::new(),
            replaced: 0,
            lost: false,
        })
    }

    /// Runs a call. What the tool has to say against it is its result.
    pub(super) fn act(&mut self, call: &Call, when: When) -> Result<ToolUsed, Halt> {
        let started = Instant::now();
        let acted = self.try_call(call, when);
        if self.bench.control.stopped() {
            return Err(Halt::Ended(Ending::Interrupted));
        }
        let (mut used, lost) = match acted {
            Ok(used) => (used, false),
            Err(Failure::Halt(halt)) => return Err(halt),
            Err(Failure::Sandbox(SandboxError::Refused(reason))) => {
                let result = self.bench.prompts.tool_failed(call.tool, &reason)?;
                (said(call, result, false), false)
            }
            Err(Failure::Sandbox(lost)) => {
                self.reopen(&lost.to_string())?;
                let end = SessionEnd::Restarted {
                    reason: lost.to_string(),
                };
                let result = self.bench.prompts.session_ended(&end, &self.start())?;
                (said(call, result, false), true)
            }
        };
        // A call that ended the sandbox would end the next one too.
        if !lost {
            let call = call.clone();
            self.done.push(Deed::Call {
                call,
                turn: when.turn,
            });
        }
        used.seconds = started.elapsed().as_secs_f64();
        Ok(used)
    }

    fn try_call(&mut self, call: &Call, when: When) -> Result<ToolUsed, Failure> {
        let prompts = self.bench.prompts;
        let content = call.content.as_str();
        let session = self.open.copy.session();
        Ok(match call.tool {
            Tool::Bash => return self.try_bash(call, when),
            Tool::Edit => {
                let result = session.edit(content)?;
                said(call, prompts.edit_result(&result)?, result.is_ok())
            }
            Tool::Create => {
                let result = session.create(content)?;
                said(call, prompts.create_result(&result)?, result.is_ok())
            }
            Tool::Submit => {
                let result = session.submit(content)?;
                let mut used = said(call, prompts.submit_result(&result)?, result.is_ok());
                if result.is_ok() {
                    // Of a long patch the frame and what to do now are shown all the same.
                    let frame = used.result.rfind(SUBMISSION_END);
                    used.closing = frame.map_or(0, |frame| used.result.len() - frame);
                }
                // A patch that is no text cannot be recorded as one; the copy's own diff takes its place then.
                used.submitted = result
                    .ok()
                    .map(|submitted| String::from_utf8(submitted.bytes).unwrap_or_default());
                used
            }
        })
    }

    fn try_bash(&mut self, call: &Call, when: When) -> Result<ToolUsed, Failure> {
        let options = &self.copies.session;
        let least = LEAST_COMMAND_TIME.min(options.command_timeout);
        let left = when.left.unwrap_or(options.command_timeout);
        let timeout = left.clamp(least, options.command_timeout);
        let session = self.open.copy.session();
        session.set_command_timeout(timeout);
        session.name_output(output_name(when.turn));
        let mut recorder = self.outputs.recorder(options.head_bytes + options.tail_bytes);
        let mut sink = |_: Stream, bytes: &[u8]| recorder.take(bytes);
        match bash::run(session, &call.content, &mut sink) {
            Ok(result) => {
                let outside = recorder.finish(when.turn, when.again);
                self.bash_said(call, &result, timeout, outside)
            }
            Err(BashError::Sandbox(error)) => Err(error.into()),
            Err(error @ BashError::Empty) => {
                let result = self.bench.prompts.tool_failed(call.tool, &error.to_string())?;
                Ok(said(call, result, false))
            }
        }
    }

    fn bash_said(
        &self,
        call: &Call,
        result: &CommandResult,
        timeout: Duration,
        outside: Option<KeptFile>,
    ) -> Result<ToolUsed, Failure> {
        let limits = &self.copies.walls.policy.limits;
        let seconds = timeout.as_secs_f64().ceil() as u64;
        let shown = self
            .bench
            .prompts
            .bash_result(result, limits, seconds, &self.start())?;
        let mut used = said(call, shown.text, true);
        used.closing = shown.closing;
        let output = &result.output;
        used.long = shown.gap.map(|gap| LongOutput {
            bytes: output.total_bytes,
            lines: output.total_lines(),
            gap,
            inside: result.kept_output.as_ref().map(|kept| KeptFile {
                path: kept.path.to_string_lossy().into_owned(),
                first_bytes: (kept.bytes < output.total_bytes).then_some(kept.bytes),
            }),
            outside,
        });
        Ok(used)
    }

    /// Whether a file inside is there with at least so many bytes.
    pub(super) fn holds(&mut self, path: &str, bytes: u64) -> bool {
        let size = self.open.copy.session().file_size(Path::new(path));
        matches!(size, Ok(Some(size)) if size >= bytes)
    }

    /// Keeps a turn's result outside. With `again` it was recorded before.
    pub(super) fn keep_outside(&mut self, turn: usize, text: &str, again: bool) -> Option<KeptFile> {
        self.outputs.keep(turn, text, again)
    }

    /// What a file outside holds, when it is a text of at most so many bytes.
    pub(super) fn kept_outside(&self, kept: &KeptFile, most: u64) -> Option<String> {
        self.outputs.read(kept, most)
    }

    /// Puts a text into a new file inside, outside of the repository; tells whether it is there.
    pub(super) fn keep_text(&mut self, path: &str, text: &str) -> bool {
        let kept = put_file(&mut self.open.copy, path, text);
        if kept {
            self.done.push(Deed::File {
                path: path.to_owned(),
                text: text.to_owned(),
            });
        }
        kept
    }

    /// What the copy changed, without the files that `exclude` names and those of more than `most_file_bytes`.
    pub(super) fn diff(
        &mut self,
        exclude: &[Vec<u8>],
        most_file_bytes: Option<u64>,
    ) -> Result<DiffDone, IsolatedError> {
        let options = ScanOptions {
            exclude: exclude.to_vec(),
            most_file_bytes,
            ..ScanOptions::default()
        };
        if !self.lost {
            match self.open.copy.diff(options.clone()) {
                Err(IsolatedError::Sandbox(SandboxError::Lost(_))) if !self.bench.control.stopped() => {}
                first => return first,
            }
        }
        // Once more for the patch alone, however often it was lost: a call that ended it is not done again.
        self.replace()?;
        self.open.copy.diff(options)
    }

    /// Where the repository is seen.
    pub(super) fn root(&self) -> &Path {
        self.open.copy.root()
    }

    /// Where a fresh session starts.
    pub(super) fn start(&self) -> PathBuf {
        super::opening::below(self.root(), &self.copies.start)
    }

    /// Where the shell stands.
    pub(super) fn working_directory(&mut self) -> PathBuf {
        self.open.copy.session().working_directory().to_owned()
    }

    /// Another copy, in which everything is done again; once.
    fn reopen(&mut self, why: &str) -> Result<(), Halt> {
        let failed = |reason: String| Halt::Ended(Ending::Failed { reason });
        if self.replaced > 0 {
            self.lost = true;
            return Err(failed(why.to_owned()));
        }
        let replaced = self.replace();
        if self.bench.control.stopped() {
            return Err(Halt::Ended(Ending::Interrupted));
        }
        replaced.map_err(|error| failed(error.to_string()))
    }

    /// Another copy, in which everything is done again unless the user ends that.
    fn replace(&mut self) -> Result<(), IsolatedError> {
        self.lost = true;
        self.replaced += 1;
        // The name is free only once nothing uses the lost copy: that one goes when it is replaced.
        let spare = match self.replaced {
            1 => format!("{}-again", self.name),
            number => format!("{}-again-{number}", self.name),
        };
        self.open = Open::new(&self.bench, &self.copies, &spare)?;
        for deed in &self.done {
            if self.bench.control.stopped() {
                return Ok(());
            }
            match deed {
                Deed::File { path, text } => {
                    put_file(&mut self.open.copy, path, text);
                }
                Deed::Call { call, turn } => repeat(&mut self.open.copy, call, *turn)?,
            }
        }
        self.lost = false;
        Ok(())
    }
}

impl<'a> Open<'a> {
    fn new(bench: &Workbench<'a>, copies: &Copies, name: &str) -> Result<Open<'a>, IsolatedError> {
        let mut copy = copies.open(name)?;
        let registered = bench.control.register(copy.session().interrupter());
        Ok(Open {
            _registered: registered,
            copy,
        })
    }
}

/// Why a call has no result.
enum Failure {
    Sandbox(SandboxError),
    Halt(Halt),
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Failure {
        Failure::Sandbox(error)
    }
}

impl From<crate::prompts::PromptError> for Failure {
    fn from(error: crate::prompts::PromptError) -> Failure {
        Failure::Halt(error.into())
    }
}

fn said(call: &Call, result: String, done: bool) -> ToolUsed {
    ToolUsed::new(call.tool, &call.content, result, done)
}

/// What the file inside is called that keeps a turn's long output: the same when everything is done again.
fn output_name(turn: usize) -> String {
    format!("turn-{turn}")
}

/// Does a call again, whatever it says now.
fn repeat(copy: &mut IsolatedCopy, call: &Call, turn: usize) -> Result<(), SandboxError> {
    let session = copy.session();
    if call.tool == Tool::Bash {
        session.name_output(output_name(turn));
    }
    let again = match call.tool {
        Tool::Bash => session.run(&call.content).map(drop),
        Tool::Edit => session.edit(&call.content).map(drop),
        Tool::Create => session.create(&call.content).map(drop),
        Tool::Submit => Ok(()),
    };
    match again {
        Err(SandboxError::Refused(_)) => Ok(()),
        other => other,
    }
}

fn put_file(copy: &mut IsolatedCopy, path: &str, text: &str) -> bool {
    let content = format!("{path}\n{text}");
    matches!(copy.session().create(&content), Ok(Ok(_)))
}
