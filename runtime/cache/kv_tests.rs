//! Named behaviours of the cache.

use super::super::KvElement;
use super::*;

const PAGE: usize = 4;

fn layout(full_layers: usize, window_layers: usize, window: usize) -> PageLayout {
    PageLayout {
        page_tokens: PAGE,
        full_layers,
        window_layers,
        window: (window_layers > 0).then_some(window),
        kv_heads: 1,
        head_dim: 32,
        element: KvElement::F32,
    }
}

/// A page of one layer takes 4 * 32 * 4 * 2 = 1024 bytes.
fn cache(layout: PageLayout, budget_bytes: usize, rollback_slack: usize) -> KvCache {
    KvCache::new(
        layout,
        CacheSettings {
            budget_bytes,
            rollback_slack,
        },
    )
}

fn tokens(from: u32, count: usize) -> Vec<TokenId> {
    (from..).take(count).collect()
}

fn grow(cache: &mut KvCache, sequence: &mut SequenceCache, tokens: &[TokenId]) -> Vec<PageCopy> {
    let copies = cache.reserve(sequence, tokens.len()).expect("there is room");
    cache.append(sequence, tokens);
    copies
}

/// Begins with a hit where there is one and computes the rest.
fn prefill(cache: &mut KvCache, tokens: &[TokenId]) -> SequenceCache {
    let mut sequence = cache.begin(tokens);
    let known = sequence.len();
    for chunk in tokens[known..].chunks(5) {
        grow(cache, &mut sequence, chunk);
    }
    sequence
}

fn hit(cache: &mut KvCache, tokens: &[TokenId]) -> usize {
    let sequence = cache.begin(tokens);
    let len = sequence.len();
    cache.finish(sequence, false);
    len
}

#[test]
fn forks_share_all_pages_until_they_write() {
    let mut cache = cache(layout(1, 1, 8), 1 << 20, 0);
    let mut first = prefill(&mut cache, &tokens(0, 18));
    let alone = cache.bytes_in_use();
    let mut forks: Vec<SequenceCache> = (0..15).map(|_| cache.fork(&first)).collect();
    assert_eq!(cache.bytes_in_use(), alone);
    // 18 positions end inside a page: all but the last of sixteen writers get a copy of it, one a pool.
    for (index, fork) in forks.iter_mut().enumerate() {
        let copies = cache.reserve(fork, 1).expect("there is room");
        assert_eq!(copies.len(), 2, "fork {index}");
        assert_eq!(copies[0].source, first.full_pages()[4]);
        assert_eq!(copies[0].destination, fork.full_pages()[4]);
        assert_eq!(copies[1].pool, PoolKind::Window);
    }
    assert_eq!(cache.reserve(&mut first, 1), Ok(Vec::new()));
    assert_eq!(cache.bytes_in_use(), alone + 15 * 2 * 1024);
    assert_eq!(forks[0].full_pages()[..4], first.full_pages()[..4]);
    for fork in forks.into_iter().chain([first]) {
        cache.finish(fork, false);
    }
    assert_eq!(cache.bytes_in_use(), 0);
}

#[test]
fn window_pages_do_not_grow_with_the_sequence() {
    let mut cache = cache(layout(0, 1, 8), 1 << 20, 2);
    let mut sequence = cache.begin(&[1]);
    let mut most = 0;
    for token in 0..500 {
        cache.reserve(&mut sequence, 1).expect("there is room");
        most = most.max(cache.bytes_in_use() / 1024);
        cache.append(&mut sequence, &[token]);
        assert!(sequence.full_pages().is_empty());
    }
    // Nine kept positions and one that is written touch at most four pages of four.
    assert_eq!(most, 4);
    assert_eq!(sequence.window_pages().first, (501 - 10) / PAGE);
    cache.finish(sequence, false);
}

