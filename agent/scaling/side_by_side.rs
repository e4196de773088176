//! Pieces of work on several threads, the results in their order.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `count` pieces of work, at most `most` at once. Which thread does which does not matter to the results.
pub(super) fn side_by_side<T: Send>(count: usize, most: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::SeqCst);
            if index >= count {
                return done;
            }
            done.push((index, work(index)));
        }
    };
    let mut all: Vec<(usize, T)> = Vec::with_capacity(count);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..most.clamp(1, count.max(1)) {
            threads.push(scope.spawn(share));
        }
        for thread in threads {
            let done = thread.join();
            all.extend(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_and_the_results_are_in_order() {
        for threads in [0, 1, 3, 9] {
            assert_eq!(side_by_side(5, threads, |index| index * 2), [0, 2, 4, 6, 8]);
        }
        assert!(side_by_side(0, 4, |index| index).is_empty());
    }
}
