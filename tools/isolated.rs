//! An isolated copy that is ready to work on: an attempt's copy-on-write layer, a sandbox around it with the copy at
//! the repository's own path, and a session in it. What enters is a snapshot and the walls; what leaves is a [`Session`]
//! and, at the end, one diff. The copy goes when the value is dropped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::patch::ScanOptions;
use crate::sandbox::container::ContainerOptions;
use crate::sandbox::policy::{Mount, Policy};
use crate::sandbox::{DiffDone, DiffRequest, Interrupt, KillReason, Sandbox, SandboxError};
use crate::session::{Session, SessionOptions};
use crate::workspace::{
    Attempt, Copying, MANIFEST_INSIDE, STORE_INSIDE, Snapshot, SnapshotOptions, WorkspaceError,
};

/// Between two looks at the disk that an attempt takes.
const DISK_INTERVAL: Duration = Duration::from_millis(500);
/// A look may cost at most one part in this many of the time.
const DISK_SHARE: u32 = 20;

/// What keeps an attempt in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Linux namespaces.
    Namespaces,
    /// A container of an engine on this machine.
    Container {
        /// Which.
        options: ContainerOptions,
        /// The user's environment, which says where engines are.
        environment: BTreeMap<OsString, OsString>,
    },
    /// Nothing: the user said that the machine is the sandbox.
    External,
}

/// How an attempt is walled in.
#[derive(Debug, Clone)]
pub struct Walls {
    /// By what.
    pub backend: Backend,
    /// The `cwm` binary, which is also the helper inside.
    pub program: PathBuf,
    /// The policy of the machine's view, to which the copy's mounts are added. Of its view a container takes nothing.
    pub policy: Policy,
    /// What the user lets commands read besides, at its own path.
    pub shown: Vec<PathBuf>,
}

/// Why there is no isolated copy.
#[derive(Debug, thiserror::Error)]
pub enum IsolatedError {
    /// The repository cannot be copied.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The sandbox cannot be made, or is lost.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The diff cannot be made.
    #[error("what the copy changed cannot be told: {0}")]
    Diff(String),
}

impl Walls {
    /// Takes the snapshot that attempts within these walls can see: they find its object store at another place
    /// when nothing is mounted for them.
    pub fn snapshot(
        &self,
        repository: &Path,
        run: &Path,
        options: &SnapshotOptions,
    ) -> Result<Snapshot, WorkspaceError> {
        match self.backend {
            Backend::Namespaces | Backend::Container { .. } => Snapshot::create(repository, run, options),
            Backend::External => Snapshot::create_with_store_at(repository, run, options, &run.join("store")),
        }
    }
}

/// A copy, the sandbox around it, and a session in that.
pub struct IsolatedCopy {
    // Ended before the copy is removed; `None` only while that is done.
    session: Option<Session>,
    watch: Option<DiskWatch>,
    attempt: Attempt,
    root: PathBuf,
    manifest: PathBuf,
    objects: PathBuf,
    excludes: Vec<String>,
    keep: bool,
}

impl IsolatedCopy {
    /// Makes the copy of an attempt and walls it in. `start` is where commands start, below the repository's root.
    pub fn open(
        snapshot: &Snapshot,
        name: &str,
        walls: &Walls,
        start: &Path,
        options: SessionOptions,
    ) -> Result<IsolatedCopy, IsolatedError> {
        match &walls.backend {
            Backend::Namespaces => Self::in_namespaces(snapshot, name, walls, start, options),
            Backend::Container {
                options: container,
                environment,
            } => {
                let attempt = snapshot.attempt(name, Copying::Plain)?;
                let sandbox = Self::container(snapshot, &attempt, walls, start, container, environment)?;
                Self::around(snapshot, attempt, sandbox, options, paths_inside(snapshot))
            }
            Backend::External => Self::external(snapshot, name, walls, start, options),
        }
    }

    fn in_namespaces(
        snapshot: &Snapshot,
        name: &str,
        walls: &Walls,
        start: &Path,
        options: SessionOptions,
    ) -> Result<IsolatedCopy, IsolatedError> {
        let attempt = snapshot.attempt(name, Copying::Overlay)?;
        let (attempt, sandbox) = match Self::sandbox(snapshot, &attempt, walls, start) {
            Ok(sandbox) => (attempt, sandbox),
            // The file system below cannot carry a copy-on-write layer: the same with a whole copy.
            Err(SandboxError::Unavailable { stage, .. })
                if stage == format!("mount {}", snapshot.root.display()) =>
            {
                attempt.remove()?;
                let attempt = snapshot.attempt(name, Copying::Plain)?;
                let sandbox = Self::sandbox(snapshot, &attempt, walls, start)?;
                (attempt, sandbox)
            }
            Err(error) => {
                let _ = attempt.remove();
                return Err(error.into());
            }
        };
        Self::around(snapshot, attempt, sandbox, options, paths_inside(snapshot))
    }

