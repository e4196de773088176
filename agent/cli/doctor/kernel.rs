//! What the kernel offers a sandbox: its version, overlayfs, landlock and seccomp.

use crate::cli::doctor::check::Check;
use crate::cli::doctor::system::System;

/// The first kernel on which an unprivileged user can mount an overlay.
const UNPRIVILEGED_OVERLAY: (u32, u32) = (5, 11);

pub(crate) fn version(_system: &System) -> Check {
    const NAME: &str = "kernel";
    let names = rustix::system::uname();
    let (kind, release) = (
        names.sysname().to_string_lossy(),
        names.release().to_string_lossy(),
    );
    let found = format!("{kind} {release}, {}", std::env::consts::ARCH);
    if kind != "Linux" {
        return Check::fail(
            NAME,
            found,
            "The sandbox needs Linux: run cwm in a Linux virtual machine or container.",
        );
    }
    match number_of(&release) {
        Some(number) if number < UNPRIVILEGED_OVERLAY => Check::warn(
            NAME,
            found,
            "Kernels before 5.11 cannot mount overlays for an ordinary user: copies of repositories are made in full. \
             A newer kernel makes them cheap.",
        ),
        _ => Check::ok(NAME, found),
    }
}

/// Major and minor number of a release such as `6.8.0-41-generic`.
fn number_of(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(crate) fn overlayfs(system: &System) -> Check {
    const NAME: &str = "overlayfs";
    let known = system.read("/proc/filesystems").unwrap_or_default();
    if known
        .lines()
        .any(|line| line.split_whitespace().last() == Some("overlay"))
    {
        return Check::ok(
            NAME,
            "known to the kernel: an attempt's copy costs only what it changes",
        );
    }
    Check::warn(
        NAME,
        "not known to the kernel: each attempt gets a copy of the whole repository",
        "Load the module: sudo modprobe overlay\nAt every start: echo overlay | sudo tee /etc/modules-load.d/overlay.conf",
    )
}

pub(crate) fn landlock(_system: &System) -> Check {
    const NAME: &str = "landlock";
    const CURE: &str = "The sandbox does without: landlock is its second lock. To have it, boot a kernel of 5.13 or \
                        newer built with CONFIG_SECURITY_LANDLOCK=y and `landlock` in the boot parameter lsm=.";
    match landlock_version() {
        Ok(version) => Check::ok(NAME, format!("ABI version {version}")),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {
            Check::warn(NAME, "built into the kernel, but switched off at boot", CURE)
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOSYS.raw_os_error()) => {
            Check::warn(NAME, "not in this kernel", CURE)
        }
        Err(error) => Check::warn(NAME, format!("not available: {error}"), CURE),
    }
}

/// The version of landlock's interface that the kernel speaks.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no safe wrapper asks for the version alone")]
fn landlock_version() -> std::io::Result<std::ffi::c_long> {
    use std::ffi::{c_long, c_void};
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    // The same numbers on every architecture.
    const LANDLOCK_CREATE_RULESET: c_long = 444;
    const VERSION_FLAG: u32 = 1;
    let no_attributes: *const c_void = std::ptr::null();
    // SAFETY: with this flag the call takes a null pointer and the size 0, and only returns a number.
    let answer = unsafe { syscall(LANDLOCK_CREATE_RULESET, no_attributes, 0usize, VERSION_FLAG) };
    if answer < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

#[cfg(not(target_os = "linux"))]
fn landlock_version() -> std::io::Result<std::ffi::c_long> {
    Err(std::io::ErrorKind::Unsupported.into())
}

pub(crate) fn seccomp(system: &System) -> Check {
    const NAME: &str = "seccomp";
    match system.read("/proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) if actions.split(' ').any(|action| action == "errno") => {
            let outer = match system.field("/proc/self/status", "Seccomp_filters").as_deref() {
                None | Some("0") => String::new(),
                Some(number) => format!("; already under filters set from outside: {number}"),
            };
            Check::ok(NAME, format!("filters available{outer}"))
        }
        _ => Check::fail(
            NAME,
            "no seccomp filters in this kernel",
            "Boot a kernel built with CONFIG_SECCOMP_FILTER=y, as every distribution's is; or use --sandbox container.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_whatever_follows_the_numbers() {
        assert_eq!(number_of("6.8.0-41-generic"), Some((6, 8)));
        assert_eq!(number_of("5.15-wsl"), Some((5, 15)));
        assert_eq!(number_of("6"), None);
        assert_eq!(number_of("next"), None);
    }
}
