//! The back end that needs nothing but a Linux kernel: user, mount, pid, network, ipc, uts and cgroup
//! namespaces made in-process, as an ordinary user or as root.
//!
//! What enters is a [`Plan`](super::protocol::Plan) on the control socket; what leaves is a supervisor that is PID 1 of its own
//! world (see `supervisor`). Only `helper` calls this, in a fresh process with one thread: a program with threads
//! cannot enter a user namespace, and must not fork and go on.
//!
//! Why `rustix`, `landlock` and `seccompiler` and not the crate `hakoniwa`, after reading its 1.8.0 source: hakoniwa forks
//! inside the calling process and serves one command a container, where this program needs a supervisor that
//! stays inside and answers many requests; its extra identities need the setuid program `newuidmap`; its seccomp part links
//! the C library libseccomp; its view is built path by path on the host's tree, without the masks
//! over `/proc` and the shared memory limit that stand here. What it would save is about three hundred lines of `view.rs`.

mod identity;
mod lock;
mod view;

use std::io;
use std::os::unix::net::UnixStream;

use rustix::thread::UnshareFlags;

use super::policy::Network;
use super::protocol::Plan;
use super::system::{self, Forked};

pub(super) use lock::lock_down;
pub(super) use view::{SESSION, highest_process_number};

/// What went wrong while a sandbox was being made.
#[derive(Debug)]
pub(crate) struct SetupError {
    pub(crate) stage: String,
    pub(crate) error: io::Error,
}

/// Names the step that an error belongs to.
pub(crate) trait AtStage<T> {
    fn at(self, stage: impl Into<String>) -> Result<T, SetupError>;
}

impl<T, E: Into<io::Error>> AtStage<T> for Result<T, E> {
    fn at(self, stage: impl Into<String>) -> Result<T, SetupError> {
        self.map_err(|error| SetupError {
            stage: stage.into(),
            error: error.into(),
        })
    }
}

/// Enters the namespaces. Returns in a child that is PID 1 inside; the calling process waits for that
/// child and ends with it.
pub(crate) fn enter(plan: &Plan) -> Result<(), SetupError> {
    identity::enter_user_namespace()?;
    let mut flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    if plan.policy.network != Network::Host {
        flags |= UnshareFlags::NEWNET;
    }
    system::unshare(flags).at("create the mount, pid, ipc, uts, cgroup and network namespaces")?;
    if plan.policy.network == Network::Loopback {
        system::raise_loopback().at("switch on the loopback interface")?;
    }
    // A name that resolves to the loopback address, so that programs which look themselves up find themselves.
    rustix::system::sethostname(b"localhost").at("set the host name")?;
    match system::fork_single_threaded().at("start the supervisor")? {
        Forked::Child => system::die_with_parent().at("tie the supervisor to its parent"),
        Forked::Parent(child) => wait_and_exit(child),
    }
}

/// Builds what the sandbox sees, and makes it this process's root. For PID 1 inside.
pub(crate) fn build_view(plan: &Plan) -> Result<(), SetupError> {
    view::build(&plan.policy)
}

/// The process outside of the PID namespace has nothing to do but end when the one inside does. Its copy of
/// the control socket is closed (standard input was let go when the socket was taken from it), so that the host sees the
/// supervisor's end at once.
fn wait_and_exit(child: i32) -> ! {
    let _ = system::close_from(3);
    loop {
        match system::wait_for(child) {
            Ok(status) => system::exit_now(status),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => system::exit_now(1),
        }
    }
}

/// Takes the control socket from standard input, where the host put it, and closes everything else that the host's process
/// may have left open.
pub(crate) fn take_control_socket() -> io::Result<UnixStream> {
    system::close_from(3)?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 10)?;
    system::detach_streams()?;
    Ok(UnixStream::from(socket))
}
