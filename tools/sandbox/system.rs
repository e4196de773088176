//! The few system calls that no library wraps. Each is the smallest wrapper that a safe caller needs.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

/// Attributes of mounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MountAttributes {
    pub(crate) read_only: bool,
    /// Device files do not work on it.
    pub(crate) no_devices: bool,
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;
const AT_RECURSIVE: libc::c_int = 0x8000;

/// Sets attributes on the mount at `path` and all mounts below it (Linux 5.12).
pub(crate) fn set_mount_attributes(path: &Path, attributes: MountAttributes) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = MountAttr {
        attr_set: MOUNT_ATTR_NOSUID,
        ..MountAttr::default()
    };
    if attributes.read_only {
        attr.attr_set |= MOUNT_ATTR_RDONLY;
    }
    if attributes.no_devices {
        attr.attr_set |= MOUNT_ATTR_NODEV;
    }
    // SAFETY: the path is a C string and `attr` a `mount_attr` of the given size; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            AT_RECURSIVE,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Which side of a fork this is.
pub(crate) enum Forked {
    Child,
    Parent(i32),
}

/// Forks. Only for processes with one thread, where the child may go on with anything the parent could do.
pub(crate) fn fork_single_threaded() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() > 1) {
        return Err(io::Error::other("a process with several threads must not fork"));
    }
    // SAFETY: there is one thread (checked where /proc is there; the callers are the supervisor's own
    // processes, which start none), so no lock can be held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent(child)),
    }
}

/// Ends this process at once, without running anything registered for its end.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no requirements.
    unsafe { libc::_exit(code) }
}

/// A file descriptor that becomes readable when a child ends; the signal itself is blocked.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by `sigemptyset` before it is read; the descriptor returned is new
    // and owned by nobody else.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Ignores or restores signals that a supervisor must not die of.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN is a valid disposition for any signal; a failure (an uncatchable signal) is harmless.
    unsafe {
        libc::signal(signal, libc::SIG_IGN);
    }
}

/// What a supervisor must not die of, and its programs must not inherit.
const SUPERVISOR_IGNORES: [i32; 7] = [
    libc::SIGPIPE,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGTTOU,
    libc::SIGTTIN,
];

/// Ignores what a supervisor must not die of.
pub(crate) fn ignore_signals() {
    SUPERVISOR_IGNORES.into_iter().for_each(ignore_signal);
}

/// Gives a signal its default effect, and unblocks all signals: for a child before it starts a program.
pub(crate) fn default_signals() {
    // SAFETY: SIG_DFL is valid for these signals, and the set is initialised before use. All three calls
    // are async-signal-safe.
    unsafe {
        for signal in SUPERVISOR_IGNORES {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// A child that has ended, or `None` when none has (or there are no children: `Err(ECHILD)`).
pub(crate) fn reap_any() -> Result<Option<(i32, WaitStatus)>, Errno> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
        0 => Ok(None),
        -1 => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::CHILD)),
        pid if libc::WIFSIGNALED(status) => Ok(Some((pid, WaitStatus::Signalled(libc::WTERMSIG(status))))),
        pid => Ok(Some((pid, WaitStatus::Exited(libc::WEXITSTATUS(status))))),
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitStatus {
    Exited(i32),
    Signalled(i32),
}

/// Sends a signal; what cannot be signalled is gone.
pub(crate) fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: `kill` has no memory requirements.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Makes this process unreadable to others of its user: no `/proc/<pid>/{mem,fd,environ}`, no ptrace.
pub(crate) fn forbid_inspection() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0)
}

/// This process adopts its descendants' orphans.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// The kernel kills this process when its parent thread ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used take one integer.
    match unsafe { libc::prctl(option, argument, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives up every capability, for good.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: integers only. EINVAL says that the kernel knows no capability of this number.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) } != 0 {
            break;
        }
    }
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let data = [0u32; 6];
    // SAFETY: version 3 of the interface takes two `__user_cap_data_struct` of three words each, all given.
    let result = unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), data.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Switches the loopback interface of this network namespace on.
pub(crate) fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: an all-zero `ifreq` is valid; name and flags are set before the calls that read them.
    unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo\0") {
            *place = byte as libc::c_char;
        }
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Moves this process into namespaces of its own.
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> io::Result<()> {
    // SAFETY: no flag used here (new namespaces, no CLONE_FILES or CLONE_FS) unshares memory or descriptors
    // that safe code relies on, and the process has one thread.
    unsafe { rustix::thread::unshare_unsafe(flags).map_err(io::Error::from) }
}

/// Waits for a child and tells its exit code (128 and the signal's number when a signal ended it).
pub(crate) fn wait_for(child: i32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    match unsafe { libc::waitpid(child, &raw mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ if libc::WIFSIGNALED(status) => Ok(128 + libc::WTERMSIG(status)),
        _ => Ok(libc::WEXITSTATUS(status)),
    }
}

/// Closes every descriptor from `first` on. For a fresh process whose parent may have left files open.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called before this process has opened anything of its own, or right before it only waits;
    // no owned descriptor at or above `first` is used afterwards.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Bounds one resource of this process and its children.
pub(crate) fn limit(resource: rustix::process::Resource, most: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(most, |maximum| most.min(maximum));
    let limit = rustix::process::Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    rustix::process::setrlimit(resource, limit).map_err(io::Error::from)
}

/// Has a child do `prepare` before it becomes the command's program.
pub(crate) fn before_exec(
    command: &mut std::process::Command,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the callers' processes have one thread, so the child may do anything its parent may.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// What `/proc/<pid>/stat` says behind the process's name (state, parent, …). The name in parentheses may hold anything, so
/// fields are counted from its end.
pub(crate) fn process_fields(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// When a process started, in the kernel's ticks: with its number this names it for good.
pub(crate) fn start_time(pid: u32) -> Option<String> {
    process_fields(pid)?.into_iter().nth(19)
}

/// Leads this process's standard streams nowhere.
pub(crate) fn detach_streams() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
