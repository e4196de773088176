//! What to do when a sandbox cannot be made: one sentence for each thing a system may lack.

use std::fs;

/// Advice for a step that failed with an error number.
pub(crate) fn for_failure(stage: &str, errno: i32) -> String {
    let setting = |path: &str| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    let identity = ["user namespace", "user into", "group into", "setgroups"]
        .iter()
        .any(|part| stage.contains(part));
    let denied = errno == libc::EPERM || errno == libc::EACCES;
    if denied && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return "AppArmor keeps programs from using user namespaces here (Ubuntu's default): allow this one with the profile \
                that `cwm doctor` prints, or run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; \
                or use `--sandbox container`"
            .to_owned();
    }
    if identity && setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "The kernel keeps ordinary users from making user namespaces: run `sudo sysctl kernel.unprivileged_userns_clone=1`, \
                or use `--sandbox container`"
            .to_owned();
    }
    if identity && setting("/proc/sys/user/max_user_namespaces") == "0" {
        return "User namespaces are switched off: run `sudo sysctl user.max_user_namespaces=15000`, or use `--sandbox container`"
            .to_owned();
    }
    if identity && errno == libc::ENOSPC {
        return "The limit of user namespaces, or of how deep they nest, is reached: raise `user.max_user_namespaces`".to_owned();
    }
    if identity && denied {
        return "User namespaces are forbidden here, as in most containers: allow them (for Docker: \
                `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`), or say `--sandbox external` if this \
                container is the sandbox"
            .to_owned();
    }
    if errno == libc::ENOSYS {
        return "This kernel is too old: the sandbox needs Linux 5.12 or later; use `--sandbox container`"
            .to_owned();
    }
    "Run `cwm doctor` to see what this system lacks; `--sandbox container` uses Docker or Podman instead"
        .to_owned()
}
