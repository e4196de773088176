//! The engine as its callers see it: one thread that runs the scheduler, and requests from any other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::backend::Backend;
use crate::cache::KvCache;
use crate::engine::scheduler::Scheduler;
use crate::engine::sequence::Submission;
use crate::engine::{EngineError, EngineOptions, Generation, Request, Statistics};
use crate::text::Tokenizer;

/// The most samples of one request.
const MOST_SAMPLES: usize = 1024;

/// What the engine's thread tells those who ask.
#[derive(Debug, Default)]
pub(super) struct Shared {
    statistics: Mutex<Statistics>,
    stopped: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn count(&self, statistics: Statistics) {
        *lock(&self.statistics) = statistics;
    }

    fn stop(&self, why: String) {
        *lock(&self.stopped) = Some(why);
    }

    pub(super) fn why_stopped(&self) -> String {
        let why = lock(&self.stopped).clone();
        why.unwrap_or_else(|| "it was shut down".to_owned())
    }
}

/// What it guards is replaced as a whole, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs many requests at once on one back end. Dropping it cancels them and waits for the step that runs.
#[derive(Debug)]
pub struct Engine {
    submissions: Option<Sender<Submission>>,
    worker: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// Empty, and of the same size as the one in use: it says what fits.
    measure: KvCache,
    options: EngineOptions,
    vocabulary: usize,
    has_text: bool,
}

impl Engine {
    /// Starts an engine on its own thread. `cache` must have the form of the back end's pages. If that is not so, or no thread can be
    /// had, every request is refused with the reason.
    pub fn start(
        backend: Box<dyn Backend>,
        cache: KvCache,
        tokenizer: Option<Arc<Tokenizer>>,
        options: EngineOptions,
    ) -> Engine {
        let shared = Arc::new(Shared::default());
        let options = EngineOptions {
            prefill_chunk: options.prefill_chunk.max(1),
            max_batch: options.max_batch.max(1),
            ..options
        };
        let mut engine = Engine {
            submissions: None,
            worker: None,
            shared: Arc::clone(&shared),
            measure: KvCache::new(cache.layout().clone(), cache.settings()),
            vocabulary: backend.vocabulary(),
            has_text: tokenizer.is_some(),
            options: options.clone(),
        };
        if backend.layout() != cache.layout() {
            shared.stop("its cache is laid out for another model or back end".to_owned());
            return engine;
        }
        let (sender, receiver) = channel();
        let scheduler = Scheduler::new(backend, cache, tokenizer, options, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("engine".to_owned());
        match thread.spawn(move || run(scheduler, &receiver, &shared)) {
            Ok(worker) => {
                engine.worker = Some(worker);
                engine.submissions = Some(sender);
            }
            Err(error) => engine
                .shared
                .stop(format!("the system gives it no thread ({error})")),
        }
        engine
    }

    /// Takes a request, and returns at once; its events come as the engine gets to it. Requests are served in the order in which they
    /// came.
    pub fn submit(&self, request: Request) -> Result<Generation, EngineError> {
        self.check(&request)?;
        let (events, received) = channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let generation = Generation::new(
            received,
            Arc::clone(&cancelled),
            Arc::clone(&self.shared),
            request.samples,
            request.prompt.len(),
        );
        let submission = Submission {
            request,
            events,
            cancelled,
        };
        let stopped = || EngineError::Stopped(self.shared.why_stopped());
        let submissions = self.submissions.as_ref().ok_or_else(stopped)?;
        submissions.send(submission).map_err(|_| stopped())?;
        Ok(generation)
    }

    /// What it has done until now.
    pub fn statistics(&self) -> Statistics {
        *lock(&self.shared.statistics)
    }

    /// How it runs.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    fn check(&self, request: &Request) -> Result<(), EngineError> {
        let (prompt, context) = (request.prompt.len(), self.options.context);
        if prompt == 0 {
            return Err(EngineError::EmptyPrompt);
        }
        if !(1..=MOST_SAMPLES).contains(&request.samples) {
            return Err(EngineError::Samples {
                samples: request.samples,
                most: MOST_SAMPLES,
            });
        }
        if request.max_tokens == 0 {
            return Err(EngineError::NoTokens);
        }
        request.sampling.check()?;
        if request.stop_strings.iter().any(String::is_empty) {
            return Err(EngineError::EmptyStopString);
        }
        if !request.stop_strings.is_empty() && !self.has_text {
            return Err(EngineError::NoTokenizer);
        }
        if prompt >= context {
            return Err(EngineError::PromptTooLong { prompt, context });
        }
        let unknown = request
            .prompt
            .iter()
            .find(|token| **token as usize >= self.vocabulary);
        if let Some(token) = unknown {
            return Err(EngineError::UnknownToken {
                token: *token,
                vocabulary: self.vocabulary,
            });
        }
        // Samples can be computed one after another, so one has to fit.
        let new_tokens = request.max_tokens.min(context - prompt);
        self.measure
            .fits_in_steps(prompt, new_tokens, 1, self.options.prefill_chunk)?;
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.submissions = None;
        if let Some(worker) = self.worker.take() {
            // Its panics were caught and reported.
            let _ = worker.join();
        }
    }
}

/// The engine's thread.
fn run(mut scheduler: Scheduler, submissions: &Receiver<Submission>, shared: &Shared) {
    let ended = catch_unwind(AssertUnwindSafe(|| serve(&mut scheduler, submissions)));
    if let Err(panic) = ended {
        // Before the requests' channels close, so that those who wait on them can read it.
        shared.stop(format!("a step panicked ({})", message(panic.as_ref())));
    }
}

fn serve(scheduler: &mut Scheduler, submissions: &Receiver<Submission>) {
    loop {
        if scheduler.is_idle() {
            match submissions.recv() {
                Ok(submission) => scheduler.submit(submission),
                Err(_) => return,
            }
        }
        loop {
            match submissions.try_recv() {
                Ok(submission) => scheduler.submit(submission),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    scheduler.cancel_all();
                    return;
                }
            }
        }
        scheduler.step();
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
