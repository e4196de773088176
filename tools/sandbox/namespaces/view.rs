//! The file system that a sandbox sees, built from nothing: an empty root in memory, onto which the
//! system's folders, the toolchains, a private `/tmp`, `/dev` and home, and the policy's mounts are put.
//!
//! The work is done in two moves. First the root becomes a folder in memory, the machine's tree hanging below it at
//! `/machine`, so that no source is ever covered by a mount just made. Then the finished tree at `/view` becomes the root
//! and everything else is let go, which leaves no path, and no `..`, to the machine.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{chdir, pivot_root};

use super::super::policy::{Limits, Mount, Network, Policy, UpperLayer};
use super::super::system::{MountAttributes, set_mount_attributes};
use super::{AtStage, SetupError};

const MACHINE: &str = "/machine";
const VIEW: &str = "/view";
/// In memory, all of it together bounded by the policy's scratch limit: /tmp, home, layers over toolchains.
const SCRATCH: &str = "/scratch";

/// Where the supervisor keeps what a session needs.
pub(crate) const SESSION: &str = "/run/cwm/session";

/// The kernel gives new processes numbers from 300 on once it has come around, so that many are kept on top.
pub(crate) fn highest_process_number(limits: &Limits) -> u32 {
    limits.processes.saturating_add(300).clamp(301, 4 << 20)
}

/// Builds the view and makes it the root. The working directory afterwards is `/`.
pub(super) fn build(policy: &Policy) -> Result<(), SetupError> {
    move_machine_aside(policy)?;
    make_proc(policy)?;
    make_dev(policy)?;
    make_private_folders(policy)?;
    // After the private folders, for a path that the user shows may lie in the home folder.
    show_system(policy)?;
    for toolchain in &policy.toolchains {
        show_toolchain(toolchain)?;
    }
    let mut mounts: Vec<&Mount> = policy.mounts.iter().collect();
    mounts.sort_by_key(|mount| mount.target().components().count());
    for mount in mounts {
        put_mount(mount)?;
    }
    write_network_files(policy)?;
    for path in &policy.hidden {
        hide(path)?;
    }
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(VIEW, flags, "").at("make the root read-only")?;
    leave_machine()
}

fn move_machine_aside(policy: &Policy) -> Result<(), SetupError> {
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .at("make the mounts private")?;
    let base = "/tmp";
    memory_folder(Path::new(base), "mode=755,size=16m").at("mount a folder in memory on /tmp")?;
    let old = format!("{base}{MACHINE}");
    fs::create_dir(&old).at("create the folder for the machine's tree")?;
    pivot_root(base, old.as_str()).at("move the machine's tree aside")?;
    chdir("/").at("enter the new root")?;
    for folder in [VIEW, SCRATCH] {
        fs::create_dir(folder).at("create a folder in the new root")?;
    }
    memory_folder(Path::new(VIEW), "mode=755,size=16m").at("mount the sandbox's root")?;
    memory_folder(Path::new(SCRATCH), &scratch_size("755", policy.limits.scratch))
        .at("mount the sandbox's scratch memory")
}

