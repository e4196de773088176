//! Control groups: which version is mounted, and which controllers this process could set limits with.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::cli::doctor::check::Check;
use crate::cli::doctor::system::System;

const NAME: &str = "cgroups";
/// The controllers that a sandbox's limits are for.
const WANTED: [&str; 3] = ["memory", "pids", "cpu"];

pub(crate) fn check(system: &System) -> Check {
    let hierarchies = hierarchies(system);
    let kind = match (
        hierarchies.iter().any(|hierarchy| hierarchy.unified),
        hierarchies.iter().any(|hierarchy| !hierarchy.unified),
    ) {
        (true, true) => "v1 and v2 (hybrid)",
        (true, false) => "v2",
        (false, true) => "v1",
        (false, false) => {
            return Check::warn(NAME, "not mounted", format!("{WITHOUT}\nMount them: {MOUNT}"));
        }
    };
    let (writable, closed): (Vec<&str>, Vec<&str>) = WANTED.iter().partition(|controller| {
        hierarchies
            .iter()
            .any(|hierarchy| hierarchy.is_writable() && hierarchy.has(controller))
    });
    let list = |names: &[&str]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    let found = format!(
        "{kind}; writable: {}; not writable: {}",
        list(&writable),
        list(&closed)
    );
    if writable.contains(&"memory") && writable.contains(&"pids") {
        return Check::ok(NAME, found);
    }
    let cure = match kind {
        "v2" => format!("{WITHOUT}\nTo have them: systemd-run --user --scope -p Delegate=yes cwm …"),
        _ => WITHOUT.to_owned(),
    };
    Check::warn(NAME, found, cure)
}

const WITHOUT: &str =
    "The sandbox does without: its own supervisor and resource limits bound memory and processes instead.";
const MOUNT: &str = "sudo mount -t cgroup2 none /sys/fs/cgroup";

/// One mounted hierarchy, at this process's own group.
struct Hierarchy {
    unified: bool,
    controllers: Vec<String>,
    folder: PathBuf,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// Whether a group below ours can be made and entered.
    fn is_writable(&self) -> bool {
        let may_write =
            |path: &Path| accessat(CWD, path, Access::WRITE_OK | Access::EXISTS, AtFlags::EACCESS).is_ok();
        may_write(&self.folder) && may_write(&self.folder.join("cgroup.procs"))
    }
}

/// The hierarchies that `/proc/self/mountinfo` shows, each at the group that `/proc/self/cgroup` names.
fn hierarchies(system: &System) -> Vec<Hierarchy> {
    let groups = system.read("/proc/self/cgroup").unwrap_or_default();
    let mounts = system.read("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| hierarchy(line, &groups, system))
        .collect()
}

fn hierarchy(mount: &str, groups: &str, system: &System) -> Option<Hierarchy> {
    let (place, device) = mount.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (mounted_group, mount_point) = (place.next()?, place.next()?);
    let mut device = device.split(' ');
    let unified = match device.next()? {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let options: Vec<&str> = device.nth(1).unwrap_or_default().split(',').collect();

    let own_group = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = if unified {
            names.is_empty()
        } else {
            !names.is_empty() && names.split(',').all(|name| options.contains(&name))
        };
        ours.then_some(path)
    })?;
    let below_mount = own_group
        .strip_prefix(mounted_group.trim_end_matches('/'))
        .unwrap_or(own_group);
    let folder = system.path(mount_point).join(below_mount.trim_start_matches('/'));
    let controllers = if unified {
        let available = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        available.split_whitespace().map(str::to_owned).collect()
    } else {
        options.iter().map(|&option| option.to_owned()).collect()
    };
    Some(Hierarchy {
        unified,
        controllers,
        folder,
    })
}

#[cfg(test)]
#[path = "cgroups_tests.rs"]
mod tests;
