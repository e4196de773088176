//! From the command line to a walled-in copy of the repository, in the folder of a run that goes with it.

use cwm_tools::isolated::{IsolatedCopy, IsolatedError};
use cwm_tools::session::SessionOptions;

use super::{SandboxArguments, report};
use crate::cli::walls::{self, OwnedRun, begin_run, no_copy, start_folder};
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// A copy and the run's folder that holds it. Both go when this is dropped.
pub(super) struct Copy {
    // In this order: the folder goes after what lies in it.
    pub(super) isolated: IsolatedCopy,
    _run: OwnedRun,
}

/// Makes the copy that the arguments ask for.
pub(super) fn make(
    arguments: &SandboxArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<Copy> {
    let walls = walls::walls(&arguments.walls, &arguments.limits, environment)?;
    let run = OwnedRun::of(begin_run(environment, printer)?);
    let (repo, folder) = (&arguments.repo, run.path());
    let (uncommitted, untracked) = (!arguments.committed_only, arguments.untracked);
    let snapshot = walls::snapshot(&walls, repo, folder, uncommitted, untracked, printer)?;
    report::snapshot(printer, &snapshot)?;
    printer.progress("starting the sandbox …");
    let start = start_folder(&arguments.repo, &snapshot.root);
    let isolated =
        IsolatedCopy::open(&snapshot, "1", &walls, &start, SessionOptions::default()).map_err(|error| {
            match error {
                IsolatedError::Workspace(error) => no_copy(error),
                other => Failure::new(ExitCode::Environment, other.to_string()),
            }
        })?;
    Ok(Copy { isolated, _run: run })
}
