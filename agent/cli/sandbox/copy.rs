//! From the command line to a walled-in copy of the repository, in the folder of a run that goes with it.

use std::path::{Path, PathBuf};

use cwm_tools::isolated::{IsolatedCopy, IsolatedError};
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::SnapshotOptions;
use cwm_tools::workspace::runs::Run;

use super::{SandboxArguments, report};
use crate::cli::walls::{self, begin_run, no_copy};
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// A copy and the run's folder that holds it. Both go when this is dropped.
pub(super) struct Copy {
    // In this order: the folder goes after what lies in it.
    pub(super) isolated: IsolatedCopy,
    _run: OwnedRun,
}

/// Removes the run's folder at the end, however the command ends.
struct OwnedRun(Option<Run>);

impl Drop for OwnedRun {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            // What cannot be removed now, the next start removes.
            let _ = run.remove();
        }
    }
}

/// Makes the copy that the arguments ask for.
pub(super) fn make(
    arguments: &SandboxArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<Copy> {
    let walls = walls::walls(&arguments.walls, &arguments.limits, environment)?;
    let run = begin_run(environment, printer)?;
    let folder = run.path.clone();
    let run = OwnedRun(Some(run));
    printer.progress("copying the repository …");
    let options = SnapshotOptions {
        base: None,
        uncommitted: !arguments.committed_only,
        untracked: arguments.untracked,
        environment: true,
    };
    let snapshot = walls
        .snapshot(&arguments.repo, &folder, &options)
        .map_err(no_copy)?;
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

/// Where in the copy the command starts: in the folder that the user named.
fn start_folder(named: &Path, root: &Path) -> PathBuf {
    let named = std::fs::canonicalize(named).unwrap_or_else(|_| named.to_owned());
    named.strip_prefix(root).map(Path::to_owned).unwrap_or_default()
}
