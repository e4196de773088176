//! The walls around what runs, and the folder of a run: what every command that works on a copy has in common.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use cwm_tools::isolated::{Backend, Walls};
use cwm_tools::sandbox::container::ContainerOptions;
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::policy::{Network, Policy};
use cwm_tools::workspace::runs::{Run, Runs};
use cwm_tools::workspace::{Snapshot, SnapshotOptions, WorkspaceError};

use crate::cli::values::byte_count;
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// What the sandbox is, and what it lets through.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sandbox")]
pub(crate) struct WallArguments {
    /// Which network the command has [default: loopback]
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) network: Option<NetworkChoice>,
    /// What keeps the command in [default: auto]
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) sandbox: Option<SandboxChoice>,
    /// The container image to run in
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Set a variable, or with NAME alone let the caller's value through
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) variables: Vec<OsString>,
    /// Let the command read a file or folder of the machine
    #[arg(long = "read", value_name = "PATH")]
    pub(crate) readable: Vec<PathBuf>,
}

/// How much the command may use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Memory of all its processes together, such as 2G
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub(crate) memory: Option<u64>,
    /// Processes and threads alive at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) processes: Option<u32>,
    /// What it may write to its copy, such as 10G
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub(crate) disk: Option<u64>,
}

/// Which network a sandboxed command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum NetworkChoice {
    /// None at all
    None,
    /// A loopback interface of its own, and nothing beyond it
    #[default]
    Loopback,
    /// The machine's network
    Host,
}

/// What keeps a sandboxed command in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum SandboxChoice {
    /// A container if --image is given, else namespaces; never nothing
    #[default]
    Auto,
    /// Linux namespaces, set up by cwm itself
    Namespaces,
    /// A container of Docker or Podman
    Container,
    /// Nothing: on your word, this machine is the sandbox already
    External,
}

/// The walls that the arguments ask for.
pub(crate) fn walls(
    arguments: &WallArguments,
    limits: &LimitArguments,
    environment: &Environment,
) -> anyhow::Result<Walls> {
    let backend = match (arguments.sandbox.unwrap_or_default(), &arguments.image) {
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
    for path in &arguments.readable {
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
        policy: policy(arguments, limits, environment)?,
        shown,
    })
}

fn policy(
    arguments: &WallArguments,
    given: &LimitArguments,
    environment: &Environment,
) -> anyhow::Result<Policy> {
    let asked = variables(&arguments.variables, environment)?;
    let mut policy = MachineView::look(environment.all()).policy(&asked);
    policy.network = match arguments.network.unwrap_or_default() {
        NetworkChoice::None => Network::None,
        NetworkChoice::Loopback => Network::Loopback,
        NetworkChoice::Host => Network::Host,
    };
    let limits = &mut policy.limits;
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

/// A run whose folder goes at the end, however the command ends.
pub(crate) struct OwnedRun {
    run: Option<Run>,
    path: PathBuf,
}

impl OwnedRun {
    /// Owns a run.
    pub(crate) fn of(run: Run) -> OwnedRun {
        OwnedRun {
            path: run.path.clone(),
            run: Some(run),
        }
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnedRun {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            // What cannot be removed now, the next start removes.
            let _ = run.remove();
        }
    }
}

/// Where in a copy commands start: in the folder that the user named.
pub(crate) fn start_folder(named: &Path, root: &Path) -> PathBuf {
    let named = std::fs::canonicalize(named).unwrap_or_else(|_| named.to_owned());
    named.strip_prefix(root).map(Path::to_owned).unwrap_or_default()
}

/// Copies the repository that `repo` is in to a run's folder: the last commit, what is `uncommitted` of its files, and new files that are
/// `untracked`.
pub(crate) fn snapshot(
    walls: &Walls,
    repo: &Path,
    run: &Path,
    uncommitted: bool,
    untracked: bool,
    printer: &mut Printer,
) -> Result<Snapshot, Failure> {
    printer.progress("copying the repository …");
    let options = SnapshotOptions {
        base: None,
        uncommitted,
        untracked,
        environment: true,
    };
    let snapshot = walls.snapshot(repo, run, &options).map_err(no_copy)?;
    printer.clear_progress();
    for note in &snapshot.notes {
        printer.detail(note);
    }
    Ok(snapshot)
}

/// A new run, after what dead ones had left is removed.
pub(crate) fn begin_run(environment: &Environment, printer: &mut Printer) -> anyhow::Result<Run> {
    let runs = open_runs(environment)?;
    for removed in runs.clean_up().map_err(no_copy)? {
        printer.detail(format_args!("removed what run {} had left", removed.id));
    }
    Ok(runs.begin().map_err(no_copy)?)
}

/// The user's runs.
pub(crate) fn open_runs(environment: &Environment) -> anyhow::Result<Runs> {
    let state = environment.state_folder().ok_or_else(|| {
        Failure::new(
            ExitCode::Environment,
            "There is no folder for runs: neither XDG_STATE_HOME nor HOME is set.",
        )
        .with_hint("Set HOME, or XDG_STATE_HOME to a folder that you may write.")
    })?;
    Ok(Runs::open(&state).map_err(no_copy)?)
}

/// A copy's or a run's error as a command's.
pub(crate) fn no_copy(error: WorkspaceError) -> Failure {
    let failure = Failure::new(ExitCode::Environment, error.to_string());
    match error {
        WorkspaceError::Unmerged { .. } => {
            failure.with_hint("--committed-only takes the last commit as it is.")
        }
        _ => failure,
    }
}