#[test]
fn the_next_turn_reuses_all_earlier_tokens_also_past_the_window() {
    for layout in [layout(1, 0, 0), layout(1, 3, 8), layout(0, 2, 8), layout(1, 1, 1)] {
        let mut cache = cache(layout.clone(), 1 << 20, 3);
        let mut history = tokens(0, 3);
        for turn in 0..12 {
            let mut sequence = prefill(&mut cache, &history);
            assert!(turn == 0 || sequence.len() == history.len());
            let answer = tokens(1000 * (turn + 1), 7);
            grow(&mut cache, &mut sequence, &answer);
            history.extend(&answer);
            if turn % 2 == 0 {
                cache.finish(sequence, true);
            } else {
                cache.checkpoint(&sequence);
                cache.finish(sequence, false);
            }
            history.extend(tokens(5000, 1 + turn as usize % 3));
            let known = hit(&mut cache, &history);
            let added = 1 + turn as usize % 3;
            assert_eq!(known, history.len() - added, "turn {turn} of {layout:?}");
        }
        assert_eq!(cache.statistics().misses, 1);
    }
}

#[test]
fn a_hit_leaves_the_last_token_to_compute() {
    let mut cache = cache(layout(1, 1, 8), 1 << 20, 1);
    let prompt = tokens(0, 30);
    let sequence = prefill(&mut cache, &prompt);
    cache.finish(sequence, true);
    assert_eq!(hit(&mut cache, &prompt), 29);
    assert_eq!(hit(&mut cache, &[]), 0);
    assert_eq!(hit(&mut cache, &prompt[..1]), 0);
}

#[test]
fn a_hit_may_end_inside_a_page_which_is_then_copied() {
    let mut cache = cache(layout(1, 0, 0), 1 << 20, 0);
    let sequence = prefill(&mut cache, &tokens(0, 12));
    cache.finish(sequence, true);
    let mut prompt = tokens(0, 6);
    prompt.extend([100, 101]);
    let mut other = cache.begin(&prompt);
    assert_eq!(other.len(), 6);
    let source = other.full_pages()[1];
    let copies = grow(&mut cache, &mut other, &[100, 101]);
    assert_eq!(
        copies,
        [PageCopy {
            pool: PoolKind::Full,
            source,
            destination: other.full_pages()[1]
        }]
    );
    cache.finish(other, true);
    assert_eq!(hit(&mut cache, &tokens(0, 12)), 11);
    prompt.push(102);
    assert_eq!(hit(&mut cache, &prompt), 8);
}

#[test]
fn past_the_window_only_a_checkpoint_and_the_slack_before_it_can_be_hit() {
    let mut cache = cache(layout(1, 1, 8), 1 << 20, 4);
    let sequence = prefill(&mut cache, &tokens(0, 40));
    cache.finish(sequence, true);
    let at = |cache: &mut KvCache, shared: usize| {
        let mut prompt = tokens(0, shared);
        prompt.extend([900, 901]);
        hit(cache, &prompt)
    };
    for shared in 36..=40 {
        assert_eq!(at(&mut cache, shared), shared);
    }
    // The window before position 20 is gone, and it cannot be computed from what follows.
    assert_eq!(at(&mut cache, 20), 0);

    // Within the window all that was ever computed can be hit.
    let sequence = prefill(&mut cache, &tokens(500, 7));
    cache.finish(sequence, true);
    for shared in 1..=7 {
        let mut prompt = tokens(500, shared);
        prompt.push(900);
        assert_eq!(hit(&mut cache, &prompt), shared);
    }
}

#[test]
fn the_packed_prefix_serves_all_later_branches() {
    // The prefix ends inside a page; two branches go on from its checkpoint, then a third comes.
    let mut cache = cache(layout(1, 1, 8), 1 << 20, 0);
    let prefix = tokens(0, 30);
    let first = prefill(&mut cache, &prefix);
    cache.checkpoint(&first);
    for branch in [100, 200, 300] {
        let mut prompt = prefix.clone();
        prompt.extend(tokens(branch, 40));
        let known = hit(&mut cache, &prompt);
        assert_eq!(known, 30);
        let sequence = prefill(&mut cache, &prompt);
        cache.finish(sequence, true);
    }
    cache.finish(first, false);
}

