//! Ranks candidates by what was executed, never by what a model says of them.
//!
//! The order, best first; each rule speaks where all before it are silent:
//! 1. those that could be tried come before those that could not (empty, not applying);
//! 2. verified ones come first, and those that change nothing but tests last: they may say whatever they like of themselves;
//! 3. the more failing tests it fixes the better, and each test that it breaks or makes vanish, or that was not there before and fails,
//!    weighs as much as two fixed; with equal weights the one that breaks fewer is better;
//! 4. the fewer reasons for doubt the better: tests deleted or weakened, files that say how tests are run, commands that did not run to
//!    their end;
//! 5. the fewer lines it changes outside of tests the better;
//! 6. what more candidates came to independently is better; the same change twice is recognised whatever its context and places;
//! 7. what was given first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::measure::Measure;
use crate::rollout::journal::Verdict;
use crate::suite::RunEnding;

/// What a broken test weighs against one that is fixed: a patch that breaks one is worse than one that does not fix it.
const BROKEN_WEIGHT: i64 = 2;

/// A candidate's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Its index in what was given.
    pub index: usize,
    /// What it was judged by.
    pub verdict: Verdict,
    /// How many of the candidates change the same, this one included.
    pub same: usize,
}

/// Puts candidates in order, best first, by the rules of this module. `measures` are those of the patches, in the order of the verdicts.
pub fn rank(verdicts: Vec<Verdict>, measures: &[Measure]) -> Vec<Ranked> {
    let nothing = Measure::default();
    let measure = |index: usize| measures.get(index).unwrap_or(&nothing);
    // Of each change: who came to it first, and how many did.
    let mut groups: BTreeMap<&[u8], (usize, usize)> = BTreeMap::new();
    for index in 0..verdicts.len() {
        groups
            .entry(measure(index).content.as_slice())
            .and_modify(|(_, count)| *count += 1)
            .or_insert((index, 1));
    }
    let mut places: Vec<_> = verdicts
        .into_iter()
        .enumerate()
        .map(|(index, verdict)| {
            let measure = measure(index);
            let (first, same) = groups
                .get(measure.content.as_slice())
                .copied()
                .unwrap_or((index, 1));
            let merit = (
                verdict.refused.is_some(),
                !verdict.verified,
                measure.only_tests,
                (Reverse(score(&verdict)), broken(&verdict)),
                doubts(&verdict, measure),
                measure.lines,
            );
            (
                (merit, Reverse(same), first, index),
                Ranked { index, verdict, same },
            )
        })
        .collect();
    places.sort_by_key(|(key, _)| *key);
    places.into_iter().map(|(_, ranked)| ranked).collect()
}

/// Tests fixed, less those broken at their weight.
fn score(verdict: &Verdict) -> i64 {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let lost = count(broken(verdict)).saturating_mul(BROKEN_WEIGHT);
    count(verdict.changes.fixed.len()).saturating_sub(lost)
}

/// Tests that passed before and do not pass with it, and those that are new and fail: a run that names only failures does not tell which.
fn broken(verdict: &Verdict) -> usize {
    let changes = &verdict.changes;
    changes.broken.len() + changes.vanished.len() + changes.new_failing.len()
}

fn doubts(verdict: &Verdict, measure: &Measure) -> usize {
    let unended = verdict.runs.iter().filter(|run| run.ending != RunEnding::Ran);
    measure.deleted_tests.len() + measure.weakened_tests.len() + measure.settings.len() + unended.count()
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