fn leave_machine() -> Result<(), SetupError> {
    chdir(VIEW).at("enter the sandbox's root")?;
    // The old root is stacked on the new one and then let go; no folder for it is needed inside.
    pivot_root(".", ".").at("make the sandbox's root the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).at("let the machine's tree go")?;
    chdir("/").at("enter the root")
}

/// Options of a folder bounded by the scratch limit, in bytes and in files: an empty file takes the kernel's memory too.
fn scratch_size(mode: &str, bytes: u64) -> String {
    let files = (bytes / 4096).max(16_384);
    format!("mode={mode},size={bytes},nr_inodes={files}")
}

fn memory_folder(target: &Path, options: &str) -> rustix::io::Result<()> {
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(
        "tmpfs",
        target,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        options.as_c_str(),
    )
}

/// `path` of the machine, as it is called while the view is built.
fn on_machine(path: &Path) -> PathBuf {
    Path::new(MACHINE).join(path.strip_prefix("/").unwrap_or(path))
}

/// `path` of the sandbox, as it is called while the view is built.
fn in_view(path: &Path) -> PathBuf {
    Path::new(VIEW).join(path.strip_prefix("/").unwrap_or(path))
}

fn show_system(policy: &Policy) -> Result<(), SetupError> {
    for path in &policy.readable {
        let source = on_machine(path);
        let Ok(metadata) = source.symlink_metadata() else {
            continue;
        };
        let target = in_view(path);
        if metadata.is_symlink() {
            // `/bin` and its like: the link is shown as the link it is.
            let link = fs::read_link(&source).at(format!("read the link {}", path.display()))?;
            make_parent(&target)?;
            if target.symlink_metadata().is_err() {
                std::os::unix::fs::symlink(link, &target)
                    .at(format!("create the link {}", path.display()))?;
            }
            continue;
        }
        bind(
            &source,
            &target,
            MountAttributes {
                read_only: true,
                no_devices: true,
            },
        )
        .map_err(|error| named(error, "show", path))?;
    }
    Ok(())
}

fn make_proc(policy: &Policy) -> Result<(), SetupError> {
    let proc = in_view(Path::new("/proc"));
    make_folder(&proc, 0o555)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", &proc, "proc", flags, None).at(
        "mount a fresh /proc (inside a container this needs an unmasked /proc: \
         run the container with --security-opt systempaths=unconfined)",
    )?;
    // The highest process number belongs to the PID namespace since Linux 6.14, and binds the superuser too. Where
    // that fails the supervisor counts.
    let _ = fs::write(
        proc.join("sys/kernel/pid_max"),
        highest_process_number(&policy.limits).to_string(),
    );
    // Kernel switches belong to the machine: the superuser owns them even without capabilities.
    for name in [
        "sys",
        "irq",
        "bus",
        "fs",
        "acpi",
        "asound",
        "scsi",
        "driver",
        "tty",
        "dynamic_debug",
        "sysvipc",
    ] {
        let path = proc.join(name);
        if path.is_dir() {
            rustix::mount::mount_bind(&path, &path).at(format!("bind /proc/{name}"))?;
            set_mount_attributes(
                &path,
                MountAttributes {
                    read_only: true,
                    no_devices: true,
                },
            )
            .at(format!("make /proc/{name} read-only"))?;
        }
    }
    for name in [
        "kcore",
        "kmsg",
        "keys",
        "key-users",
        "kallsyms",
        "sysrq-trigger",
        "timer_list",
        "sched_debug",
        "latency_stats",
        "slabinfo",
        "vmallocinfo",
        "pagetypeinfo",
        "kpagecount",
        "kpageflags",
        "kpagecgroup",
    ] {
        let path = proc.join(name);
        if path.exists() {
            mask(&path).at(format!("mask /proc/{name}"))?;
        }
    }
    Ok(())
}

fn make_dev(policy: &Policy) -> Result<(), SetupError> {
    let dev = in_view(Path::new("/dev"));
    make_folder(&dev, 0o755)?;
    // Device files work on the mounts of the single files below, not on this folder itself.
    memory_folder(&dev, "mode=755,size=1m").at("mount /dev")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = dev.join(name);
        fs::write(&target, "").at(format!("create /dev/{name}"))?;
        rustix::mount::mount_bind(on_machine(&Path::new("/dev").join(name)), &target)
            .at(format!("bind /dev/{name}"))?;
        // These are the machine's own files, and the superuser's to change the mode of. Reading from and
        // writing to a device is no change, and goes on.
        set_mount_attributes(
            &target,
            MountAttributes {
                read_only: true,
                no_devices: false,
            },
        )
        .at(format!("make /dev/{name} read-only"))?;
    }
    make_folder(&dev.join("pts"), 0o755)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount(
        "devpts",
        dev.join("pts"),
        "devpts",
        flags,
        c"newinstance,ptmxmode=0666,mode=620",
    )
    .at("mount /dev/pts")?;
    make_folder(&dev.join("shm"), 0o1777)?;
    memory_folder(&dev.join("shm"), &scratch_size("1777", policy.limits.scratch)).at("mount /dev/shm")?;
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, to) in links {
        std::os::unix::fs::symlink(to, dev.join(name)).at(format!("create /dev/{name}"))?;
    }
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID;
    rustix::mount::mount_remount(&dev, flags, "").at("make /dev read-only")
}

