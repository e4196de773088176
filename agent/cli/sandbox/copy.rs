//! From the command line to a walled-in copy of the repository, in the folder of a run that goes with it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cwm_tools::isolated::{Backend, IsolatedCopy, IsolatedError, Walls};
use cwm_tools::sandbox::container::ContainerOptions;
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::policy::{Network, Policy};
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::runs::{Run, Runs};
use cwm_tools::workspace::{SnapshotOptions, WorkspaceError};

use super::{NetworkChoice, SandboxArguments, SandboxChoice, report};
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
    let walls = walls(arguments, environment)?;
    let (run, folder) = begin_run(environment, printer)?;
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

fn no_copy(error: WorkspaceError) -> Failure {
    Failure::new(ExitCode::Environment, error.to_string())
}

/// A new run and its folder.
fn begin_run(environment: &Environment, printer: &mut Printer) -> anyhow::Result<(OwnedRun, PathBuf)> {
    let state = environment.state_folder().ok_or_else(|| {
        Failure::new(
            ExitCode::Environment,
            "There is no folder for runs: neither XDG_STATE_HOME nor HOME is set.",
        )
        .with_hint("Set HOME, or XDG_STATE_HOME to a folder that you may write.")
    })?;
    let runs = Runs::open(&state).map_err(no_copy)?;
    for removed in runs.clean_up().map_err(no_copy)? {
        printer.detail(format_args!("removed what run {} had left", removed.id));
    }
    let run = runs.begin().map_err(no_copy)?;
    let folder = run.path.clone();
    Ok((OwnedRun(Some(run)), folder))
}

fn walls(arguments: &SandboxArguments, environment: &Environment) -> anyhow::Result<Walls> {
    let backend = match (arguments.walls.sandbox, &arguments.walls.image) {
        (SandboxChoice::Container, None) => {
            return Err(Failure::new(
                ExitCode::Usage,
                "--sandbox container needs an image to make the container of.",
            )
            .with_hint("Name one that the engine has with --image; it must hold bash.")
            .into());
        }
        (SandboxChoice::Namespaces | SandboxChoice::External, Some(_)) => {
            let message = "--image is for containers: leave it out, or say --sandbox container.";
            return Err(Failure::new(ExitCode::Usage, message).into());
        }
        (SandboxChoice::Container | SandboxChoice::Auto, Some(image)) => Backend::Container {
            options: ContainerOptions {
                image: image.clone(),
                engine: None,
                repository: None,
            },
            environment: environment.all(),
        },
        (SandboxChoice::External, None) => Backend::External,
        (SandboxChoice::Auto | SandboxChoice::Namespaces, None) => Backend::Namespaces,
    };
    let program = std::env::current_exe().context("The path of the cwm program cannot be found.")?;
    let mut shown = Vec::new();
    for path in &arguments.walls.readable {
        shown.push(std::fs::canonicalize(path).with_context(|| {
            Failure::new(
                ExitCode::Usage,
                format!("--read {}: there is no such path.", path.display()),
            )
        })?);
    }
    Ok(Walls {
        backend,
        program,
        policy: policy(arguments, environment)?,
        shown,
    })
}

fn policy(arguments: &SandboxArguments, environment: &Environment) -> anyhow::Result<Policy> {
    let asked = variables(&arguments.walls.variables, environment)?;
    let mut policy = MachineView::look(environment.all()).policy(&asked);
    policy.network = match arguments.walls.network {
        NetworkChoice::None => Network::None,
        NetworkChoice::Loopback => Network::Loopback,
        NetworkChoice::Host => Network::Host,
    };
    let (given, limits) = (&arguments.limits, &mut policy.limits);
    limits.memory = given.memory.unwrap_or(limits.memory);
    limits.processes = given.processes.unwrap_or(limits.processes);
    limits.disk = given.disk.unwrap_or(limits.disk);
    limits.file_size = limits.file_size.min(limits.disk);
    Ok(policy)
}

/// `NAME=VALUE` sets a variable, `NAME` alone lets the caller's through.
fn variables(given: &[OsString], environment: &Environment) -> anyhow::Result<BTreeMap<OsString, OsString>> {
    let mut variables = BTreeMap::new();
    for word in given {
        let bytes = word.as_bytes();
        let split = bytes.iter().position(|&byte| byte == b'=');
        let (name, value) = match split {
            Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
            None => (bytes, None),
        };
        let name = OsStr::from_bytes(name);
        if name.is_empty() {
            let message = format!("--env {}: a variable needs a name.", word.display());
            return Err(Failure::new(ExitCode::Usage, message).into());
        }
        let value = value
            .map(OsStr::from_bytes)
            .or_else(|| name.to_str().and_then(|name| environment.get(name)));
        if let Some(value) = value {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(variables)
}

/// Where in the copy the command starts: in the folder that the user named.
fn start_folder(named: &Path, root: &Path) -> PathBuf {
    let named = std::fs::canonicalize(named).unwrap_or_else(|_| named.to_owned());
    named.strip_prefix(root).map(Path::to_owned).unwrap_or_default()
}
