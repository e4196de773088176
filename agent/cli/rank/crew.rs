//! Threads that work while this one shows how far they are and listens for Ctrl-C.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::cli::Printer;
use crate::cli::signals::Signals;
use crate::rollout::Control;

/// Between two looks at the clock and at signals.
const LOOK: Duration = Duration::from_millis(100);

/// What the work is done under.
pub(super) struct Crew<'a> {
    pub(super) signals: &'a Signals,
    pub(super) control: &'a Control,
    pub(super) printer: &'a mut Printer,
}

impl Crew<'_> {
    /// Does `count` pieces of work, at most `jobs` at once, and returns what they came to in their order. Ctrl-C stops the control,
    /// which the work has to heed.
    pub(super) fn work<T: Send>(
        &mut self,
        count: usize,
        jobs: usize,
        what: &str,
        work: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let started = Instant::now();
        let mut results: Vec<(usize, T)> = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, count.max(1)) {
                let (sender, next, work) = (sender.clone(), &next, &work);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        if index >= count || sender.send((index, work(index))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            loop {
                // Each time anew: what began since the last time is to end too.
                if self.signals.caught() {
                    self.control.stop();
                }
                let seconds = started.elapsed().as_secs();
                let done = results.len();
                if count > 1 {
                    self.printer
                        .progress(format_args!("{what}: {done} of {count}, {seconds} s …"));
                } else {
                    self.printer.progress(format_args!("{what}: {seconds} s …"));
                }
                match receiver.recv_timeout(LOOK) {
                    Ok(result) => results.push(result),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        if self.signals.caught() {
            self.control.stop();
        }
        self.printer.clear_progress();
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
