//! Which sequences of a step have their first pages in common.

use crate::backend::{SequenceStep, SharedPrefix};

/// Groups sequences by the pages of the full pool that their tables begin with, so that as many reads of pages as possible are
/// saved: the group that saves most first, then among the others. A sequence is in one group at most. Pages are compared by their
/// ids, so forks count as well as requests that hit the same cached prefix. Only pages that lie before all new tokens are shared.
pub(super) fn shared_prefixes(steps: &[SequenceStep], page_tokens: usize) -> Vec<SharedPrefix> {
    let mut order: Vec<usize> = (0..steps.len())
        .filter(|index| steps[*index].first_position >= page_tokens)
        .collect();
    order
        .sort_by(|a, b| finished_pages(&steps[*a], page_tokens).cmp(finished_pages(&steps[*b], page_tokens)));
    let mut groups = Vec::new();
    while let Some((first, last, pages)) = best_run(&order, steps, page_tokens) {
        let mut members: Vec<usize> = order.drain(first..=last).collect();
        members.sort_unstable();
        groups.push(SharedPrefix {
            members,
            full_pages: pages,
        });
    }
    groups
}

/// The pages that no token of the step is written to.
fn finished_pages(step: &SequenceStep, page_tokens: usize) -> &[crate::cache::PageId] {
    let pages = (step.first_position / page_tokens).min(step.full_pages.len());
    &step.full_pages[..pages]
}

/// The neighbours in `order` that save most: from, to, and how many pages all of them share.
fn best_run(order: &[usize], steps: &[SequenceStep], page_tokens: usize) -> Option<(usize, usize, usize)> {
    let common: Vec<usize> = order
        .windows(2)
        .map(|pair| {
            let [left, right] = [pair[0], pair[1]].map(|index| finished_pages(&steps[index], page_tokens));
            left.iter().zip(right).take_while(|(a, b)| a == b).count()
        })
        .collect();
    let mut best = None;
    let mut most = 0;
    for first in 0..common.len() {
        let mut pages = usize::MAX;
        for (last, shared) in common.iter().enumerate().skip(first) {
            pages = pages.min(*shared);
            let saved = pages * (last + 1 - first);
            if saved > most {
                most = saved;
                best = Some((first, last + 1, pages));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::TokenSource;
    use crate::cache::{PageId, WindowTable};

    fn step(first_position: usize, pages: &[u32]) -> SequenceStep {
        SequenceStep {
            sequence: 0,
            first_position,
            tokens: vec![TokenSource::Known(0)],
            full_pages: pages.iter().map(|page| PageId(*page)).collect(),
            window_pages: WindowTable::default(),
        }
    }

    #[test]
    fn sequences_are_grouped_where_most_is_saved() {
        let steps = [
            step(70, &[1, 2, 3, 4, 10]),
            step(20, &[1, 20]),
            step(66, &[1, 2, 3, 4, 11]),
            step(40, &[7, 8, 9]),
            step(65, &[1, 2, 3, 4, 12]),
            step(35, &[7, 8, 13]),
        ];
        let groups = shared_prefixes(&steps, 16);
        let expected = [(vec![0, 2, 4], 4), (vec![3, 5], 2)];
        let found: Vec<(Vec<usize>, usize)> = groups
            .into_iter()
            .map(|group| (group.members, group.full_pages))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn pages_that_are_written_are_not_shared() {
        // Both tables hold page 2, but the first sequence still writes to it.
        let steps = [step(31, &[1, 2]), step(32, &[1, 2, 3]), step(5, &[1])];
        let groups = shared_prefixes(&steps, 16);
        assert_eq!(groups.len(), 1);
        assert_eq!(
            (groups[0].members.as_slice(), groups[0].full_pages),
            ([0, 1].as_slice(), 1)
        );
    }
}
