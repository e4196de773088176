//! `cwm runs rm`: removes runs, but none that a process works on.

use clap::Args;
use cwm_tools::workspace::WorkspaceError;
use cwm_tools::workspace::runs::RunState;
use serde::Serialize;

use super::find;
use crate::cli::walls::{no_copy, open_runs};
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// Remove runs with all they left
#[derive(Debug, Args)]
#[command(after_help = "\
Runs that a cwm process works on are not removed. Nothing is asked.

Examples:
  cwm runs rm 20260131T235959Z-1a2b3c4d
  cwm runs rm --all-finished")]
pub(crate) struct RemoveArguments {
    /// The runs
    #[arg(value_name = "RUN", required_unless_present = "all_finished")]
    runs: Vec<String>,
    /// Remove every finished run
    #[arg(long, conflicts_with = "runs")]
    all_finished: bool,
}

#[derive(Serialize)]
struct RemovedEvent<'a> {
    id: &'a str,
}

/// Removes them, none when one cannot be.
pub(super) fn run(
    arguments: &RemoveArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let runs = open_runs(environment)?;
    let mut chosen = Vec::new();
    if arguments.all_finished {
        let all = runs.all().map_err(no_copy)?.into_iter();
        chosen.extend(all.filter(|run| run.state == RunState::Finished));
    }
    for word in &arguments.runs {
        let run = find(&runs, word)?;
        if run.state == RunState::Live {
            return Err(in_use(WorkspaceError::RunInUse(run.id)).into());
        }
        if !chosen.contains(&run) {
            chosen.push(run);
        }
    }
    if chosen.is_empty() {
        printer.note("there is nothing to remove");
    }
    for run in chosen {
        match runs.remove(&run.id) {
            // Another process was faster; gone is gone.
            Err(WorkspaceError::NoSuchRun(_)) => {}
            Err(error @ WorkspaceError::RunInUse(_)) => return Err(in_use(error).into()),
            other => other.map_err(no_copy)?,
        }
        printer.note(format_args!("removed run {}", run.id));
        printer.event("runs.removed", &RemovedEvent { id: &run.id })?;
    }
    Ok(ExitCode::Success)
}

fn in_use(error: WorkspaceError) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!("{}.", super::sentence(&error.to_string())),
    )
}
