//! All the processes of a sandbox, as one thing to signal, kill and count.

use std::collections::{HashMap, HashSet};
use std::fs;

use rustix::process::getpid;

use super::super::container::inside;
use super::super::namespaces::highest_process_number;
use super::super::policy::Limits;
use super::super::protocol::Isolation;
use super::super::system;

pub(super) struct Processes {
    /// Whether "everybody but me" is exactly the sandbox: true for PID 1 of a namespace.
    namespace: bool,
    /// Whether the kernel bounds the number of processes.
    pub(super) counted_by_kernel: bool,
}

impl Processes {
    /// Takes stock of what the view's maker could have the kernel do.
    pub(super) fn new(isolation: Isolation, limits: &Limits) -> Processes {
        let namespace = isolation != Isolation::External && getpid().is_init();
        let highest = highest_process_number(limits).to_string();
        let counted_by_kernel = match isolation {
            Isolation::Container => inside::kernel_counts(limits.processes),
            Isolation::Namespaces | Isolation::External => {
                namespace
                    && fs::read_to_string("/proc/sys/kernel/pid_max").is_ok_and(|now| now.trim() == highest)
            }
        };
        Processes {
            namespace,
            counted_by_kernel,
        }
    }

    pub(super) fn signal_all(&self, signal: i32) {
        if self.namespace {
            system::kill(-1, signal);
        } else {
            for pid in descendants() {
                system::kill(pid, signal);
            }
        }
    }

    /// Kills every process of the sandbox but this one, however fast they fork.
    pub(super) fn kill_all(&self) {
        if self.namespace {
            system::kill(-1, libc::SIGKILL);
            return;
        }
        // Stopped processes cannot fork, so rounds of stopping what is new come to an end.
        let mut stopped = HashSet::new();
        for _ in 0..100 {
            let fresh: Vec<i32> = descendants()
                .into_iter()
                .filter(|pid| !stopped.contains(pid))
                .collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                system::kill(pid, libc::SIGSTOP);
                stopped.insert(pid);
            }
        }
        for pid in stopped {
            system::kill(pid, libc::SIGKILL);
        }
    }

    /// The processes' numbers.
    pub(super) fn list(&self) -> Vec<i32> {
        if self.namespace {
            numbers().into_iter().filter(|&pid| pid != own_number()).collect()
        } else {
            descendants()
        }
    }

    /// Whether no process is left. Zombies count as gone once reaped.
    pub(super) fn all_gone(&self) -> bool {
        if self.namespace {
            !system::kill(-1, 0)
        } else {
            descendants().is_empty()
        }
    }
}

/// Process numbers of all in this PID namespace.
fn numbers() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.collect()
}

/// Process numbers of all below this process, zombies left out.
fn descendants() -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in numbers() {
        let fields = system::process_fields(pid.unsigned_abs()).unwrap_or_default();
        if let [state, parent, ..] = fields.as_slice()
            && state != "Z"
            && let Ok(parent) = parent.parse()
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![own_number()];
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            next.push(child);
        }
    }
    found
}

fn own_number() -> i32 {
    getpid().as_raw_nonzero().get()
}