#[test]
fn the_least_recently_used_branch_gives_up_its_last_pages_first() {
    // Room for eight pages: two branches of three, and two more.
    let mut cache = cache(layout(1, 0, 0), 8 * 1024, 0);
    let (old, new) = (tokens(0, 12), tokens(100, 12));
    for prompt in [&old, &new] {
        let sequence = prefill(&mut cache, prompt);
        cache.finish(sequence, true);
    }
    let mut old_longer = old.clone();
    old_longer.push(50);
    assert_eq!(hit(&mut cache, &old_longer), 12);
    // Now `new` was used longest ago.
    let mut third = prefill(&mut cache, &tokens(200, 12));
    assert_eq!(cache.statistics().evictions, 1);
    assert_eq!(hit(&mut cache, &new), 8);
    assert_eq!(hit(&mut cache, &old_longer), 12);
    grow(&mut cache, &mut third, &tokens(300, 8));
    assert_eq!(hit(&mut cache, &new), 0);
    assert_eq!(hit(&mut cache, &old_longer), 12);
    cache.finish(third, false);
}

#[test]
fn a_hit_counts_as_a_use_of_the_checkpoint_behind_it() {
    // Each branch takes four full pages and two window pages; there is room for two.
    let mut cache = cache(layout(1, 1, 4), 14 * 1024, 4);
    let (old, new) = (tokens(0, 16), tokens(100, 16));
    for prompt in [&old, &new] {
        let sequence = prefill(&mut cache, prompt);
        cache.finish(sequence, true);
    }
    // Ends before the checkpoint itself, in its slack.
    let mut old_again = old[..14].to_vec();
    old_again.extend([50, 51]);
    assert_eq!(hit(&mut cache, &old_again), 14);
    let third = prefill(&mut cache, &tokens(200, 9));
    assert_eq!(cache.statistics().evictions, 1);
    cache.finish(third, false);
    assert_eq!(hit(&mut cache, &new), 0);
    assert_eq!(hit(&mut cache, &old_again), 14);
}

#[test]
fn an_evicted_checkpoint_inside_a_branch_leaves_the_full_pages() {
    // Checkpoints at 20 and at 40 in one branch. A page of the full pool takes 1 KiB, one of the window pool 4 KiB.
    let mut cache = cache(layout(1, 4, 8), 30 * 1024, 0);
    let mut sequence = prefill(&mut cache, &tokens(0, 20));
    cache.checkpoint(&sequence);
    for chunk in tokens(20, 20).chunks(2) {
        grow(&mut cache, &mut sequence, chunk);
    }
    cache.finish(sequence, true);
    // Ten full pages, and two or three window pages at each checkpoint; the next sequence needs the first's.
    let other = prefill(&mut cache, &tokens(500, 8));
    assert_eq!(cache.statistics().evictions, 1);
    let mut at_20 = tokens(0, 20);
    at_20.extend([900, 901]);
    assert_eq!(hit(&mut cache, &at_20), 0);
    let mut at_40 = tokens(0, 40);
    at_40.extend([900, 901]);
    assert_eq!(hit(&mut cache, &at_40), 40);
    cache.finish(other, false);
}

#[test]
fn nothing_is_kept_that_no_checkpoint_reaches() {
    let mut cache = cache(layout(1, 1, 8), 20 * 1024, 0);
    let sequence = prefill(&mut cache, &tokens(0, 40));
    cache.finish(sequence, true);
    // Without its checkpoint the branch's ten full pages could serve nobody.
    let other = prefill(&mut cache, &tokens(500, 24));
    assert_eq!(cache.statistics().evictions, 1);
    assert_eq!(
        cache.bytes_in_use(),
        (other.full_pages().len() + other.window_pages().pages.len()) * 1024
    );
    cache.finish(other, false);
}

