//! Runs a test command in a copy and reads what it says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cwm_tools::sandbox::{Ending, KillReason, ProgramSpec, SandboxError, Stream};
use cwm_tools::session::Session;
use cwm_tools::truncate::{HeadTail, display_text};

use super::types::{RunEnding, Status, TestCase, TestCommand, TestRun};

/// How tests are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// How long the command may take.
    pub timeout: Duration,
    /// Bytes kept of what it prints, half of the beginning and half of the end.
    pub most_output: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            timeout: Duration::from_secs(600),
            most_output: 256 << 10,
        }
    }
}

/// Runs a test command in a session's copy, outside of its shell.
///
/// # Errors
///
/// When the sandbox is lost. A command that cannot be started, or that runs too long, is a result.
pub fn run(
    session: &mut Session,
    command: &TestCommand,
    options: &RunOptions,
) -> Result<TestRun, SandboxError> {
    let started = Instant::now();
    let half = options.most_output / 2;
    let mut kept = HeadTail::new(half, half);
    let spec = ProgramSpec {
        command: vec!["bash".into(), "-c".into(), command.command.clone().into()],
        ..ProgramSpec::default()
    };
    let outcome = session.run_program(spec, options.timeout, None, &mut |_: Stream, bytes: &[u8]| {
        kept.push(bytes);
    })?;
    let output = kept.finish();
    let mut text = display_text(&output.head);
    if output.omitted_bytes > 0 {
        text.push_str(&format!("\n[... {} bytes ...]\n", output.omitted_bytes));
        text.push_str(&display_text(&output.tail));
    }
    let (ending, exit_code) = match outcome.ending {
        Ending::Exited(code) | Ending::ShellExited(code) => (RunEnding::Ran, Some(code)),
        Ending::Killed(KillReason::Timeout) => (RunEnding::TimedOut, None),
        other => (
            RunEnding::Stopped {
                reason: other.to_string(),
            },
            None,
        ),
    };
    let status = if exit_code == Some(0) {
        Status::Passed
    } else {
        Status::Failed
    };
    let case = TestCase {
        status,
        message: String::new(),
        seconds: None,
    };
    Ok(TestRun {
        command: command.clone(),
        ending,
        exit_code,
        tests: BTreeMap::from([(command.command.clone(), case)]),
        output: text,
        seconds: started.elapsed().as_secs_f64(),
    })
}