fn make_private_folders(policy: &Policy) -> Result<(), SetupError> {
    for folder in ["/var/cache", "/var/lib", "/var/log", "/run", "/home", "/run/lock"] {
        make_folder(&in_view(Path::new(folder)), 0o755)?;
    }
    // Apart from what programs fill by chance: a full /tmp must not keep the next command from being taken.
    let session = in_view(Path::new(SESSION));
    make_folder(&session, 0o700)?;
    memory_folder(&session, &scratch_size("700", policy.limits.scratch / 4))
        .at("mount the session's folder")?;
    let private = [
        (Path::new("/tmp"), 0o1777),
        (Path::new("/var/tmp"), 0o1777),
        (&policy.home, 0o700),
    ];
    for (index, (folder, mode)) in private.into_iter().enumerate() {
        let source = Path::new(SCRATCH).join(format!("private-{index}"));
        make_folder(&source, mode)?;
        bind(
            &source,
            &in_view(folder),
            MountAttributes {
                read_only: false,
                no_devices: true,
            },
        )
        .map_err(|error| named(error, "make a private", folder))?;
    }
    if !in_view(Path::new("/var/run")).exists() {
        std::os::unix::fs::symlink("/run", in_view(Path::new("/var/run"))).at("create /var/run")?;
    }
    Ok(())
}

/// A toolchain is writable in memory only: its locks and caches work and nothing reaches the machine.
/// Where the kernel refuses that, it is read-only.
fn show_toolchain(path: &Path) -> Result<(), SetupError> {
    let (source, target) = (on_machine(path), in_view(path));
    if !source.is_dir() {
        return Ok(());
    }
    make_folder(&target, 0o755)?;
    match overlay(&source, None, &target) {
        Ok(()) => Ok(()),
        Err(_) => bind(
            &source,
            &target,
            MountAttributes {
                read_only: true,
                no_devices: true,
            },
        )
        .map_err(|error| named(error, "show the toolchain", path)),
    }
}

fn put_mount(mount: &Mount) -> Result<(), SetupError> {
    let target = in_view(mount.target());
    let done = match mount {
        Mount::ReadOnly { source, .. } => bind(
            &on_machine(source),
            &target,
            MountAttributes {
                read_only: true,
                no_devices: true,
            },
        ),
        Mount::Writable { source, .. } => bind(
            &on_machine(source),
            &target,
            MountAttributes {
                read_only: false,
                no_devices: true,
            },
        ),
        Mount::Overlay { lower, upper, .. } => {
            make_folder(&target, 0o755)?;
            let upper = upper.as_ref().map(|layer| UpperLayer {
                upper: on_machine(&layer.upper),
                work: on_machine(&layer.work),
            });
            overlay(&on_machine(lower), upper, &target)
        }
        Mount::Scratch { bytes, .. } => {
            make_folder(&target, 0o755)?;
            memory_folder(&target, &format!("mode=1777,size={bytes}")).map_err(io::Error::from)
        }
    };
    done.map_err(|error| named(error, "mount", mount.target()))
}

fn overlay(lower: &Path, upper: Option<UpperLayer>, target: &Path) -> io::Result<()> {
    let layer = match upper {
        Some(layer) => layer,
        None => fresh_layer()?,
    };
    let mut options = b"userxattr,lowerdir=".to_vec();
    append_escaped(&mut options, lower, b":");
    options.extend(b",upperdir=");
    append_escaped(&mut options, &layer.upper, b"");
    options.extend(b",workdir=");
    append_escaped(&mut options, &layer.work, b"");
    let options = std::ffi::CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("overlay", target, "overlay", flags, options.as_c_str()).map_err(io::Error::from)
}

/// Overlay options are split at commas, lower folders at colons; a backslash protects both.
fn append_escaped(options: &mut Vec<u8>, path: &Path, also: &[u8]) {
    for &byte in crate::bytes_path::to_bytes(path) {
        if byte == b'\\' || byte == b',' || also.contains(&byte) {
            options.push(b'\\');
        }
        options.push(byte);
    }
}

