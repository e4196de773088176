//! The limits that the supervisor itself counts: memory of all processes together, and their number where the
//! kernel does not bound it.

use std::fs;
use std::time::{Duration, Instant};

use super::super::policy::Limits;
use super::super::protocol::KillReason;
use super::processes::Processes;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// So many looks in a row that find the limit all but reached are taken for a fork bomb.
const CROWDED_LOOKS: u32 = 5;
/// A look may cost at most one part in this many of the time.
const SHARE: u32 = 20;

pub(super) struct Watch {
    limits: Limits,
    next: Instant,
    /// Looks in a row that found the limit all but reached.
    crowded: u32,
}

impl Watch {
    pub(super) fn new(limits: &Limits) -> Watch {
        Watch {
            limits: limits.clone(),
            next: Instant::now(),
            crowded: 0,
        }
    }

    /// The limit that is passed now, if one is.
    pub(super) fn exceeded(&mut self, all: &Processes) -> Option<KillReason> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        let processes = all.list();
        let memory = memory(&processes, self.limits.memory);
        let count = self.count(&processes, all.counted_by_kernel);
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
    fn count(&self, processes: &[i32], counted_by_kernel: bool) -> u32 {
        let few = u32::try_from(processes.len()).unwrap_or(u32::MAX);
        if counted_by_kernel && few < self.limits.processes / 2 {
            return few;
        }
        processes.iter().map(|&pid| threads(pid)).sum()
    }
}

/// Bytes that the processes hold together: exact only when they may be more than `limit`, for that costs time.
fn memory(processes: &[i32], limit: u64) -> u64 {
    let detached = detached_memory();
    let most: u64 = processes.iter().map(|&pid| resident_memory(pid)).sum();
    if most + detached <= limit {
        return most + detached;
    }
    processes.iter().map(|&pid| own_memory(pid)).sum::<u64>() + detached
}

/// Resident memory, what is shared with other processes and mapped files included.
fn resident_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok());
    pages.unwrap_or(0u64) * rustix::param::page_size() as u64
}

/// A process's part of the memory it holds: its own, and its share of what several map. Files do not count, for
/// the kernel can drop them.
fn own_memory(pid: i32) -> u64 {
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        && text.contains("Pss_Shmem:")
    {
        return kibibytes(&text, &["Pss_Anon:", "Pss_Shmem:"]);
    }
    // A process that forbids being looked into pays for all that it shares.
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kibibytes(&text, &["RssAnon:", "RssShmem:"])
}

/// System V segments that no process has attached.
fn detached_memory() -> u64 {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segments = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (attached, resident) = (fields.get(6)?, fields.get(14)?);
        (*attached == "0").then(|| resident.parse::<u64>().ok()).flatten()
    });
    segments.sum()
}

/// The sum of the fields of these names, in bytes.
fn kibibytes(text: &str, names: &[&str]) -> u64 {
    let fields = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        names.contains(&name).then(|| words.next()?.parse::<u64>().ok())?
    });
    fields.sum::<u64>() * 1024
}

fn threads(pid: i32) -> u32 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return 0;
    };
    let line = text.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(1)
}
