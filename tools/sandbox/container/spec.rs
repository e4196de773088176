//! From a policy to what the engine is asked for: the container's mounts, limits, user and environment. Pure data, but for looking at
//! what lies at a mount's source.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountType,
};

use super::carried::Carried;
use super::control::{self, Control};
use super::engine::{Engine, EngineKind};
use super::inside::{self, CONTROL_VARIABLE, OWN_PROCESSES};
use crate::sandbox::policy::{Mount, Network, Policy};
use crate::sandbox::{SandboxError, helper};

/// The search path of programs when neither image nor engine says one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Variables that tell of this machine's folders, and nothing of the image's.
const OF_THIS_MACHINE: &[&str] = &[
    "HOME",
    "PATH",
    "PWD",
    "OLDPWD",
    "SHELL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
];
/// What the image may have set for its programs and the helper must not see, for it would load the image's code into it.
const LOADER_VARIABLES: &[&str] = &["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES"];

/// The policy as it is in a container: nothing of this machine's system is seen, and programs have the image's environment.
pub(super) fn fit(
    mut policy: Policy,
    image_environment: &[String],
    machine_environment: &BTreeMap<OsString, OsString>,
    repository: Option<&Path>,
) -> Result<Policy, SandboxError> {
    for mount in &policy.mounts {
        if let Mount::Overlay { target, .. } = mount {
            return Err(refused(format!(
                "{} is to be a copy-on-write view, which a container engine cannot make: give the sandbox a plain copy there",
                target.display()
            )));
        }
        if !mount.target().is_absolute() {
            return Err(refused(format!(
                "{} is not an absolute path",
                mount.target().display()
            )));
        }
    }
    policy.environment = environment(image_environment, &policy.environment, machine_environment);
    policy.home = inside::home_folder(&policy.environment);
    policy.readable.clear();
    policy.toolchains.clear();
    if let Some(repository) = repository {
        if !repository.is_absolute() {
            return Err(refused(format!(
                "{}: the repository's place in the image is not an absolute path",
                repository.display()
            )));
        }
        // Reads see the image, writes go to the container's own layer and are gone with it.
        policy.mounts.push(Mount::Overlay {
            lower: repository.to_owned(),
            upper: None,
            target: repository.to_owned(),
        });
        if !policy.working_directory.starts_with(repository) {
            policy.working_directory = repository.to_owned();
        }
    }
    Ok(policy)
}

/// The image's variables, and the policy's on top of them, less those that were taken from this machine as they are and name its folders
/// (`VIRTUAL_ENV`, `CARGO_HOME` and the like), for the image has its own.
fn environment(
    image: &[String],
    asked: &BTreeMap<OsString, OsString>,
    machine: &BTreeMap<OsString, OsString>,
) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = [("PATH", PATH)]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    variables.extend(
        image
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.into(), value.into())),
    );
    let theirs = asked.iter().filter(|(name, value)| {
        let of_this_machine = OF_THIS_MACHINE
            .iter()
            .any(|own| name.as_os_str() == OsStr::new(own));
        let folder = value.as_encoded_bytes().starts_with(b"/") && machine.get(*name) == Some(*value);
        !of_this_machine && !folder
    });
    variables.extend(theirs.map(|(name, value)| (name.clone(), value.clone())));
    variables
}

/// All that a container is made of.
pub(super) struct Parts<'a> {
    pub(super) engine: &'a Engine,
    pub(super) image: &'a str,
    pub(super) image_has_health_check: bool,
    pub(super) policy: &'a Policy,
    pub(super) carried: &'a Carried,
    pub(super) control: &'a Control,
    pub(super) labels: HashMap<String, String>,
}

/// The request that makes the container.
pub(super) fn body(parts: Parts<'_>) -> Result<ContainerCreateBody, SandboxError> {
    let policy = parts.policy;
    let host_network = policy.network == Network::Host;
    let (user, user_namespace) = user(parts.engine, policy);
    let mut helper_environment = vec![
        format!("{CONTROL_VARIABLE}={}/{}", control::INSIDE, control::SOCKET),
        "TMPDIR=/tmp".to_owned(),
    ];
    helper_environment.extend(LOADER_VARIABLES.iter().map(|name| format!("{name}=")));
    let mut command = parts.carried.command.clone();
    command.push(helper::WORD.to_owned());
    Ok(ContainerCreateBody {
        image: Some(parts.image.to_owned()),
        entrypoint: Some(command),
        cmd: Some(Vec::new()),
        env: Some(helper_environment),
        labels: Some(parts.labels.clone()),
        user,
        // The helper enters the policy's folder itself: an engine would make one that is missing.
        working_dir: Some("/".to_owned()),
        // A name that resolves to the loopback address.
        hostname: (!host_network).then(|| "localhost".to_owned()),
        healthcheck: parts.image_has_health_check.then(|| HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            mounts: Some(mounts(&parts)?),
            tmpfs: Some(memory_folders(parts.engine, policy)),
            network_mode: Some(if host_network { "host" } else { "none" }.to_owned()),
            userns_mode: user_namespace,
            ..limits(policy)
        }),
        ..ContainerCreateBody::default()
    })
}

