//! A control group around a sandbox's processes, where this system lets its user make one: the kernel then bounds their
//! memory and their number together, page cache and folders in memory included. Version 2 (also a user's own delegated part of
//! it) and version 1. Where none can be made, the supervisor's counting and the process limits remain.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::policy::Limits;
use super::system::start_time;

/// Begins the name of every group made here; the maker's process number and start time follow.
const PREFIX: &str = "cwm-";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The groups of one sandbox: one folder in version 2, one a controller in version 1. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes what groups it can. An empty result bounds nothing.
    pub(crate) fn create(limits: &Limits) -> Cgroup {
        let mut folders = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let places = places(&mounts, &own);
        // The group also pays for the folders in memory, which have a limit of their own. What its processes themselves use
        // is the supervisor's to count, which can then say why it ended them; the kernel stops what is too fast for it.
        let memory = limits.memory.saturating_add(limits.scratch);
        for place in places {
            let settings: Vec<(&str, u64)> = match place.controller {
                Controller::Both => vec![("memory.max", memory), ("pids.max", limits.processes.into())],
                Controller::Memory => vec![("memory.limit_in_bytes", memory)],
                Controller::Pids => vec![("pids.max", limits.processes.into())],
            };
            // A process may not make a group below one with processes in it; a user's part of the tree lies above.
            let above = place
                .folder
                .parent()
                .filter(|parent| parent.starts_with(&place.mount));
            let tried = [Some(place.folder.as_path()), above];
            folders.extend(
                tried
                    .into_iter()
                    .flatten()
                    .find_map(|folder| make(folder, &settings)),
            );
        }
        Cgroup { folders }
    }

    /// Puts a process, and all that it will start, into the groups.
    pub(crate) fn add(&self, pid: u32) {
        for folder in &self.folders {
            // Refused where the user may make groups but not move processes: then it bounds nothing, as if not made.
            let _ = fs::write(folder.join("cgroup.procs"), pid.to_string());
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The kernel needs a moment to take the last process out of its books.
            for _ in 0..50 {
                match fs::remove_dir(folder) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Both,
    Memory,
    Pids,
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    controller: Controller,
    mount: PathBuf,
    folder: PathBuf,
}

/// Where this process is in each hierarchy: `mounts` and `own` are the texts of `/proc/self/{mounts,cgroup}`.
fn places(mounts: &str, own: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(_), Some(at), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let has = |controller: &str| options.split(',').any(|option| option == controller);
        let (controller, membership) = match kind {
            "cgroup2" => (
                Controller::Both,
                own.lines().find_map(|line| line.strip_prefix("0::")),
            ),
            "cgroup" if has("memory") => (Controller::Memory, membership(own, "memory")),
            "cgroup" if has("pids") => (Controller::Pids, membership(own, "pids")),
            _ => continue,
        };
        if let Some(path) = membership {
            let path = path.trim_start_matches('/');
            let folder = if path.is_empty() {
                at.into()
            } else {
                Path::new(at).join(path)
            };
            places.push(Place {
                controller,
                mount: at.into(),
                folder,
            });
        }
    }
    places
}

/// A line of version 1 is `number:controllers:path`.
fn membership<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers
            .split(',')
            .any(|name| name == controller)
            .then_some(path)
    })
}

fn make(parent: &Path, settings: &[(&str, u64)]) -> Option<PathBuf> {
    remove_left_over(parent);
    let own = std::process::id();
    let start = start_time(own)?;
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = parent.join(format!("{PREFIX}{own}-{start}-{number}"));
    fs::create_dir(&folder).ok()?;
    // Files of controllers that are not handed down to this place are not there.
    let bounded = settings
        .iter()
        .filter(|(name, value)| set(&folder.join(name), *value).is_ok())
        .count();
    if bounded == 0 {
        let _ = fs::remove_dir(&folder);
        return None;
    }
    Some(folder)
}

/// Writes a setting that is there; a file that is not is not made.
fn set(file: &Path, value: u64) -> std::io::Result<()> {
    fs::File::options()
        .write(true)
        .open(file)?
        .write_all(value.to_string().as_bytes())
}

/// Removes groups whose maker is gone. A group with processes in it cannot be removed, so nothing is lost by trying.
fn remove_left_over(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let mut parts = rest.split('-');
        let (maker, start) = (parts.next().and_then(|part| part.parse().ok()), parts.next());
        if let (Some(maker), Some(start)) = (maker, start)
            && start_time(maker).is_none_or(|now| now != start)
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_in_a_hybrid_system() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let own = "8:pids:/\n4:memory:/jobs/one\n0::/user.slice/x.scope\n";
        let place = |controller, mount: &str, path: &str| Place {
            controller,
            mount: mount.into(),
            folder: format!("{mount}{path}").into(),
        };
        assert_eq!(
            places(mounts, own),
            [
                place(Controller::Pids, "/sys/fs/cgroup/pids", ""),
                place(Controller::Memory, "/sys/fs/cgroup/memory", "/jobs/one"),
                place(Controller::Both, "/sys/fs/cgroup/unified", "/user.slice/x.scope"),
            ]
        );
    }

    #[test]
    fn groups_of_dead_makers_are_removed_and_those_of_the_living_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let living = format!("{PREFIX}{own}-{}-0", start_time(own).unwrap());
        let reused = format!("{PREFIX}{own}-1-0");
        for name in [living.as_str(), &reused, "cwm-4194999-77-0", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        remove_left_over(parent.path());
        let mut left: Vec<_> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [living.as_str(), "other"]);
    }
}
