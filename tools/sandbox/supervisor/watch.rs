//! The limits that the supervisor itself counts: memory of all processes together, and their number where the
//! kernel does not bound it.

use std::fs;
use std::time::{Duration, Instant};

use super::super::policy::Limits;
use super::super::protocol::{Isolation, KillReason};
use super::processes::{self, Processes};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// So many looks in a row that find the limit all but reached are taken for a fork bomb.
const CROWDED_LOOKS: u32 = 5;
/// A look may cost at most one part in this many of the time.
const SHARE: u32 = 20;

pub(super) struct Watch {
    limits: Limits,
    counted_by_kernel: bool,
    namespace: bool,
    next: Instant,
    /// Looks in a row that found the limit all but reached.
    crowded: u32,
}

impl Watch {
    pub(super) fn new(isolation: Isolation, limits: &Limits, processes: &Processes) -> Watch {
        let namespace = isolation == Isolation::Namespaces;
        Watch {
            limits: limits.clone(),
            counted_by_kernel: processes.counted_by_kernel,
            namespace,
            next: Instant::now(),
            crowded: 0,
        }
    }

    /// The limit that is passed now, if one is.
    pub(super) fn exceeded(&mut self) -> Option<KillReason> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        let processes = if self.namespace {
            processes::all()
        } else {
            processes::descendants()
        };
        let memory: u64 = processes.iter().map(|&pid| private_memory(pid)).sum();
        let count = self.count(&processes);
        self.next = Instant::now() + INTERVAL.max(now.elapsed() * SHARE);
        // Where the kernel refuses more than the limit, a crowd that stays just below it is a fork bomb that waits.
        let crowded = u64::from(count) * 20 >= u64::from(self.limits.processes) * 19;
        self.crowded = if crowded { self.crowded + 1 } else { 0 };
        if count > self.limits.processes || self.crowded >= CROWDED_LOOKS {
            return Some(KillReason::Processes);
        }
        (memory > self.limits.memory).then_some(KillReason::Memory)
    }

    /// Threads of all processes; counted one by one only when there may be many.
    fn count(&self, processes: &[i32]) -> u32 {
        let few = u32::try_from(processes.len()).unwrap_or(u32::MAX);
        if self.counted_by_kernel && few < self.limits.processes / 2 {
            return few;
        }
        processes.iter().map(|&pid| threads(pid)).sum()
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