#[test]
fn the_last_turn_of_a_live_sequence_outlives_what_others_left() {
    let mut cache = cache(layout(1, 1, 8), 40 * 1024, 0);
    let mut live = prefill(&mut cache, &tokens(0, 21));
    cache.checkpoint(&live);
    for chunk in tokens(21, 12).chunks(2) {
        grow(&mut cache, &mut live, chunk);
    }
    let mut again = tokens(0, 21);
    again.extend([900, 901]);
    // Finished sequences come and go, all used later than the checkpoint.
    for round in 1..20 {
        let other = prefill(&mut cache, &tokens(1000 * round, 16));
        cache.finish(other, true);
    }
    assert!(cache.statistics().evictions > 10);
    assert_eq!(hit(&mut cache, &again), 21);
    // Replaced by a new last turn, it is like any other.
    cache.checkpoint(&live);
    for round in 1..20 {
        let other = prefill(&mut cache, &tokens(100_000 + 1000 * round, 16));
        cache.finish(other, true);
    }
    assert_eq!(hit(&mut cache, &again), 0);
    cache.finish(live, false);
}

#[test]
fn rollback_is_exact_within_the_slack_and_refused_beyond() {
    let mut cache = cache(layout(1, 1, 8), 1 << 20, 5);
    for len in 1..60 {
        let mut sequence = prefill(&mut cache, &tokens(0, len));
        let back = len - len.min(5);
        assert_eq!(cache.rollback(&mut sequence, back), Ok(()), "from {len}");
        assert_eq!(sequence.len(), back);
        cache.finish(sequence, false);
    }
    let mut sequence = prefill(&mut cache, &tokens(0, 40));
    let refusal = cache.rollback(&mut sequence, 12).expect_err("the window is gone");
    assert_eq!(sequence.len(), 40);
    // Pages are kept from position 28 on, so that position 35 sees the seven before it.
    assert_eq!(
        refusal.to_string(),
        "a sequence of 40 tokens cannot go back to 12: its sliding-window layers reach back to 35 at most; start it anew, or keep a \
         larger rollback slack"
    );
    assert_eq!(cache.rollback(&mut sequence, 35), Ok(()));
    assert_eq!(cache.rollback(&mut sequence, 0), Ok(()));
    assert_eq!(cache.bytes_in_use(), 0);
    let ahead = cache.rollback(&mut sequence, 1).expect_err("it is empty");
    assert!(ahead.to_string().contains("ahead of it"), "{ahead}");
    cache.finish(sequence, false);

    let mut full_only = self::cache(layout(1, 0, 0), 1 << 20, 0);
    let mut sequence = prefill(&mut full_only, &tokens(0, 40));
    assert_eq!(full_only.rollback(&mut sequence, 3), Ok(()));
    assert_eq!(sequence.full_pages().len(), 1);
    full_only.finish(sequence, false);
}

#[test]
fn a_step_without_room_is_refused_and_changes_nothing() {
    let mut cache = cache(layout(1, 0, 0), 6 * 1024, 0);
    let kept = prefill(&mut cache, &tokens(500, 4));
    cache.finish(kept, true);
    let mut sequence = prefill(&mut cache, &tokens(0, 12));
    let refusal = cache.reserve(&mut sequence, 16).expect_err("seven pages in all");
    assert_eq!(
        refusal.to_string(),
        "16 more tokens for a sequence of 12 need 4.0 KiB of KV cache, but running sequences hold 3.0 KiB of the budget of 6.0 KiB; \
         wait until one ends, or ask for a shorter context, fewer samples or a larger --kv-memory"
    );
    assert_eq!(cache.statistics().evictions, 0);
    assert_eq!(sequence.full_pages().len(), 3);
    // Three pages more take what the tree had kept.
    assert_eq!(cache.reserve(&mut sequence, 12), Ok(Vec::new()));
    assert_eq!(cache.statistics().evictions, 1);
    cache.finish(sequence, false);
}

#[test]
fn a_request_that_can_never_fit_is_refused_with_what_it_needs() {
    let cache = cache(layout(1, 0, 0), 10 * 1024, 0);
    assert_eq!(cache.fits(18, 6, 2), Ok(()));
    assert_eq!(cache.fits(16, 24, 1), Ok(()));
    let refusal = cache.fits(16, 24, 2).expect_err("sixteen pages");
    assert_eq!(
        refusal.to_string(),
        "a prompt of 16 tokens with 24 new tokens for each of 2 samples needs 16.0 KiB of KV cache, but the budget is 10.0 KiB; ask \
         for a shorter context, fewer samples or a larger --kv-memory"
    );
    assert!(cache.fits(usize::MAX, 1, 1).is_err());
    assert!(cache.fits(1, usize::MAX, usize::MAX).is_err());
}

