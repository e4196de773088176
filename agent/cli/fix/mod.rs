//! `cwm fix`: from an issue to a tested git diff.
//!
//! The command reads the issue, takes the snapshot, opens the model and starts the run on a thread of its own; this thread shows what
//! happens and listens for Ctrl-C. `cwm runs resume` enters by the same doors.

mod choices;
mod guidance;
mod outcome;
mod resume;
mod start;
mod words;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub(crate) use choices::DEFAULT_MODEL;
pub(crate) use resume::resume;
pub(crate) use words::Words;

use crate::cli::config::Layers;
use crate::cli::model::OpenArguments;
use crate::cli::values::duration;
use crate::cli::walls::{LimitArguments, WallArguments};
use crate::cli::{Environment, ExitCode, Failure, Printer, issue};

/// Fix an issue in a repository, and prove the fix by its tests
///
/// A model works on isolated copies of the repository; your files are not touched. Every patch is tried in a fresh copy with the tests
/// that were run before anything was changed. The best one goes to stdout as a git diff if it is verified: a test of the issue that failed
/// passes now, and none that passed fails. Otherwise stderr says where it lies, and the exit code is 1.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cwm fix -m 'median() is wrong for lists of even length'       tests are found and run first
  cwm fix --issue issue.md --test 'pytest tests/test_stats.py'   with the tests that show the issue
  gh issue view 42 | cwm fix --issue - ../project -n 8           up to eight attempts
  cwm fix --issue issue.md -o fix.diff && cwm apply fix.diff     keep the patch, then take it over
  cwm fix -m '…' --model http://localhost:8000 --model-name facebook/cwm
  cwm fix -m '…' --apply                                         change the working tree when verified

Ctrl-C once ends after the step that is being done and keeps everything: `cwm runs resume` goes on.
Ctrl-C twice ends at once.")]
pub(crate) struct FixArguments {
    /// The repository, or the folder in it that tests are run from
    #[arg(default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Read the issue from a file; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    pub(crate) issue: Option<PathBuf>,
    /// The issue itself
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// A command that tests the repository; may be given several times [default: found in the repository]
    #[arg(long = "test", value_name = "CMD")]
    pub(crate) tests: Vec<String>,
    /// A name of `cwm model list`, a path, or the address of an OpenAI-compatible server
    #[arg(long, value_name = "M")]
    pub(crate) model: Option<OsString>,
    /// The most attempts; those behind the first verified one are not made [default: 8 one-shot, 1 agentic]
    #[arg(short = 'n', long = "samples", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) samples: Option<u32>,
    /// How attempts work [default: auto]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) strategy: Option<StrategyChoice>,
    /// The same seed gives the same patch, on the same machine with the same tests [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) result: ResultArguments,
    #[command(flatten)]
    pub(crate) budget: BudgetArguments,
    #[command(flatten)]
    pub(crate) copy: CopyArguments,
    #[command(flatten)]
    pub(crate) walls: WallArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) open: OpenArguments,
}

/// What becomes of the patch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
pub(crate) struct ResultArguments {
    /// Which patch goes to stdout [default: verified]
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) accept: Option<AcceptChoice>,
    /// Write the patch to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Change the working tree too, when the patch is accepted
    #[arg(long)]
    pub(crate) apply: bool,
}

/// How much a run may use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Budget")]
pub(crate) struct BudgetArguments {
    /// Turns of an agentic attempt [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_turns: Option<u32>,
    /// Rounds of a one-shot attempt: the first answer, and one more for each time that failing tests are shown [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Tokens of an attempt's window [default: the model's context, at most 131072]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(256..))]
    pub(crate) max_tokens: Option<u32>,
    /// The most tokens of files that an agentic attempt is given with the issue [default: a quarter of the window]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(256..))]
    pub(crate) pack_tokens: Option<u32>,
    /// Give agentic attempts the issue alone, as CWM's published results were made
    #[arg(long, conflicts_with = "pack_tokens")]
    pub(crate) no_pack: bool,
    /// How long all attempts may take together
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_time: Option<Duration>,
    /// How long a command of the model may take [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) command_timeout: Option<Duration>,
    /// How long a test command may take [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) test_timeout: Option<Duration>,
    /// Where the tests take much longer, run those near to a patch for so long; all of them only where that may verify it or it comes first [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) test_budget: Option<Duration>,
    /// Attempts at once [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) parallel: Option<u32>,
    /// Make every attempt, also those behind a verified one
    #[arg(long)]
    pub(crate) all_attempts: bool,
    /// How often tests are written for the issue, by which candidates are told apart; 0 for never [default: 4 when no test fails before, else 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) issue_tests: Option<u32>,
    /// How probable it must be, in percent, that a patch is right which only tests that were written for the issue verify [default: 80]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) min_evidence: Option<u8>,
    /// Replaces the strategy's own temperature
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f32>,
    /// Replaces the strategy's own top-p
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) top_p: Option<f32>,
}

/// What attempts are copies of, and what models read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is copied")]
pub(crate) struct CopyArguments {
    /// Start from the last commit, without uncommitted changes and new files
    #[arg(long)]
    pub(crate) committed_only: bool,
    /// Take the model's prompts from this folder, where it has them
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
}

/// How attempts work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum StrategyChoice {
    /// One-shot for small models of this machine, else agentic
    #[default]
    Auto,
    /// Turns with tools
    Agentic,
    /// One answer with edits, mended by what tests say
    OneShot,
    /// Every second attempt by the other of the two
    Mixed,
}

/// Which patch is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum AcceptChoice {
    /// A verified one only
    #[default]
    Verified,
    /// The best one, verified or not
    Best,
}

/// Runs the command.
pub(crate) fn run(
    arguments: &FixArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let issue = issue::read(arguments.message.as_deref(), arguments.issue.as_deref())?;
    if let Some(folder) = arguments.result.output.as_ref().and_then(|path| path.parent())
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        let message = format!("--output: there is no folder {}.", folder.display());
        return Err(Failure::new(ExitCode::Usage, message).into());
    }
    // Where there is no repository the run says so; the user's own settings need none.
    let root = cwm_tools::workspace::working_tree(&arguments.repo).ok();
    let layers = Layers::load(root.as_deref(), environment)?;
    let arguments = choices::settled(arguments, &layers, environment)?;
    work::run(start::Beginning::New { issue }, &arguments, environment, printer)
}
