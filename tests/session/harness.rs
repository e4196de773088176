//! What the tests of sessions and suites share: a session over a folder of its own, and a look at its processes from outside.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::policy::{Mount, Policy};
use cwm_tools::sandbox::{Ending, KillReason, Sandbox};
use cwm_tools::session::{CommandResult, Session, SessionOptions};

/// A session whose shell starts in a writable folder of its own.
pub(crate) struct Inside {
    // Dropped first: the folder must outlive the processes in it.
    pub(crate) session: Session,
    folder: tempfile::TempDir,
}

/// A command's result, with what it printed as text.
pub(crate) struct Done {
    pub(crate) result: CommandResult,
    pub(crate) text: String,
}

impl Inside {
    pub(crate) fn new() -> Inside {
        Inside::with(|_| {}, patient(20))
    }

    /// With a timeout for each command.
    pub(crate) fn with_timeout(seconds: u64) -> Inside {
        Inside::with(|_| {}, patient(seconds))
    }

    pub(crate) fn with(change: impl FnOnce(&mut Policy), options: SessionOptions) -> Inside {
        let folder = tempfile::tempdir().unwrap();
        let view = MachineView::look(std::env::vars_os());
        let mut policy = view.policy(&BTreeMap::<OsString, OsString>::new());
        policy.mounts.push(Mount::Writable {
            source: folder.path().to_owned(),
            target: folder.path().to_owned(),
        });
        policy.working_directory = folder.path().to_owned();
        change(&mut policy);
        let sandbox = Sandbox::start(Path::new(env!("CARGO_BIN_EXE_cwm")), policy).unwrap();
        Inside {
            session: Session::new(sandbox, options),
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&mut self, command: &str) -> Done {
        let result = self.session.run(command).unwrap();
        let text = String::from_utf8_lossy(&result.output.head).into_owned()
            + &String::from_utf8_lossy(&result.output.tail);
        Done { result, text }
    }

    /// Runs what must exit with 0, and returns what it printed.
    pub(crate) fn ok(&mut self, command: &str) -> String {
        let done = self.run(command);
        assert_eq!(
            done.result.ending,
            Ending::Exited(0),
            "`{command}` printed:\n{}",
            done.text
        );
        done.text
    }

    /// The session works: a command's output and status come back, at once.
    #[track_caller]
    pub(crate) fn assert_usable(&mut self) {
        let done = self.run("echo still here; /bin/sh -c 'exit 7'");
        assert_eq!(done.result.ending, Ending::Exited(7), "printed:\n{}", done.text);
        assert!(done.text.ends_with("still here\n"), "{:?}", done.text);
        assert!(
            done.result.wall_time < Duration::from_secs(10),
            "{:?}",
            done.result.wall_time
        );
    }

    /// The name of the sandbox's PID namespace, which is the same inside and outside.
    pub(crate) fn namespace(&mut self) -> String {
        self.ok("readlink /proc/self/ns/pid").trim().to_owned()
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> String {
        assert_eq!(
            self.result.ending,
            Ending::Exited(code),
            "printed:\n{}",
            self.text
        );
        self.text
    }

    #[track_caller]
    pub(crate) fn timed_out(self) -> String {
        assert_eq!(
            self.result.ending,
            Ending::Killed(KillReason::Timeout),
            "printed:\n{}",
            self.text
        );
        self.text
    }
}

/// Options with a timeout for each command.
pub(crate) fn patient(seconds: u64) -> SessionOptions {
    SessionOptions {
        command_timeout: Duration::from_secs(seconds),
        ..SessionOptions::default()
    }
}

/// Process numbers, outside, of the processes in a PID namespace that this user may look at.
pub(crate) fn processes_in(namespace: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link| link == Path::new(namespace))
        })
        .collect()
}

/// One field of a process's status.
pub(crate) fn status_field(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

/// The process number, outside, of the supervisor of the sandbox: its shell's parent.
pub(crate) fn supervisor(inside: &mut Inside) -> u32 {
    let namespace = inside.namespace();
    let shell = inside.ok("echo $$").trim().to_owned();
    let shell = processes_in(&namespace)
        .into_iter()
        .find(|&pid| {
            status_field(pid, "NSpid").is_some_and(|all| all.split_whitespace().last() == Some(&shell))
        })
        .unwrap();
    status_field(shell, "PPid").unwrap().parse().unwrap()
}

/// The most memory that a process ever held, in KiB.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let field = status_field(pid, "VmHWM").unwrap();
    field.split_whitespace().next().unwrap().parse().unwrap()
}

/// Processor time that a process has used.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second())
}

/// Waits until something holds, for at most some seconds.
pub(crate) fn soon(seconds: u64, holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holds()
}

/// A program that a test cannot do without.
#[track_caller]
pub(crate) fn need(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("this test needs `{program}`; install {package}"))
}
