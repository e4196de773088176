//! The rules that others choose by: the most frequent patch, and that of CWM's published results.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::evidence::{Cell, Evidence, TestColumn, TestSource};
use super::{Place, reasons};

/// So many of the most frequent written tests count.
const TOP_TESTS: usize = 5;

/// How many candidates come to the same code, for each.
pub(super) fn same_form(evidence: &Evidence) -> Vec<usize> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in &evidence.candidates {
        *sizes.entry(&candidate.form).or_default() += 1;
    }
    let size = |form: &str| sizes.get(form).copied().unwrap_or(1);
    evidence
        .candidates
        .iter()
        .map(|candidate| size(&candidate.form))
        .collect()
}

/// Most frequent first, then in the order in which they were made.
pub(super) fn by_majority(evidence: &Evidence) -> Vec<Place> {
    let same = same_form(evidence);
    placed(evidence, &same, |index| {
        Reverse(same.get(index).copied().unwrap_or(1))
    })
}

/// Every test of the repository and each of the five most frequent written ones counts the same; ties go to the most frequent patch, then
/// to the one with the fewest tokens.
pub(super) fn as_published(evidence: &Evidence) -> Vec<Place> {
    let same = same_form(evidence);
    let mut written: Vec<&TestColumn> = evidence.columns(TestSource::Written).collect();
    written.sort_by_key(|test| Reverse(test.votes));
    written.truncate(TOP_TESTS);
    let of_the_repository = evidence
        .tests
        .iter()
        .filter(|test| test.source != TestSource::Written);
    let counted: Vec<&TestColumn> = of_the_repository.chain(written).collect();
    placed(evidence, &same, |index| {
        let passed = counted.iter().filter(|test| test.cells.of(index) == Cell::Passed);
        let tokens = evidence
            .candidates
            .get(index)
            .map_or(0, |candidate| candidate.tokens);
        (
            Reverse(passed.count()),
            Reverse(same.get(index).copied().unwrap_or(1)),
            tokens,
        )
    })
}

/// The candidates by a key, those that could not be tried last.
fn placed<K: Ord>(evidence: &Evidence, same: &[usize], key: impl Fn(usize) -> K) -> Vec<Place> {
    let mut order: Vec<usize> = (0..evidence.candidates.len()).collect();
    order.sort_by_key(|index| (!evidence.is_tried(*index), key(*index), *index));
    order
        .into_iter()
        .map(|index| Place {
            index,
            confidence: None,
            same: same.get(index).copied().unwrap_or(1),
            alike: same.get(index).copied().unwrap_or(1),
            reasons: reasons::of(evidence, index, same.get(index).copied().unwrap_or(1)),
        })
        .collect()
}
