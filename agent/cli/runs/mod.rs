//! `cwm runs`: looks at what runs left behind, hands it on, and clears it away.

mod export;
mod forms;
mod list;
mod remove;
mod resume;
mod show;
mod story;

use clap::{Args, Subcommand};
use cwm_tools::workspace::WorkspaceError;
use cwm_tools::workspace::runs::{RunFolder, RunState, Runs};

use crate::cli::walls::no_copy;
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// List, show, resume, export and remove runs
#[derive(Debug, Args)]
#[command(after_help = "\
RUN is an id of `cwm runs list`, the beginning of one or of what stands behind its `-`, or `last`.

Examples:
  cwm runs list
  cwm runs show last
  cwm runs resume last
  cwm runs export last --format openai -o conversation.jsonl
  cwm runs rm --all-finished")]
pub(crate) struct RunsArguments {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    List(list::ListArguments),
    Show(show::ShowArguments),
    Resume(resume::ResumeArguments),
    Export(export::ExportArguments),
    Rm(remove::RemoveArguments),
}

/// Runs the subcommand.
pub(crate) fn run(
    arguments: &RunsArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        RunsCommand::List(list) => list::run(list, environment, printer),
        RunsCommand::Show(show) => show::run(show, environment, printer),
        RunsCommand::Resume(resume) => resume::run(resume, environment, printer),
        RunsCommand::Export(export) => export::run(export, environment, printer),
        RunsCommand::Rm(remove) => remove::run(remove, environment, printer),
    }
}

/// The run that the user means.
pub(crate) fn find(runs: &Runs, word: &str) -> Result<RunFolder, Failure> {
    runs.find(word).map_err(|error| {
        let code = match error {
            WorkspaceError::UnknownRun { .. }
            | WorkspaceError::AmbiguousRun { .. }
            | WorkspaceError::NoRuns => ExitCode::Usage,
            _ => return no_copy(error),
        };
        Failure::new(code, format!("{}.", sentence(&error.to_string())))
            .with_hint("`cwm runs list` shows the runs there are.")
    })
}

/// A text with a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// A state's name, in tables and events.
fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::Live => "live",
        RunState::Resumable => "resumable",
        RunState::Finished => "finished",
        RunState::Dead => "dead",
    }
}
