//! Ctrl-C and its kin. The first interrupts what runs in a sandbox, so that `cwm` can end in order; a second one kills it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use cwm_tools::sandbox::{Interrupt, KillReason};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;

/// Catches signals while it lives.
pub(crate) struct Signals {
    count: Arc<AtomicU32>,
    running: Arc<Mutex<Option<Interrupt>>>,
    leave: Arc<AtomicBool>,
    handle: iterator::Handle,
}

impl Signals {
    /// Begins to catch.
    pub(crate) fn catch() -> anyhow::Result<Signals> {
        let mut caught =
            iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).context("Signals cannot be caught.")?;
        let handle = caught.handle();
        let count = Arc::new(AtomicU32::new(0));
        let running: Arc<Mutex<Option<Interrupt>>> = Arc::default();
        let leave = Arc::new(AtomicBool::new(false));
        let (counter, interrupts, leaving) = (count.clone(), running.clone(), leave.clone());
        std::thread::spawn(move || {
            for signal in &mut caught {
                let before = counter.fetch_add(1, Ordering::SeqCst);
                if before > 0 && leaving.load(Ordering::SeqCst) {
                    // What is half made is removed at the next start.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                if let Some(interrupt) = &*interrupts.lock().unwrap_or_else(PoisonError::into_inner) {
                    match before {
                        0 => interrupt.interrupt(),
                        _ => interrupt.kill(KillReason::Cancelled),
                    }
                }
            }
        });
        Ok(Signals {
            count,
            running,
            leave,
            handle,
        })
    }

    /// From now on a signal interrupts this.
    pub(crate) fn interrupt_with(&mut self, interrupt: Interrupt) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupt);
    }

    /// Whether a second signal ends the program at once, while there is nothing to end in order.
    pub(crate) fn leave_at_second(&self, leave: bool) {
        self.leave.store(leave, Ordering::SeqCst);
    }

    /// How many signals came.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether a signal came.
    pub(crate) fn caught(&self) -> bool {
        self.count() > 0
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
    }
}