/// Runs a request alone in a cache that has just what `fits` asks for; the peak is returned beside it.
fn run_request(layout: &PageLayout, slack: usize, size: (usize, usize, usize, usize)) -> (usize, usize) {
    let (prompt, new, samples, step) = size;
    let refusal = cache(layout.clone(), 0, slack).fits_in_steps(prompt, new, samples, step);
    let Err(CacheRefusal::RequestTooLarge { needed_bytes, .. }) = refusal else {
        panic!("nothing fits into nothing: {refusal:?}");
    };
    let mut cache = cache(layout.clone(), needed_bytes, slack);
    let mut peak = 0;
    // The tree is full of other things, and of this prompt's beginning.
    let left = prefill(&mut cache, &tokens(0, prompt.min(3)));
    cache.finish(left, true);
    let mut all = vec![cache.begin(&tokens(0, prompt))];
    let known = all[0].len();
    for chunk in tokens(known as u32, prompt - known).chunks(step) {
        let reserved = cache.reserve(&mut all[0], chunk.len());
        assert!(reserved.is_ok(), "{layout:?} {size:?}: {reserved:?}");
        cache.append(&mut all[0], chunk);
    }
    cache.checkpoint(&all[0]);
    for _ in 1..samples {
        let fork = cache.fork(&all[0]);
        all.push(fork);
    }
    for token in 0..new {
        for sequence in &mut all {
            let reserved = cache.reserve(sequence, (slack + 1).min(new - token));
            assert!(reserved.is_ok(), "{layout:?} {size:?}, {token}: {reserved:?}");
        }
        let live: usize = cache.pools.live_bytes();
        peak = peak.max(live);
        for sequence in &mut all {
            cache.append(sequence, &[token as u32]);
        }
    }
    for sequence in all {
        cache.finish(sequence, false);
    }
    (peak, needed_bytes)
}

#[test]
fn what_fits_is_never_refused_while_it_runs_alone() {
    for layout in [layout(1, 0, 0), layout(1, 2, 8), layout(0, 1, 5), layout(1, 1, 1)] {
        for prompt in [1, 2, 7, 8, 13, 40] {
            for new in [1, 3, 10, 40] {
                for samples in [1, 2, 5] {
                    for (step, slack) in [(1, 0), (6, 0), (64, 3)] {
                        let size = (prompt, new, samples, step);
                        let (peak, needed) = run_request(&layout, slack, size);
                        assert!(peak <= needed, "{layout:?} {size:?}");
                    }
                }
            }
        }
    }
    // Decoding decides here, and not a page more is asked for than is used at most.
    let (peak, needed) = run_request(&layout(1, 2, 8), 0, (40, 40, 5, 6));
    assert_eq!(peak, needed);
}

#[test]
fn a_page_is_reported_free_once_and_not_when_it_is_used_again() {
    let mut cache = cache(layout(1, 0, 0), 1 << 20, 0);
    let first = prefill(&mut cache, &tokens(0, 12));
    let pages = first.full_pages().to_vec();
    cache.finish(first, false);
    let second = prefill(&mut cache, &tokens(50, 4));
    assert!(pages.contains(&second.full_pages()[0]));
    let released = cache.take_released();
    let expected = pages
        .iter()
        .copied()
        .filter(|page| *page != second.full_pages()[0]);
    assert_eq!(released, [(PoolKind::Full, expected.collect())]);
    assert_eq!(cache.take_released(), []);
    cache.finish(second, false);
    assert_eq!(cache.take_released().len(), 1);
}

#[test]
fn a_reservation_whose_step_fails_can_be_taken_back() {
    let mut cache = cache(layout(1, 1, 8), 1 << 20, 0);
    let mut first = prefill(&mut cache, &tokens(0, 10));
    let second = cache.fork(&first);
    let before = (first.full_pages().to_vec(), cache.bytes_in_use());
    let copies = cache.reserve(&mut first, 9).expect("there is room");
    assert_eq!(copies.len(), 2);
    assert_eq!(cache.rollback(&mut first, 10), Ok(()));
    assert_eq!((first.full_pages().to_vec(), cache.bytes_in_use()), before);
    // Kept between a reservation and its step: what is kept are the pages that are written already.
    cache.reserve(&mut first, 1).expect("there is room");
    cache.finish(first, true);
    let third = cache.begin(&tokens(0, 11));
    assert_eq!(third.full_pages(), second.full_pages());
    cache.finish(second, false);
    cache.finish(third, false);
}