    fn sandbox(
        snapshot: &Snapshot,
        attempt: &Attempt,
        walls: &Walls,
        start: &Path,
    ) -> Result<Sandbox, SandboxError> {
        let mut policy = walls.policy.clone();
        policy.mounts.extend(attempt.mounts());
        // The user's word counts for more than what is hidden by habit.
        policy
            .hidden
            .retain(|hidden| !walls.shown.iter().any(|shown| shown.starts_with(hidden)));
        policy.readable.extend(walls.shown.iter().cloned());
        policy.working_directory = snapshot.root.join(start);
        Sandbox::start(&walls.program, policy)
    }

    /// The image is the system, so that nothing of the machine's is shown but the copy and what the user named.
    fn container(
        snapshot: &Snapshot,
        attempt: &Attempt,
        walls: &Walls,
        start: &Path,
        options: &ContainerOptions,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Sandbox, SandboxError> {
        let mut policy = walls.policy.clone();
        policy.hidden.clear();
        policy.mounts = attempt.mounts();
        let shown = walls.shown.iter().map(|path| Mount::ReadOnly {
            source: path.clone(),
            target: path.clone(),
        });
        policy.mounts.extend(shown);
        policy.working_directory = snapshot.root.join(start);
        Sandbox::start_in_container(&walls.program, policy, options, environment)
    }

    /// Without mounts the copy is seen where it lies, with a link to its git folder.
    fn external(
        snapshot: &Snapshot,
        name: &str,
        walls: &Walls,
        start: &Path,
        options: SessionOptions,
    ) -> Result<IsolatedCopy, IsolatedError> {
        let attempt = snapshot.attempt(name, Copying::Plain)?;
        let root = attempt.link_git()?;
        let mut policy = walls.policy.clone();
        policy.working_directory = root.join(start);
        let sandbox = Sandbox::start_external(&walls.program, policy, root.clone())?;
        let paths = (
            root,
            attempt.path().join("manifest"),
            snapshot.store().join("objects"),
        );
        Self::around(snapshot, attempt, sandbox, options, paths)
    }

    fn around(
        snapshot: &Snapshot,
        attempt: Attempt,
        sandbox: Sandbox,
        options: SessionOptions,
        (root, manifest, objects): (PathBuf, PathBuf, PathBuf),
    ) -> Result<IsolatedCopy, IsolatedError> {
        let excludes = snapshot.excludes()?;
        let limit = sandbox.policy().limits.disk;
        let watch = DiskWatch::start(attempt.clone(), limit, sandbox.interrupter());
        let session = Some(Session::new(sandbox, options));
        Ok(IsolatedCopy {
            session,
            watch: Some(watch),
            attempt,
            root,
            manifest,
            objects,
            excludes,
            keep: false,
        })
    }

    /// The session.
    ///
    /// # Errors
    /// Never while the copy lives.
    pub fn session(&mut self) -> Result<&mut Session, SandboxError> {
        self.session
            .as_mut()
            .ok_or_else(|| SandboxError::Lost("the copy is closed".to_owned()))
    }

    /// Where the copy is seen.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was changed, as one git diff against the base.
    pub fn diff(&mut self, mut options: ScanOptions) -> Result<DiffDone, IsolatedError> {
        // What the user has git ignore beyond the tree's own lists, an environment that lies in the tree for example.
        options.ignore_patterns.extend(self.excludes.iter().cloned());
        let request = DiffRequest {
            root: self.root.clone(),
            manifest: self.manifest.clone(),
            objects: self.objects.clone(),
            options,
        };
        self.session()?.diff(request)?.map_err(IsolatedError::Diff)
    }

    /// Leaves the copy on disk when this value is dropped, for a run that is to be resumed.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for IsolatedCopy {
    fn drop(&mut self) {
        self.watch = None;
        self.session = None;
        if !self.keep {
            // What cannot be removed now is removed with the run.
            let _ = self.attempt.clone().remove();
        }
    }
}

/// Where a copy that is mounted is seen: its tree, its base's manifest, its base's objects.
fn paths_inside(snapshot: &Snapshot) -> (PathBuf, PathBuf, PathBuf) {
    (
        snapshot.root.clone(),
        MANIFEST_INSIDE.into(),
        Path::new(STORE_INSIDE).join("objects"),
    )
}

/// Ends what runs when an attempt takes more disk than allowed. From outside, where the layers can be seen.
struct DiskWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DiskWatch {
    fn start(attempt: Attempt, limit: u64, interrupt: Interrupt) -> DiskWatch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            // A plain copy's own size is no use of the allowance.
            let before = match attempt.copying() {
                Copying::Overlay => 0,
                Copying::Plain => attempt.disk_usage().unwrap_or(0),
            };
            let mut pause = DISK_INTERVAL;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(pause);
                let start = Instant::now();
                if attempt
                    .disk_usage()
                    .is_ok_and(|used| used.saturating_sub(before) > limit)
                {
                    interrupt.kill(KillReason::Disk);
                }
                pause = DISK_INTERVAL.max(start.elapsed() * DISK_SHARE);
            }
        });
        DiskWatch {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
