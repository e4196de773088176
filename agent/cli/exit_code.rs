//! The exit codes of every command: one meaning each, the same everywhere, documented in `docs/exit-codes.md`
//! and at the foot of `cwm --help`.

/// How a run of `cwm` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: the command did what was asked.
    Success,
    /// 1: it ran to its end and the answer is no: no verified patch, or a check did not pass.
    Unverified,
    /// 2: the command line is wrong; nothing was done.
    Usage,
    /// 3: this machine lacks something that is needed, such as a sandbox; nothing was done.
    Environment,
    /// 4: a budget of turns, tokens or time, or a limit on memory, processes or disk, was used up first.
    BudgetExhausted,
    /// 5: a patch does not apply; nothing was changed.
    Conflict,
    /// 6: a defect of `cwm` itself.
    Internal,
    /// 124: `cwm sandbox` stopped the command at its time limit.
    TimedOut,
    /// 125: `cwm sandbox` started the command, but its sandbox failed before its exit status was known.
    SandboxFailed,
    /// 130: interrupted by the user.
    Interrupted,
    /// The exit status of the command that `cwm sandbox` ran (126: not executable, 127: not found,
    /// 128 + N: ended by signal N).
    Command(u8),
}

impl ExitCode {
    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::Unverified => 1,
            ExitCode::Usage => 2,
            ExitCode::Environment => 3,
            ExitCode::BudgetExhausted => 4,
            ExitCode::Conflict => 5,
            ExitCode::Internal => 6,
            ExitCode::TimedOut => 124,
            ExitCode::SandboxFailed => 125,
            ExitCode::Interrupted => 130,
            ExitCode::Command(status) => status,
        }
    }

    /// The name of the meaning in JSON events. `command` tells a sandboxed command's own status from the
    /// same number given by `cwm`.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Success => "success",
            ExitCode::Unverified => "unverified",
            ExitCode::Usage => "usage",
            ExitCode::Environment => "environment",
            ExitCode::BudgetExhausted => "budget_exhausted",
            ExitCode::Conflict => "conflict",
            ExitCode::Internal => "internal",
            ExitCode::TimedOut => "timed_out",
            ExitCode::SandboxFailed => "sandbox_failed",
            ExitCode::Interrupted => "interrupted",
            ExitCode::Command(_) => "command",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.code().into()
    }
}

/// The table at the foot of `cwm --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    success
  1    no verified patch, or a check did not pass
  2    the command line is wrong
  3    this machine lacks something that is needed; see `cwm doctor`
  4    a budget (turns, tokens, time) or a limit (memory, processes, disk) was used up
  5    a patch does not apply; nothing was changed
  6    a defect of cwm itself
  130  interrupted
`cwm sandbox` exits with the status of the command it ran (126: not executable,
127: not found, 128+N: ended by signal N), with 124 when the time limit ended it, and
with 125 when the sandbox failed while it ran. 2 and 3 keep their meaning when the
command was never started; the last line of `--json` says which it was.";