/// A writable layer in the scratch memory.
fn fresh_layer() -> io::Result<UpperLayer> {
    let count = fs::read_dir(SCRATCH)?.count();
    let folder = Path::new(SCRATCH).join(format!("layer-{count}"));
    let layer = UpperLayer {
        upper: folder.join("upper"),
        work: folder.join("work"),
    };
    fs::create_dir(&folder)?;
    fs::create_dir(&layer.upper)?;
    fs::create_dir(&layer.work)?;
    Ok(layer)
}

/// Names by which programs find themselves, and nobody else unless the network is the machine's.
fn write_network_files(policy: &Policy) -> Result<(), SetupError> {
    if policy.network == Network::Host {
        // Often a link into `/run`, which is not shown.
        if let Ok(resolved) = fs::canonicalize(on_machine(Path::new("/etc/resolv.conf")))
            && let Ok(path) = resolved.strip_prefix(MACHINE)
            && !path.starts_with("etc")
        {
            bind(
                &resolved,
                &in_view(path),
                MountAttributes {
                    read_only: true,
                    no_devices: true,
                },
            )
            .map_err(|error| named(error, "show", path))?;
        }
        return Ok(());
    }
    let hosts = Path::new(SCRATCH).join("hosts");
    fs::write(
        &hosts,
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    )
    .at("write the hosts file")?;
    let target = in_view(Path::new("/etc/hosts"));
    if target.is_file() {
        bind(
            &hosts,
            &target,
            MountAttributes {
                read_only: true,
                no_devices: true,
            },
        )
        .map_err(|error| named(error, "show", Path::new("/etc/hosts")))?;
    }
    Ok(())
}

/// Makes a path of the view look empty; of a link, what it leads to. What is not there need not be hidden.
fn hide(path: &Path) -> Result<(), SetupError> {
    let stage = || format!("hide {}", path.display());
    let view = rustix::fs::open(VIEW, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at(stage())?;
    // Links are followed as they will be inside, where the view is the root.
    let found = rustix::fs::openat2(
        &view,
        path.strip_prefix("/").unwrap_or(path),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    match found {
        Ok(file) => {
            let name = in_view(Path::new("/proc/self/fd")).join(file.as_raw_fd().to_string());
            let target = fs::read_link(name).at(stage())?;
            mask(&target).at(stage())
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
        Err(error) => Err(error).at(stage()),
    }
}

fn mask(target: &Path) -> rustix::io::Result<()> {
    let empty = Path::new(SCRATCH).join(if target.is_dir() {
        "empty-folder"
    } else {
        "empty-file"
    });
    if empty.symlink_metadata().is_err() {
        let made = if target.is_dir() {
            fs::create_dir(&empty)
        } else {
            fs::write(&empty, "")
        };
        made.and_then(|()| fs::set_permissions(&empty, fs::Permissions::from_mode(0o555)))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    rustix::mount::mount_bind(&empty, target)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(target, flags, "")
}

fn bind(source: &Path, target: &Path, attributes: MountAttributes) -> io::Result<()> {
    let into = |stage: SetupError| stage.error;
    if source.is_dir() {
        make_folder(target, 0o755).map_err(into)?;
    } else if target.symlink_metadata().is_err() {
        make_parent(target).map_err(into)?;
        fs::write(target, "")?;
    }
    rustix::mount::mount_bind_recursive(source, target)?;
    set_mount_attributes(target, attributes)
}

fn make_parent(target: &Path) -> Result<(), SetupError> {
    target
        .parent()
        .map_or(Ok(()), |parent| make_folder(parent, 0o755))
}

/// Creates a folder and those above it, where they are not there yet. The mode is set whatever the umask.
fn make_folder(path: &Path, mode: u32) -> Result<(), SetupError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .at(format!("create {}", path.display()))?;
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty())
        .at(format!("set the mode of {}", path.display()))
}

fn named(error: io::Error, doing: &str, path: &Path) -> SetupError {
    SetupError {
        stage: format!("{doing} {}", path.display()),
        error,
    }
}
