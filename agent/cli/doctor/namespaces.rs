//! Whether the kernel's settings let this user make namespaces, and the exact way to allow it where they do not.

use crate::cli::doctor::check::Check;
use crate::cli::doctor::system::System;

const NAME: &str = "user-namespaces";

pub(crate) fn check(system: &System) -> Check {
    if !system.exists("/proc/self/ns/user") {
        return Check::warn(
            NAME,
            "not in this kernel",
            "Boot a kernel built with CONFIG_USER_NS=y, or use --sandbox container.",
        );
    }
    if system.is_container() && !system.is_administrator() && is_filtered(system) {
        return Check::warn(
            NAME,
            "inside a container whose engine blocks new namespaces",
            "Start this container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
             --security-opt systempaths=unconfined (in Kubernetes: seccompProfile: Unconfined and procMount: Unmasked),\n\
             or, if the container itself is the sandbox, say so with --sandbox external.",
        );
    }
    if system.number("/proc/sys/user/max_user_namespaces") == Some(0) {
        return Check::warn(
            NAME,
            "switched off: user.max_user_namespaces is 0",
            sysctl("user.max_user_namespaces=15000"),
        );
    }
    if system.is_administrator() {
        return Check::ok(NAME, "allowed: this user administers the machine");
    }
    if system.number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Check::warn(
            NAME,
            "forbidden to ordinary users: kernel.unprivileged_userns_clone is 0",
            sysctl("kernel.unprivileged_userns_clone=1"),
        );
    }
    if system
        .number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        .unwrap_or(0)
        != 0
    {
        return restricted_by_apparmor(system);
    }
    let limit = system.number("/proc/sys/user/max_user_namespaces");
    let limit = limit.map_or(String::new(), |limit| format!(" (at most {limit})"));
    Check::ok(
        NAME,
        format!("allowed to ordinary users by the kernel's settings{limit}"),
    )
}

/// Whether system calls are already filtered, as container engines do.
fn is_filtered(system: &System) -> bool {
    system.field("/proc/self/status", "Seccomp").as_deref() == Some("2")
}

/// Ubuntu 23.10 and later give namespaces only to programs that an AppArmor profile names by their path.
fn restricted_by_apparmor(system: &System) -> Check {
    let label = system
        .read("/proc/self/attr/apparmor/current")
        .or_else(|| system.read("/proc/self/attr/current"));
    let label = label.unwrap_or_default();
    match label.trim_matches('\0') {
        "unconfined" | "" => Check::warn(
            NAME,
            "kept by AppArmor from programs without a profile: kernel.apparmor_restrict_unprivileged_userns is 1",
            apparmor_cure(&own_path()),
        ),
        label if label.ends_with("(enforce)") => Check::warn(
            NAME,
            format!("cwm runs under the AppArmor profile {label}, which may keep them from it"),
            "Add `userns,` to that profile, or start cwm outside it; for a container, with --security-opt apparmor=unconfined.",
        ),
        label => Check::ok(
            NAME,
            format!("allowed to the AppArmor profile that cwm runs under: {label}"),
        ),
    }
}

fn own_path() -> String {
    let path = std::env::current_exe()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok());
    path.unwrap_or_else(|| "/usr/local/bin/cwm".to_owned())
}

/// A profile for this binary's path, written by one line of shell. Quoting keeps unusual paths one word for
/// AppArmor and for the shell; no here-document, because its end would not survive indentation.
fn apparmor_cure(path: &str) -> String {
    let path = path
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\'', "'\\''");
    format!(
        "Give this binary the right, and nothing else, by an AppArmor profile:\n\
         printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' \
         'profile cwm \"{path}\" flags=(unconfined) {{' '  userns,' '}}' | sudo tee /etc/apparmor.d/cwm\n\
         sudo apparmor_parser -r /etc/apparmor.d/cwm\n\
         Or lift the restriction for every program until the next start:\n\
         sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    )
}

fn sysctl(setting: &str) -> String {
    format!(
        "Allow them now: sudo sysctl -w {setting}\n\
         At every start: echo {setting} | sudo tee /etc/sysctl.d/90-cwm.conf\n\
         Or use --sandbox container."
    )
}

#[cfg(test)]
#[path = "namespaces_tests.rs"]
mod tests;
