//! `cwm sandbox`: runs any command on an isolated copy of a repository.

mod copy;
mod report;

use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use cwm_tools::patch::ScanOptions;
use cwm_tools::sandbox::{ProgramSpec, Stream};

use crate::cli::signals::Signals;
use crate::cli::values::duration;
use crate::cli::walls::{LimitArguments, WallArguments};
use crate::cli::{Environment, ExitCode, Printer};

/// Run a command on an isolated copy of a repository
///
/// The copy lies at the repository's own path inside the sandbox, so that virtual environments and build
/// folders work as they are. The user's files, index, branches and hooks are never written.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm sandbox -- make test                          run the tests without touching your files
  cwm sandbox --diff -- ruff check --fix            see what a tool would change
  cwm sandbox --diff -o fix.diff -- ./migrate.sh    keep what it changed ...
  cwm apply fix.diff                                ... and take it over
  cwm sandbox --network host -- npm install         with the machine's network
  cwm sandbox --timeout 5m --memory 2G -- pytest    with limits of your own

The exit status is the command's own; see `cwm --help` for cwm's.")]
pub(crate) struct SandboxArguments {
    /// The repository to copy, or a folder in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Print what the command changed as a git diff, and its own output on stderr
    #[arg(long)]
    pub(crate) diff: bool,
    /// Write the diff to a file instead of stdout
    #[arg(short, long, value_name = "FILE", requires = "diff")]
    pub(crate) output: Option<PathBuf>,
    /// Copy tracked files with their uncommitted changes (the default)
    #[arg(long, help_heading = "What is copied", conflicts_with = "committed_only")]
    pub(crate) include_uncommitted: bool,
    /// Copy the last commit, without uncommitted changes
    #[arg(long, help_heading = "What is copied", conflicts_with = "untracked")]
    pub(crate) committed_only: bool,
    /// Copy untracked files too
    #[arg(long, help_heading = "What is copied")]
    pub(crate) untracked: bool,
    #[command(flatten)]
    pub(crate) walls: WallArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// End the command after this time, such as 90, 90s, 5m or 2h
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    pub(crate) timeout: Option<Duration>,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Without a limit of the user's, the command may take this long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Copies the repository, runs the command on the copy, and shows what it changed.
pub(crate) fn run(
    arguments: &SandboxArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    // First of all, so that an interruption while the copy is made ends in order too.
    let mut signals = Signals::catch()?;
    let mut copy = copy::make(arguments, environment, printer)?;
    let session = copy.isolated.session();
    let interrupter = session.interrupter();
    signals.interrupt_with(interrupter.clone());
    if signals.caught() {
        return Ok(ExitCode::Interrupted);
    }
    let started = Instant::now();
    let spec = ProgramSpec {
        command: arguments.command.clone(),
        ..ProgramSpec::default()
    };
    let timeout = arguments.timeout.unwrap_or(DEFAULT_TIMEOUT);
    // A terminal stays the caller's: a program inside must not be able to type into it.
    let mut input = std::io::stdin();
    let input = (!input.is_terminal()).then_some(&mut input as &mut (dyn Read + Send));
    let mut printed = Ok(());
    let outcome = session.run_program(spec, timeout, input, &mut |stream: Stream, bytes: &[u8]| {
        if printed.is_ok() {
            printed = report::output(printer, stream, bytes, arguments.diff);
            if printed.is_err() {
                // Nobody reads any more: the command would run for nothing.
                interrupter.interrupt();
            }
        }
    });
    printed?;
    let ending = outcome.map_err(report::failed_while_running)?.ending;
    report::ended(printer, &ending, started.elapsed())?;
    if arguments.diff {
        let diff = copy
            .isolated
            .diff(ScanOptions::default())
            .map_err(report::no_diff)?;
        report::diff(printer, &diff, arguments.output.as_deref())?;
    }
    Ok(if signals.caught() {
        ExitCode::Interrupted
    } else {
        report::exit_code(&ending)
    })
}

#[cfg(test)]
mod tests;
