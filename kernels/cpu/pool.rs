//! The one thread pool: all kernels of a step share it, and its threads stay for the pool's life.
//!
//! A decode step has some hundreds of parallel regions of a few tens of microseconds each, so a thread that has nothing to do looks
//! out for the next region for a short while before it sleeps, and a region does not wait for threads that wake up late: whoever is
//! awake takes the next index, the caller too.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread looks out for work before it sleeps.
const SPIN: Duration = Duration::from_micros(60);
/// Set in `Shared::gate` while threads may enter the region; the bits below count those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

thread_local! {
    /// Whether this thread runs a task of some pool right now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A fixed number of threads that run one task after another.
pub struct ThreadPool {
    shared: Arc<Shared>,
    /// Held by the one whose region runs.
    submission: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

/// A region: what runs, and how often. The lifetime of the borrow is erased; see `ThreadPool::run`.
#[derive(Clone, Copy)]
struct Region {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
}

struct Shared {
    /// Counts regions, and shutting down: what waiting threads look at.
    epoch: AtomicU64,
    stop: AtomicBool,
    gate: AtomicUsize,
    region: UnsafeCell<Option<Region>>,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    caller_sleeps: AtomicBool,
    /// Guards both conditions; the atomics above are what they are about.
    bed: Mutex<()>,
    work: Condvar,
    done: Condvar,
}

// SAFETY: `region` is the only field that is not `Sync` by itself. It is written by the holder of `submission` while the gate is
// closed and nobody is inside, and read only between entering and leaving the gate, whose atomic operations order the two.
#[allow(unsafe_code, reason = "a region is handed to other threads by reference")]
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `region` points to something that is `Sync`.
#[allow(unsafe_code, reason = "a region is handed to other threads by reference")]
unsafe impl Send for Shared {}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ThreadPool")
            .field("threads", &self.threads())
            .finish()
    }
}

impl ThreadPool {
    /// A pool of `threads` threads, the caller's own included; at least one. When the system refuses to start that many, the pool
    /// has as many as it got.
    pub fn new(threads: usize) -> ThreadPool {
        let shared = Arc::new(Shared::new());
        let workers = (1..threads.max(1)).map_while(|index| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("kernels-{index}"))
                .spawn(move || shared.work())
                .ok()
        });
        ThreadPool {
            workers: workers.collect(),
            shared,
            submission: Mutex::new(()),
        }
    }

    /// How many threads work at once.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task` once with each index below `count`, and returns when all have run. Indices are handed out in order, to whichever
    /// thread is free. A call from within a task runs on that thread alone; calls from several threads run one after another.
    ///
    /// # Panics
    /// When a task panics: indices not yet begun are left out, and the first panic goes on in the caller once all threads have
    /// stopped.
    pub fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        if count <= 1 || self.workers.is_empty() || INSIDE.get() {
            (0..count).for_each(task);
            return;
        }
        let _turn = lock(&self.submission);
        // SAFETY: only the lifetime changes. The pointer is used only by threads inside the gate, and this function does not return
        // (nor unwind) before the gate is closed and everyone has left.
        #[allow(unsafe_code, reason = "a region is handed to other threads by reference")]
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync + 'static)>(
                task,
            )
        };
        let region = Region { task, count };
        self.shared.open(region);
        self.shared.take_indices(region);
        self.shared.close();
        let panic = lock(&self.shared.panic).take();
        if let Some(payload) = panic {
            drop(_turn);
            resume_unwind(payload);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.announce();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks and has none of its own to tell of.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn new() -> Shared {
        Shared {
            epoch: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            gate: AtomicUsize::new(0),
            region: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            caller_sleeps: AtomicBool::new(false),
            bed: Mutex::new(()),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    fn open(&self, region: Region) {
        self.next.store(0, Ordering::Relaxed);
        // SAFETY: the caller holds `submission` and the last region was closed, so nobody is inside the gate to read this.
        #[allow(unsafe_code, reason = "a region is handed to other threads by reference")]
        unsafe {
            *self.region.get() = Some(region);
        }
        self.gate.store(OPEN, Ordering::SeqCst);
        self.announce();
    }

    /// Tells all workers to look at the gate and at `stop`.
    fn announce(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.bed));
            self.work.notify_all();
        }
    }

    /// Lets nobody in any more and waits until everyone has left.
    fn close(&self) {
        let inside = |gate: usize| gate & !OPEN != 0;
        if !inside(self.gate.fetch_and(!OPEN, Ordering::SeqCst)) {
            return;
        }
        if spin_until(|| !inside(self.gate.load(Ordering::SeqCst))) {
            return;
        }
        let mut guard = lock(&self.bed);
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while inside(self.gate.load(Ordering::SeqCst)) {
            guard = self.done.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_sleeps.store(false, Ordering::SeqCst);
    }

    /// Enters the region that is open, if one is.
    fn enter(&self) -> Option<Region> {
        let add = |gate: usize| (gate & OPEN != 0).then(|| gate + 1);
        self.gate
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add)
            .ok()?;
        // SAFETY: this thread is inside the gate, so nobody writes.
        #[allow(unsafe_code, reason = "a region is handed to other threads by reference")]
        unsafe {
            *self.region.get()
        }
    }

    fn leave(&self) {
        if self.gate.fetch_sub(1, Ordering::SeqCst) == 1 && self.caller_sleeps.load(Ordering::SeqCst) {
            drop(lock(&self.bed));
            self.done.notify_all();
        }
    }

    fn take_indices(&self, region: Region) {
        // SAFETY: this thread is the submitter or inside the gate, so `run` has not returned and the borrow lives.
        #[allow(unsafe_code, reason = "a region is handed to other threads by reference")]
        let task = unsafe { &*region.task };
        INSIDE.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= region.count {
                    break;
                }
                task(index);
            }
        }));
        INSIDE.set(false);
        if let Err(payload) = result {
            // Far above any count, yet so that later additions do not wrap around.
            self.next.store(usize::MAX / 2, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(payload);
        }
    }

    fn work(&self) {
        let mut seen = 0;
        loop {
            self.wait_for_change(seen);
            seen = self.epoch.load(Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            if let Some(region) = self.enter() {
                self.take_indices(region);
                self.leave();
            }
        }
    }

    fn wait_for_change(&self, seen: u64) {
        let changed = || self.epoch.load(Ordering::SeqCst) != seen;
        if spin_until(changed) {
            return;
        }
        let mut guard = lock(&self.bed);
        // Whoever announces either sees the sleeper and takes `bed` after it waits, or has counted up before `changed` looks.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while !changed() {
            guard = self.work.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Looks again and again until it is so, or for `SPIN`; tells whether it is so.
fn spin_until(is_so: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..64 {
            if is_so() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() > SPIN {
            return is_so();
        }
    }
}

/// No code that can panic runs under these locks, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
