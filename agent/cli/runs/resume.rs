//! `cwm runs resume`: goes on with a run that was cut short.

use std::ffi::OsString;

use clap::Args;
use cwm_tools::workspace::runs::RunState;

use super::find;
use crate::cli::walls::{no_copy, open_runs};
use crate::cli::{Environment, ExitCode, Failure, Printer, fix};

/// Go on with a run that was cut short
///
/// What models said and what tests said until then is taken from the run's journal; the copy is built anew by repeating what was done to
/// it. The run ends as it would have, with the patch on stdout when it is verified.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm runs resume last
  cwm runs resume last --model http://localhost:8001   when the server has moved")]
pub(super) struct ResumeArguments {
    /// The run
    run: String,
    /// Another model in place of the one that the run began with
    #[arg(long, value_name = "M")]
    model: Option<OsString>,
}

/// Takes up the run's folder, and goes on.
pub(super) fn run(
    arguments: &ResumeArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let runs = open_runs(environment)?;
    let found = find(&runs, &arguments.run)?;
    let refusal = match found.state {
        RunState::Resumable => None,
        RunState::Live => Some("another cwm process works on it"),
        RunState::Finished => Some("it came to its end"),
        RunState::Dead => Some("it was cut short before there was anything to go on with"),
    };
    if let Some(why) = refusal {
        let message = format!("The run {} cannot be resumed: {why}.", found.id);
        return Err(Failure::new(ExitCode::Usage, message)
            .with_hint("`cwm runs list` shows which can.")
            .into());
    }
    let run = runs.resume(&found.id).map_err(no_copy)?;
    fix::resume(run, arguments.model.clone(), environment, printer)
}
