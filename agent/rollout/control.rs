//! The user's word to end: first in order, then at once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cwm_tools::sandbox::{Interrupt, KillReason};

/// Shared by everything that works on a run.
#[derive(Default)]
pub struct Control {
    level: AtomicU8,
    deadline: Mutex<Option<Instant>>,
    running: Mutex<Vec<(u64, Interrupt)>>,
    next: std::sync::atomic::AtomicU64,
}

/// A sandbox that a [`Control`] can kill, until this is dropped.
pub struct Registered<'a> {
    control: &'a Control,
    key: u64,
}

const FINISH: u8 = 1;
const NOW: u8 = 2;

impl Control {
    /// Asks to end after the step that is being done.
    pub fn finish(&self) {
        self.level.fetch_max(FINISH, Ordering::SeqCst);
    }

    /// Ends now: what runs in sandboxes is killed.
    pub fn stop(&self) {
        self.level.store(NOW, Ordering::SeqCst);
        for (_, interrupt) in &*lock(&self.running) {
            interrupt.kill(KillReason::Cancelled);
        }
    }

    /// Whether no new step is to begin.
    pub fn ending(&self) -> bool {
        self.level.load(Ordering::SeqCst) >= FINISH
    }

    /// Whether the step that is being done is to be given up.
    pub fn stopped(&self) -> bool {
        self.level.load(Ordering::SeqCst) >= NOW
    }

    /// From now on the run's time is over at this moment.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        *lock(&self.deadline) = deadline;
    }

    /// Whether the run's time is over.
    pub fn out_of_time(&self) -> bool {
        lock(&self.deadline).is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Lets [`Control::stop`] kill a sandbox.
    pub fn register(&self, interrupt: Interrupt) -> Registered<'_> {
        let key = self.next.fetch_add(1, Ordering::SeqCst);
        if self.stopped() {
            interrupt.kill(KillReason::Cancelled);
        }
        lock(&self.running).push((key, interrupt));
        Registered { control: self, key }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        lock(&self.control.running).retain(|(key, _)| *key != self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
