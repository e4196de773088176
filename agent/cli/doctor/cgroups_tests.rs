//! The three ways control groups are mounted, laid out in a folder.

use super::*;
use crate::cli::doctor::check::Status;
use crate::cli::doctor::system::check_on;

fn check_with(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Check {
    let given = [("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)];
    check_on(&[&given, files].concat(), check)
}

#[test]
fn version_two_counts_the_controllers_of_the_own_group() {
    let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    let own = "sys/fs/cgroup/user.slice/cwm.scope/";
    let controllers = format!("{own}cgroup.controllers");
    let processes = format!("{own}cgroup.procs");
    let found = check_with(
        "0::/user.slice/cwm.scope\n",
        mounts,
        &[
            (controllers.as_str(), "cpu memory pids\n"),
            (processes.as_str(), ""),
        ],
    );
    assert_eq!(found.status, Status::Ok, "{found:?}");
    assert_eq!(found.found, "v2; writable: memory, pids, cpu; not writable: none");

    let bare = check_with(
        "0::/user.slice/cwm.scope\n",
        mounts,
        &[(controllers.as_str(), "cpu memory pids\n")],
    );
    assert_eq!(bare.status, Status::Warn);
    assert!(
        bare.cure
            .unwrap()
            .contains("systemd-run --user --scope -p Delegate=yes")
    );
}

#[test]
fn version_one_beside_an_empty_version_two_is_hybrid() {
    let found = check_with(
        "5:pids:/\n4:memory:/jobs/7\n2:cpu,cpuacct:/\n0::/\n",
        "33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
         34 31 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
         35 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
         36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        &[
            ("sys/fs/cgroup/memory/jobs/7/cgroup.procs", ""),
            ("sys/fs/cgroup/pids/cgroup.procs", ""),
        ],
    );
    assert_eq!(
        found.found,
        "v1 and v2 (hybrid); writable: memory, pids; not writable: cpu"
    );
    assert_eq!(found.status, Status::Ok);
}

#[test]
fn a_mount_of_a_part_of_the_tree_is_seen_from_that_part() {
    let found = check_with(
        "0::/docker/abc/job\n",
        "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
        &[
            ("sys/fs/cgroup/job/cgroup.controllers", "memory pids\n"),
            ("sys/fs/cgroup/job/cgroup.procs", ""),
        ],
    );
    assert_eq!(found.found, "v2; writable: memory, pids; not writable: cpu");
}

#[test]
fn none_at_all_is_a_warning_that_says_what_happens_instead() {
    let found = check_with("", "", &[]);
    assert_eq!(
        (found.status, found.found.as_str()),
        (Status::Warn, "not mounted")
    );
}
