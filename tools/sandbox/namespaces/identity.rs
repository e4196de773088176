//! The user namespace: inside, the user is who they are outside, and nobody else exists.

use std::fs;

use rustix::process::{getgid, getuid};
use rustix::thread::UnshareFlags;

use super::super::system;
use super::{AtStage, SetupError};

/// Enters a user namespace whose one user and one group are the caller's own.
pub(super) fn enter_user_namespace() -> Result<(), SetupError> {
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    system::unshare(UnshareFlags::NEWUSER).at("create a user namespace")?;
    // A group map by an unprivileged process is taken only once `setgroups` is off for good.
    fs::write("/proc/self/setgroups", "deny").at("switch setgroups off in the user namespace")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1\n"))
        .at("map the user into the user namespace")?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1\n"))
        .at("map the group into the user namespace")
}