#[test]
fn what_a_pending_copy_reads_is_not_overwritten() {
    let mut cache = cache(layout(1, 0, 0), 1 << 20, 0);
    let mut first = prefill(&mut cache, &tokens(0, 10));
    let mut second = cache.fork(&first);
    assert_eq!(cache.rollback(&mut second, 9), Ok(()));
    let copies = cache.reserve(&mut first, 1).expect("there is room");
    // The copy reads two slots of the page of which the second sequence, now its last holder, would write the second.
    let more = cache.reserve(&mut second, 1).expect("there is room");
    assert_eq!(more.len(), 1);
    assert_eq!(more[0].source, copies[0].source);
    cache.finish(first, false);
    cache.finish(second, false);
    assert_eq!(cache.bytes_in_use(), 0);
}

#[test]
fn the_source_of_a_pending_copy_is_in_use_until_the_step_is_done() {
    let mut cache = cache(layout(1, 0, 0), 4 * 1024, 0);
    for from in [0, 100] {
        let kept = prefill(&mut cache, &tokens(from, 4));
        cache.finish(kept, true);
    }
    let mut sequence = cache.begin(&[0, 1, 900]);
    let copies = cache.reserve(&mut sequence, 1).expect("there is room");
    let source = copies[0].source;
    let mut other = cache.begin(&[500]);
    assert!(cache.reserve(&mut other, 12).is_err());
    assert_eq!(cache.statistics().evictions, 0);
    cache.clear();
    let released = |cache: &mut KvCache| cache.take_released().into_iter().flat_map(|(_, pages)| pages);
    assert!(!released(&mut cache).any(|page| page == source));
    cache.append(&mut sequence, &[900]);
    assert!(released(&mut cache).any(|page| page == source));
    cache.finish(sequence, false);
    cache.finish(other, false);
}

#[test]
fn checkpoints_share_pages_and_give_up_only_their_own() {
    // Checkpoints at 20 and 24 need the window pages 3 and 4, and 4 and 5.
    let mut cache = cache(layout(1, 1, 8), 10 * 1024, 0);
    let mut sequence = prefill(&mut cache, &tokens(0, 20));
    cache.checkpoint(&sequence);
    grow(&mut cache, &mut sequence, &tokens(20, 4));
    cache.finish(sequence, true);
    assert_eq!(cache.bytes_in_use(), 9 * 1024);
    let other = prefill(&mut cache, &tokens(500, 4));
    assert_eq!(cache.statistics().evictions, 1);
    assert_eq!(cache.bytes_in_use(), 10 * 1024);
    let mut again = tokens(0, 24);
    again.push(900);
    assert_eq!(hit(&mut cache, &again), 24);
    cache.finish(other, false);
}

#[test]
fn checkpoints_that_end_in_one_page_are_evicted_together() {
    let mut cache = cache(layout(1, 1, 8), 16 * 1024, 0);
    let mut sequence = prefill(&mut cache, &tokens(0, 17));
    cache.checkpoint(&sequence);
    grow(&mut cache, &mut sequence, &tokens(17, 3));
    cache.checkpoint(&sequence);
    for token in 20..40 {
        grow(&mut cache, &mut sequence, &[token]);
    }
    cache.finish(sequence, true);
    // Ten full pages; window pages 2, 3 and 4 for the early checkpoints and 8 and 9 for the last.
    assert_eq!(cache.bytes_in_use(), 15 * 1024);
    let other = prefill(&mut cache, &tokens(500, 4));
    assert_eq!(cache.statistics().evictions, 1);
    assert_eq!(cache.bytes_in_use(), (12 + 2) * 1024);
    cache.finish(other, false);
}
