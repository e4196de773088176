//! The limits that the supervisor itself counts: memory of all processes together, and their number where the
//! kernel does not bound it.

use std::fs;
use std::time::{Duration, Instant};

use super::super::policy::Limits;
use super::super::protocol::{Isolation, KillReason};
use super::processes::{self, Processes};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// A look may cost at most one part in this many of the time.
const SHARE: u32 = 20;

pub(super) struct Watch {
    limits: Limits,
    count_processes: bool,
    namespace: bool,
    next: Instant,
}

impl Watch {
    pub(super) fn new(isolation: Isolation, limits: &Limits, processes: &Processes) -> Watch {
        let namespace = isolation == Isolation::Namespaces;
        Watch {
            limits: limits.clone(),
            count_processes: !processes.counted_by_kernel,
            namespace,
            next: Instant::now(),
        }
    }

    /// The limit that is passed now, if one is.
    pub(super) fn exceeded(&mut self) -> Option<KillReason> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        let mut memory = 0;
        let mut count = 0;
        for pid in if self.namespace {
            processes::all()
        } else {
            processes::descendants()
        } {
            memory += private_memory(pid);
            count += if self.count_processes { threads(pid) } else { 0 };
        }
        self.next = Instant::now() + INTERVAL.max(now.elapsed() * SHARE);
        if count > self.limits.processes {
            return Some(KillReason::Processes);
        }
        (memory > self.limits.memory).then_some(KillReason::Memory)
    }
}

/// Resident memory that is not shared, in bytes. Memory shared between processes is bounded by the scratch limit.
fn private_memory(pid: i32) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/statm")) else {
        return 0;
    };
    let mut fields = text
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}

fn threads(pid: i32) -> u32 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return 0;
    };
    let line = text.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(1)
}
