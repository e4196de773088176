//! Tests of the thread pool.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ThreadPool;

fn each_once(pool: &ThreadPool, count: usize) {
    let hits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    pool.run(count, &|index| {
        hits[index].fetch_add(1, Ordering::Relaxed);
    });
    assert!(
        hits.iter().all(|hit| hit.load(Ordering::Relaxed) == 1),
        "{count} indices"
    );
}

#[test]
fn every_index_runs_once() {
    for threads in [0, 1, 2, 3, 5, 8] {
        let pool = ThreadPool::new(threads);
        assert_eq!(pool.threads(), threads.max(1));
        for count in [0, 1, 2, 3, 7, 8, 9, 64, 1000] {
            each_once(&pool, count);
        }
    }
}

#[test]
fn many_small_regions() {
    let pool = ThreadPool::new(3);
    let sum = AtomicUsize::new(0);
    for region in 0..100_000 {
        pool.run(2 + region % 3, &|index| {
            sum.fetch_add(index + 1, Ordering::Relaxed);
        });
    }
    // 3, 6 and 10 in turn, the first once more than the others.
    assert_eq!(sum.into_inner(), 33_333 * 19 + 3);
}

#[test]
fn sleeping_threads_wake_up_for_work() {
    let pool = ThreadPool::new(2);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(1));
        let both = std::sync::Barrier::new(2);
        // Returns only when two threads take part.
        pool.run(2, &|_| {
            both.wait();
        });
    }
}

#[test]
fn a_panic_reaches_the_caller_after_all_have_stopped() {
    let pool = ThreadPool::new(4);
    for bad in [0, 1, 17, 63] {
        let running = AtomicUsize::new(0);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(64, &|index| {
                running.fetch_add(1, Ordering::SeqCst);
                if index == bad {
                    running.fetch_sub(1, Ordering::SeqCst);
                    std::panic::panic_any(index);
                }
                std::thread::sleep(Duration::from_micros(100));
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }));
        let payload = result.expect_err("the panic comes through");
        assert_eq!(payload.downcast_ref::<usize>(), Some(&bad));
        assert_eq!(running.load(Ordering::SeqCst), 0);
        each_once(&pool, 100);
    }
}

#[test]
fn runs_within_runs_and_from_several_threads() {
    let pool = ThreadPool::new(3);
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(5, &|_| {
                        pool.run(7, &|index| {
                            sum.fetch_add(index, Ordering::Relaxed);
                        });
                    });
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 4 * 200 * 5 * 21);
}

#[test]
fn dropping_joins_sleeping_and_waking_threads() {
    for pause in [0, 1, 2] {
        for _ in 0..20 {
            let pool = ThreadPool::new(4);
            each_once(&pool, 3);
            std::thread::sleep(Duration::from_millis(pause));
            let begin = Instant::now();
            drop(pool);
            assert!(begin.elapsed() < Duration::from_secs(5));
        }
    }
}

/// The processor time of this process's threads called `name`, in clock ticks.
#[cfg(target_os = "linux")]
fn ticks_of(name: &str) -> u64 {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc/self/task").expect("threads") {
        // A thread may end meanwhile.
        let path = entry.expect("a thread").path().join("stat");
        let Ok(stat) = std::fs::read_to_string(path) else {
            continue;
        };
        let (head, fields) = stat.rsplit_once(')').expect("a name in brackets");
        if head.ends_with(&format!("({name}")) {
            // Fields 14 and 15 of the line; the state, behind the name, is the third.
            let times = fields.split_whitespace().skip(11).take(2);
            ticks += times
                .map(|time| time.parse::<u64>().expect("a number"))
                .sum::<u64>();
        }
    }
    ticks
}

#[test]
#[cfg(target_os = "linux")]
fn idle_threads_sleep() {
    // No other test has as many threads, so the last ones' names are this pool's alone.
    let pool = ThreadPool::new(40);
    each_once(&pool, 1000);
    let busy = || {
        (30..40)
            .map(|index| ticks_of(&format!("kernels-{index}")))
            .sum::<u64>()
    };
    std::thread::sleep(Duration::from_millis(100));
    let before = busy();
    std::thread::sleep(Duration::from_millis(500));
    // Threads that spun would share all processors, at a hundred ticks a second each.
    assert!(busy() - before <= 2);
    drop(pool);
}
