//! Whether candidates that are still to be made can change which behaviour comes first, or hardly can.
//!
//! All of them are taken to do the same: what some candidate did so far, or to pass any choice of the tests that tell of the issue. Tests
//! with the same outcomes so far are one there, so that there are few choices.

use std::collections::BTreeSet;

use super::evidence::{CandidateEvidence, Cell, Cells, Evidence, TestColumn};
use super::weights::Weights;
use super::{Rule, order};

/// Of more groups of tests than these not every choice is tried, but what the first behaviour does and one group more or less.
const MOST_GROUPS: usize = 6;

/// A spotless candidate that is right with so much probability is not waited for to be bettered. With less than this, runs on the tuning half of
/// the bench (`benches/ranking`) chose worse.
const SURE: f64 = 0.95;

/// The candidate that is first, where it is needless to make `to_come` further ones: whatever they do, the behaviour that is first stays first, with a
/// candidate that is right with a probability of at least `least`, from 0 to 1; or the first is all but surely right.
pub(in crate::scaling) fn settled(
    evidence: &Evidence,
    to_come: usize,
    least: f64,
    weights: &Weights,
) -> Option<usize> {
    let places = order(evidence, Rule::Weighed, weights);
    let first = places.first().filter(|place| evidence.is_tried(place.index))?;
    let leader = evidence.outcomes(first.index);
    let spotless = |candidate: &CandidateEvidence| candidate.signs.is_empty() && !candidate.only_tests;
    let is_spotless = evidence.candidates.get(first.index).is_some_and(spotless);
    if is_spotless && first.confidence.unwrap_or(0.0) >= least.max(SURE) {
        return Some(first.index);
    }
    let stays = |evidence: &Evidence| {
        let places = order(evidence, Rule::Weighed, weights);
        places.first().is_some_and(|place| {
            evidence.outcomes(place.index) == leader && place.confidence.unwrap_or(0.0) >= least
        })
    };
    let others = seen(evidence).chain(imagined(evidence, &leader));
    let mut rivals = others.filter(|(_, cells)| *cells != leader);
    let is_settled =
        stays(evidence) && (to_come == 0 || rivals.all(|rival| stays(&with(evidence, &rival, to_come))));
    is_settled.then_some(first.index)
}

/// A candidate, and what becomes of the tests with it.
type Rival = (CandidateEvidence, Vec<Cell>);

/// What candidates did so far.
fn seen(evidence: &Evidence) -> impl Iterator<Item = Rival> + '_ {
    let candidates = evidence.candidates.iter().enumerate();
    let tried = candidates.filter(|(index, _)| evidence.is_tried(*index));
    tried.map(|(index, candidate)| (candidate.clone(), evidence.outcomes(index)))
}

/// What spotless candidates could do that break nothing.
fn imagined<'a>(evidence: &'a Evidence, leader: &'a [Cell]) -> impl Iterator<Item = Rival> + 'a {
    let groups: BTreeSet<&Cells> = evidence
        .tests
        .iter()
        .filter(|test| test.source.tells())
        .map(|test| &test.cells)
        .collect();
    let groups: Vec<&Cells> = groups.into_iter().collect();
    let first: Vec<bool> = groups
        .iter()
        .map(|cells| {
            let at = evidence.tests.iter().position(|test| test.cells == **cells);
            at.and_then(|at| leader.get(at)) == Some(&Cell::Passed)
        })
        .collect();
    choices(&first).into_iter().map(move |passes| {
        let cell = |passed: bool| if passed { Cell::Passed } else { Cell::Failed };
        let of = |test: &TestColumn| {
            let group = groups.iter().position(|cells| **cells == test.cells);
            let passed = group.and_then(|group| passes.get(group).copied());
            cell(!test.source.tells() || passed.unwrap_or(true))
        };
        let candidate = CandidateEvidence {
            // No form of a real patch.
            form: "(to come)".to_owned(),
            lines: 1,
            ..CandidateEvidence::default()
        };
        (candidate, evidence.tests.iter().map(of).collect())
    })
}

/// Which groups may be passed, beside those that are passed by the first behaviour.
fn choices(first: &[bool]) -> Vec<Vec<bool>> {
    let count = first.len();
    if count <= MOST_GROUPS {
        let bit = |choice: usize, group: usize| choice >> group & 1 == 1;
        let choice = |choice: usize| (0..count).map(|group| bit(choice, group)).collect();
        return (0..1 << count).map(choice).collect();
    }
    let flipped = |at: usize| {
        let groups = first.iter().enumerate();
        groups.map(|(group, passed)| *passed != (group == at)).collect()
    };
    let mut all: Vec<Vec<bool>> = (0..count).map(flipped).collect();
    all.push(vec![true; count]);
    all
}

/// The evidence with so many more of a candidate.
fn with(evidence: &Evidence, (candidate, cells): &Rival, count: usize) -> Evidence {
    let mut evidence = evidence.clone();
    for (test, cell) in evidence.tests.iter_mut().zip(cells) {
        test.cells.0.extend(std::iter::repeat_n(*cell, count));
    }
    let more = std::iter::repeat_n(candidate.clone(), count);
    evidence.candidates.extend(more);
    evidence
}