/// The limits on all processes together. Those on single ones are the supervisor's to set, within what the engine grants: an engine that is
/// told some of them may set others as well, which not every system permits.
fn limits(policy: &Policy) -> HostConfig {
    let limits = &policy.limits;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut security = vec!["no-new-privileges".to_owned()];
    if Path::new("/sys/fs/selinux/enforce").exists() {
        // SELinux would keep the container from the control socket and from every mounted folder.
        security.push("label=disable".to_owned());
    }
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(security),
        privileged: Some(false),
        pids_limit: Some(i64::from(limits.processes.saturating_add(OWN_PROCESSES))),
        memory: Some(signed(limits.memory)),
        memory_swap: Some(signed(limits.memory)),
        shm_size: Some(signed(limits.scratch.min(limits.memory))),
        ipc_mode: Some("private".to_owned()),
        readonly_rootfs: Some(false),
        init: Some(false),
        auto_remove: Some(true),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        ..HostConfig::default()
    }
}

/// Who programs are inside: whoever the image says, unless they write to this user's folders.
fn user(engine: &Engine, policy: &Policy) -> (Option<String>, Option<String>) {
    let writes = policy
        .mounts
        .iter()
        .any(|mount| matches!(mount, Mount::Writable { .. }));
    if !writes {
        return (None, None);
    }
    let own = format!(
        "{}:{}",
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw()
    );
    match (engine.kind, engine.rootless) {
        (_, false) => (Some(own), None),
        (EngineKind::Podman, true) => (Some(own), Some("keep-id".to_owned())),
        // Root inside a rootless Docker's container is this user outside.
        (EngineKind::Docker, true) => (Some("0:0".to_owned()), None),
    }
}

/// The folders in memory.
fn memory_folders(engine: &Engine, policy: &Policy) -> HashMap<String, String> {
    // Podman would fill them with what the image has there.
    let empty = match engine.kind {
        EngineKind::Podman => ",notmpcopyup",
        EngineKind::Docker => "",
    };
    let options = |bytes: u64| format!("rw,exec,nosuid,nodev,mode=1777,size={bytes}{empty}");
    let mut folders = HashMap::new();
    // A repository that the image brings in /tmp must stay to be seen.
    let occupied = policy
        .mounts
        .iter()
        .any(|mount| matches!(mount, Mount::Overlay { target, .. } if target.starts_with("/tmp")));
    if !occupied {
        folders.insert("/tmp".to_owned(), options(policy.limits.scratch));
    }
    for mount in &policy.mounts {
        if let Mount::Scratch { target, bytes } = mount {
            folders.insert(target.to_string_lossy().into_owned(), options(*bytes));
        }
    }
    folders
}

fn mounts(parts: &Parts<'_>) -> Result<Vec<EngineMount>, SandboxError> {
    let mut mounts = vec![bind(
        parts.engine,
        &parts.control.shown(),
        Path::new(control::INSIDE),
        true,
    )?];
    for (source, target) in &parts.carried.files {
        mounts.push(bind(parts.engine, source, Path::new(target), true)?);
    }
    for mount in &parts.policy.mounts {
        let (source, target, read_only) = match mount {
            Mount::ReadOnly { source, target } => (source, target, true),
            Mount::Writable { source, target } => (source, target, false),
            Mount::Overlay { .. } | Mount::Scratch { .. } => continue,
        };
        let source = fs::canonicalize(source).map_err(|error| {
            refused(format!(
                "{} cannot be shown in the container: {error}",
                source.display()
            ))
        })?;
        forbid_engine_socket(parts.engine, &source)?;
        mounts.push(bind(parts.engine, &source, target, read_only)?);
        mounts.extend(hide(parts, &source, target)?);
    }
    Ok(mounts)
}

/// Whoever reaches the engine's socket is as good as root on this machine.
fn forbid_engine_socket(engine: &Engine, source: &Path) -> Result<(), SandboxError> {
    let usual = [
        "/var/run/docker.sock",
        "/run/podman/podman.sock",
        "/run/containerd/containerd.sock",
    ];
    let sockets = usual.iter().map(PathBuf::from).chain([engine.socket.clone()]);
    for socket in sockets.filter_map(|socket| fs::canonicalize(socket).ok()) {
        if socket.starts_with(source) {
            return Err(refused(format!(
                "{} holds the container engine's socket {} and so cannot be shown in a container: name a folder that does not",
                source.display(),
                socket.display()
            )));
        }
    }
    Ok(())
}

/// Covers what below one mount shall look empty.
fn hide(parts: &Parts<'_>, source: &Path, target: &Path) -> Result<Vec<EngineMount>, SandboxError> {
    let mut covers = Vec::new();
    for hidden in &parts.policy.hidden {
        let Ok(below) = hidden.strip_prefix(target) else {
            continue;
        };
        let Ok(metadata) = fs::symlink_metadata(source.join(below)) else {
            continue;
        };
        if metadata.is_dir() || metadata.is_file() {
            let empty = parts.control.empty(metadata.is_dir());
            covers.push(bind(parts.engine, &empty, hidden, true)?);
        }
    }
    Ok(covers)
}

fn bind(engine: &Engine, source: &Path, target: &Path, read_only: bool) -> Result<EngineMount, SandboxError> {
    Ok(EngineMount {
        source: Some(text(engine, source)?),
        target: Some(text(engine, target)?),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..EngineMount::default()
    })
}

/// A path as the engine's interface can carry it.
fn text(engine: &Engine, path: &Path) -> Result<String, SandboxError> {
    let text = String::from_utf8(path.as_os_str().to_owned().into_vec()).map_err(|_| {
        refused(format!(
            "{}: a container engine needs names in UTF-8",
            path.display()
        ))
    })?;
    // Podman takes mounts apart at commas.
    if engine.kind == EngineKind::Podman && text.contains([',', '"']) {
        return Err(refused(format!(
            "{text}: Podman cannot mount a path with a comma or a quotation mark; rename the folder, or use Docker"
        )));
    }
    Ok(text)
}

fn refused(why: String) -> SandboxError {
    SandboxError::Refused(why)
}
