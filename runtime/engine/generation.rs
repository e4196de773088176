//! A request that runs, as its caller sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::engine::service::Shared;
use crate::engine::{Event, FinishReason, Usage};

/// The events of a request, as they come. It ends when all samples have finished; dropping it cancels the request.
#[derive(Debug)]
pub struct Generation {
    events: Receiver<Event>,
    cancelled: Arc<AtomicBool>,
    shared: Arc<Shared>,
    /// What each sample that has not finished has cost so far, by its number.
    running: Vec<Option<Usage>>,
}

/// Nothing came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no event came in time")]
pub struct TimedOut;

impl Generation {
    pub(super) fn new(
        events: Receiver<Event>,
        cancelled: Arc<AtomicBool>,
        shared: Arc<Shared>,
        samples: usize,
        prompt_tokens: usize,
    ) -> Generation {
        let usage = Usage {
            prompt_tokens,
            ..Usage::default()
        };
        Generation {
            events,
            cancelled,
            shared,
            running: vec![Some(usage); samples],
        }
    }

    /// Ends all samples at the next step; each still sends its last event.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The next event; `None` when all samples have finished.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event>, TimedOut> {
        self.receive(Instant::now().checked_add(timeout))
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, TimedOut> {
        if self.running.iter().all(Option::is_none) {
            return Ok(None);
        }
        let received = match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.events.recv_timeout(left)
            }
            None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(event) => {
                self.note(&event);
                Ok(Some(event))
            }
            Err(RecvTimeoutError::Timeout) => Err(TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(self.abandoned()),
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Token { sample, .. } => {
                if let Some(Some(usage)) = self.running.get_mut(*sample) {
                    usage.completion_tokens += 1;
                }
            }
            Event::Finished { sample, .. } => {
                if let Some(usage) = self.running.get_mut(*sample) {
                    *usage = None;
                }
            }
        }
    }

    /// The end of a sample whose engine died without a word.
    fn abandoned(&mut self) -> Option<Event> {
        let mut running = self.running.iter_mut().enumerate();
        let (sample, usage) = running.find_map(|(sample, usage)| Some((sample, usage.take()?)))?;
        Some(Event::Finished {
            sample,
            text: String::new(),
            reason: FinishReason::Failed(self.shared.why_stopped()),
            usage,
        })
    }
}

impl Iterator for Generation {
    type Item = Event;

    /// Waits for the next event.
    fn next(&mut self) -> Option<Event> {
        self.receive(None).unwrap_or(None)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel();
    }
}
