//! An isolated copy that is ready to work on: an attempt's copy-on-write layer, a sandbox around it with the copy at
//! the repository's own path, and a session in it. What enters is a snapshot and the walls; what leaves is a [`Session`]
//! and, at the end, one diff. The copy goes when the value is dropped.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::patch::ScanOptions;
use crate::patch::apply::Applied;
use crate::sandbox::container::ContainerOptions;
use crate::sandbox::policy::{Mount, Policy};
use crate::sandbox::{
    ApplyRefused, ApplyRequest, DiffDone, DiffRequest, Interrupt, KillReason, Sandbox, SandboxError,
};
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
    // Dropped in this order: nothing looks at the copy or runs in it when it is removed.
    _watch: DiskWatch,
    session: Session,
    copy: OwnedAttempt,
    seen: Seen,
    excludes: Vec<String>,
}

/// Where a copy is seen by what runs in it: its tree, its base's manifest, its base's objects.
struct Seen {
    root: PathBuf,
    manifest: PathBuf,
    objects: PathBuf,
}

/// An attempt that goes when this is dropped, unless it is kept.
struct OwnedAttempt {
    attempt: Attempt,
    keep: bool,
}

impl Drop for OwnedAttempt {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is removed with the run.
            let _ = self.attempt.clone().remove();
        }
    }
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
        let wall_in = |copying: Copying| {
            let attempt = snapshot.attempt(name, copying)?;
            let copy = OwnedAttempt { attempt, keep: false };
            let (sandbox, seen) = start_sandbox(snapshot, &copy.attempt, walls, start)?;
            Ok((copy, sandbox, seen))
        };
        let copying = match walls.backend {
            Backend::Namespaces => Copying::Overlay,
            Backend::Container { .. } | Backend::External => Copying::Plain,
        };
        let walled_in = match wall_in(copying) {
            // The file system below cannot carry a copy-on-write layer: the same with a whole copy.
            Err(IsolatedError::Sandbox(SandboxError::Unavailable { stage, .. }))
                if copying == Copying::Overlay && stage == format!("mount {}", snapshot.root.display()) =>
            {
                wall_in(Copying::Plain)
            }
            first => first,
        };
        let (copy, sandbox, seen) = walled_in?;
        let limit = sandbox.policy().limits.disk;
        Ok(IsolatedCopy {
            _watch: DiskWatch::start(copy.attempt.clone(), limit, sandbox.interrupter()),
            session: Session::new(sandbox, options),
            copy,
            seen,
            excludes: snapshot.excludes()?,
        })
    }

    /// The session.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Where the copy is seen.
    pub fn root(&self) -> &Path {
        &self.seen.root
    }

    /// What was changed, as one git diff against the base.
    pub fn diff(&mut self, mut options: ScanOptions) -> Result<DiffDone, IsolatedError> {
        // What the user has git ignore beyond the tree's own lists, an environment that lies in the tree for example.
        options.ignore_patterns.extend(self.excludes.iter().cloned());
        let request = DiffRequest {
            root: self.seen.root.clone(),
            manifest: self.seen.manifest.clone(),
            objects: self.seen.objects.clone(),
            options,
        };
        self.session.diff(request)?.map_err(IsolatedError::Diff)
    }

    /// Applies a patch to the copy, all of it or nothing. With `leave_tests` what lies at the paths of tests stays as it is, so that a
    /// patch is judged by the tests of the base and not by its own.
    ///
    /// # Errors
    ///
    /// When the sandbox is lost. A patch that does not apply is the inner error.
    pub fn apply(
        &mut self,
        patch: &[u8],
        leave_tests: bool,
    ) -> Result<Result<Applied, ApplyRefused>, IsolatedError> {
        let request = ApplyRequest {
            root: self.seen.root.clone(),
            patch: patch.to_vec(),
            leave_tests,
        };
        Ok(self.session.apply(request)?)
    }

    /// Leaves the copy on disk when this value is dropped, for a run that is to be resumed.
    pub fn keep(&mut self) {
        self.copy.keep = true;
    }
}

/// Starts the sandbox that the walls ask for around an attempt, and tells where its copy is seen inside.
fn start_sandbox(
    snapshot: &Snapshot,
    attempt: &Attempt,
    walls: &Walls,
    start: &Path,
) -> Result<(Sandbox, Seen), IsolatedError> {
    let mut policy = walls.policy.clone();
    let mounted = Seen {
        root: snapshot.root.clone(),
        manifest: MANIFEST_INSIDE.into(),
        objects: Path::new(STORE_INSIDE).join("objects"),
    };
    policy.working_directory = mounted.root.join(start);
    match &walls.backend {
        Backend::Namespaces => {
            policy.mounts.extend(attempt.mounts());
            // The user's word counts for more than what is hidden by habit.
            policy
                .hidden
                .retain(|hidden| !walls.shown.iter().any(|shown| shown.starts_with(hidden)));
            policy.readable.extend(walls.shown.iter().cloned());
            Ok((Sandbox::start(&walls.program, policy)?, mounted))
        }
        // The image is the system, so that nothing of the machine's is shown but the copy and what the user named.
        Backend::Container { options, environment } => {
            policy.hidden.clear();
            policy.mounts = attempt.mounts();
            policy
                .mounts
                .extend(walls.shown.iter().map(|path| Mount::ReadOnly {
                    source: path.clone(),
                    target: path.clone(),
                }));
            let sandbox = Sandbox::start_in_container(&walls.program, policy, options, environment)?;
            Ok((sandbox, mounted))
        }
        // Without mounts the copy is seen where it lies, with a link to its git folder.
        Backend::External => {
            let seen = Seen {
                root: attempt.link_git()?,
                manifest: attempt.path().join("manifest"),
                objects: snapshot.store().join("objects"),
            };
            policy.working_directory = seen.root.join(start);
            prefer_copy(&seen.root, &mut policy.environment);
            let sandbox = Sandbox::start_external(&walls.program, policy, seen.root.clone())?;
            Ok((sandbox, seen))
        }
    }
}

/// Has Python look for modules in the copy first: a package that is installed for editing is found where the user's tree lies, which then would be
/// tested instead. The copy is at another place than that only where nothing is mounted.
fn prefer_copy(root: &Path, environment: &mut BTreeMap<OsString, OsString>) {
    let is_package = ["pyproject.toml", "setup.py", "setup.cfg"]
        .iter()
        .any(|name| root.join(name).is_file());
    if !is_package {
        return;
    }
    let name = OsStr::new("PYTHONPATH");
    let own = environment.get(name).cloned().unwrap_or_default();
    let mut places = vec![root.join("src"), root.to_owned()];
    places.retain(|place| place.is_dir());
    places.extend(std::env::split_paths(&own).filter(|place| !place.as_os_str().is_empty()));
    // A path with a colon in it cannot be put into the list.
    if let Ok(joined) = std::env::join_paths(places) {
        environment.insert(name.to_owned(), joined);
    }
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
