//! The user's word to end: first in order, then at once. An attempt has a control of its own below the run's, so that it can be
//! ended alone.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cwm_tools::sandbox::{Interrupt, KillReason};

/// Shared by everything that works on a run, or on one attempt of it.
#[derive(Default)]
pub struct Control {
    level: AtomicU8,
    deadline: Mutex<Option<Deadline>>,
    running: Mutex<Vec<(u64, Interrupt)>>,
    next: AtomicU64,
    parent: Option<Arc<Control>>,
}

/// When the time is over, and how long it was.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    whole: Duration,
}

/// What is left of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLeft {
    /// How much is left.
    pub left: Duration,
    /// How much there was.
    pub whole: Duration,
}

/// A sandbox that a [`Control`] and those above it can kill, until this is dropped.
pub struct Registered<'a> {
    control: &'a Control,
    key: u64,
    _above: Option<Box<Registered<'a>>>,
}

const FINISH: u8 = 1;
const NOW: u8 = 2;

impl Control {
    /// One that ends with this one, and can be ended alone.
    pub fn child(self: &Arc<Control>) -> Control {
        Control {
            parent: Some(self.clone()),
            ..Control::default()
        }
    }

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
        self.level() >= FINISH
    }

    /// Whether the step that is being done is to be given up.
    pub fn stopped(&self) -> bool {
        self.level() >= NOW
    }

    fn level(&self) -> u8 {
        let above = self.parent.as_ref().map_or(0, |parent| parent.level());
        self.level.load(Ordering::SeqCst).max(above)
    }

    /// From now on the time is over at this moment.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        let now = Instant::now();
        *lock(&self.deadline) = deadline.map(|at| Deadline {
            at,
            whole: at.saturating_duration_since(now),
        });
    }

    /// What is left of the time, its own or that of those above, whichever is over first; `None` when there is no end.
    pub fn time_left(&self) -> Option<TimeLeft> {
        let own = lock(&self.deadline).map(|Deadline { at, whole }| TimeLeft {
            left: at.saturating_duration_since(Instant::now()),
            whole,
        });
        let above = self.parent.as_ref().and_then(|parent| parent.time_left());
        own.into_iter().chain(above).min_by_key(|time| time.left)
    }

    /// Whether the time is over.
    pub fn out_of_time(&self) -> bool {
        self.time_left().is_some_and(|time| time.left.is_zero())
    }

    /// Lets [`Control::stop`] kill a sandbox.
    pub fn register(&self, interrupt: Interrupt) -> Registered<'_> {
        let above = self
            .parent
            .as_ref()
            .map(|parent| Box::new(parent.register(interrupt.clone())));
        let key = self.next.fetch_add(1, Ordering::SeqCst);
        lock(&self.running).push((key, interrupt.clone()));
        // After it stands in the list: a stop in between kills it twice, none forgets it.
        if self.stopped() {
            interrupt.kill(KillReason::Cancelled);
        }
        Registered {
            control: self,
            key,
            _above: above,
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        lock(&self.control.running).retain(|(key, _)| *key != self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_ends_with_its_run_and_can_end_alone() {
        let run = Arc::new(Control::default());
        let (one, other) = (run.child(), run.child());
        one.stop();
        assert!(one.stopped() && one.ending());
        assert!(!other.ending() && !run.ending());
        run.finish();
        assert!(other.ending() && !other.stopped());
        assert_eq!(other.time_left(), None);
        run.set_deadline(Some(Instant::now() + Duration::from_secs(60)));
        other.set_deadline(Some(Instant::now() + Duration::from_secs(3600)));
        let time = other.time_left().unwrap();
        assert!(time.left <= time.whole && time.whole <= Duration::from_secs(60));
        assert!(!other.out_of_time());
        run.set_deadline(Some(Instant::now()));
        assert!(other.out_of_time());
    }
}
