//! Our own rule: how probable is each behaviour the right one?
//!
//! Right patches behave alike, and wrong ones are wrong in many ways; a test that was written for the issue may itself ask for the wrong
//! thing. So candidates with the same outcomes are one behaviour, each behaviour may be the right one, or none is, and how far a written
//! test can be trusted follows from who passes it: tests and behaviours that agree support each other (as in CodeT, Chen and others 2022),
//! which is reckoned in turns until it stands still. Tests of the same outcomes are one idea, however often it was written. What breaks
//! tests that passed before is suspicious, the less so the more of the other behaviours break them too: a right change may contradict an old test.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{CandidateEvidence, Cell, Cells, Evidence, Sign, TestColumn, TestSource};
use super::published::same_form;
use super::weights::Weights;
use super::{Place, reasons};

/// How often behaviours and tests are weighed against each other; far fewer times suffice.
const TURNS: usize = 30;
/// A right patch passes a test that asks for the right thing, and one that does not, with these probabilities.
const RIGHT_PASSES_VALID: f64 = 0.97;
const RIGHT_PASSES_INVALID: f64 = 0.15;

/// The candidates by how probable it is that they are right.
pub(super) fn weighed(evidence: &Evidence, weights: &Weights) -> Weighed {
    let same = same_form(evidence);
    let behaviours = behaviours(evidence);
    let alike = agreeing(evidence, &behaviours, &same);
    let ideas = ideas(evidence, weights);
    let fixed: Vec<f64> = evidence
        .candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let frequency = weights.same * ln(at(&same, index)) + weights.alike * ln(at(&alike, index));
            frequency + failing(evidence, index, weights)
                - weights.passing * broken(evidence, index, &behaviours)
                - signs(candidate, weights)
        })
        .collect();
    let scores = agreed(&fixed, &ideas, &behaviours, evidence, weights);
    let confidences = confidences(&scores, &behaviours, evidence, weights);
    let mut places: Vec<Place> = (0..evidence.candidates.len())
        .map(|index| Place {
            index,
            confidence: Some(at(&confidences, index)),
            same: at(&same, index),
            alike: at(&alike, index),
            reasons: reasons::of(evidence, index, at(&same, index)),
        })
        .collect();
    let keys: Vec<Key> = (0..evidence.candidates.len())
        .map(|index| key(evidence, index, at(&scores, index), at(&same, index)))
        .collect();
    places.sort_by_key(|place| (keys.get(place.index).copied(), place.index));
    let first = places.first().and_then(|place| keys.get(place.index));
    let tied = places
        .iter()
        .take_while(|place| keys.get(place.index) == first)
        .map(|place| place.index)
        .collect();
    Weighed { places, tied }
}

/// The candidates in their order, and those that only their being made first puts before others, the first one included.
pub(super) struct Weighed {
    pub(super) places: Vec<Place>,
    pub(super) tied: Vec<usize>,
}

/// By what candidates are put in order: tier, score, signs, lines, how often they were made, the model's opinion.
type Key = (u8, Reverse<i64>, usize, usize, Reverse<usize>, Reverse<usize>);

fn key(evidence: &Evidence, index: usize, score: f64, same: usize) -> Key {
    let candidate = evidence.candidates.get(index);
    let count = |of: fn(&CandidateEvidence) -> usize| candidate.map_or(0, of);
    (
        candidate.map_or(3, tier),
        // Whole thousandths, so that sums in another order are no other result.
        Reverse((score * 1000.0).round() as i64),
        count(|candidate| candidate.signs.len()),
        count(|candidate| candidate.lines),
        Reverse(same),
        Reverse(count(|candidate| candidate.preferred)),
    )
}

/// What no weight outweighs: what cannot be tried is last, what only changes tests before it, what is verified first.
fn tier(candidate: &CandidateEvidence) -> u8 {
    match candidate {
        CandidateEvidence { refused: Some(_), .. } => 3,
        CandidateEvidence { only_tests: true, .. } => 2,
        CandidateEvidence { verified: true, .. } => 0,
        _ => 1,
    }
}

fn at<T: Copy + Default>(values: &[T], index: usize) -> T {
    values.get(index).copied().unwrap_or_default()
}

fn ln(count: usize) -> f64 {
    (count.max(1) as f64).ln()
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// A number for each candidate that is the same for those with the same outcomes. Where no test tells of the issue, the code decides.
fn behaviours(evidence: &Evidence) -> Vec<usize> {
    let telling = evidence.tests.iter().any(|test| test.source.tells());
    let mut known: BTreeMap<(Vec<Cell>, &str), usize> = BTreeMap::new();
    let mut numbers = Vec::new();
    for (index, candidate) in evidence.candidates.iter().enumerate() {
        let outcomes = evidence.outcomes(index);
        let form = if telling && candidate.refused.is_none() {
            ""
        } else {
            candidate.form.as_str()
        };
        let next = known.len();
        numbers.push(*known.entry((outcomes, form)).or_insert(next));
    }
    numbers
}

/// How many candidates agree with each. To fail everything alike is no agreement: then only those count that come to the same code.
fn agreeing(evidence: &Evidence, behaviours: &[usize], same: &[usize]) -> Vec<usize> {
    let passes_one = |index: usize| {
        let mut telling = evidence.tests.iter().filter(|test| test.source.tells());
        telling.any(|test| test.cells.of(index) == Cell::Passed)
    };
    let size = |number: &usize| behaviours.iter().filter(|other| *other == number).count();
    let agreeing = |(index, number): (usize, &usize)| {
        if passes_one(index) {
            size(number)
        } else {
            at(same, index)
        }
    };
    behaviours.iter().enumerate().map(agreeing).collect()
}

/// Between all of the failing tests passed and none, in proportion.
fn failing(evidence: &Evidence, index: usize, weights: &Weights) -> f64 {
    let tests: Vec<&TestColumn> = evidence.columns(TestSource::Failing).collect();
    let passed = tests
        .iter()
        .filter(|test| test.cells.of(index) == Cell::Passed)
        .count();
    weights.failing * share(passed, tests.len())
}

/// How much it tells that tests are broken: from 0 to 1 by how few of the other behaviours break the one that speaks most against it, and
/// a little more for every further one.
fn broken(evidence: &Evidence, index: usize, behaviours: &[usize]) -> f64 {
    let own = at(behaviours, index);
    let others: BTreeMap<usize, usize> = behaviours
        .iter()
        .enumerate()
        .filter(|(other, number)| **number != own && evidence.is_tried(*other))
        .map(|(other, number)| (*number, other))
        .collect();
    let (mut worst, mut all) = (0.0_f64, 0.0);
    for test in evidence.columns(TestSource::Passing) {
        if test.cells.of(index) != Cell::Failed {
            continue;
        }
        let too = others
            .values()
            .filter(|other| test.cells.of(**other) == Cell::Failed);
        let telling = 1.0 - share(too.count(), others.len());
        worst = worst.max(telling);
        all += telling;
    }
    worst + 0.25 * (1.0 + all - worst).ln()
}

fn signs(candidate: &CandidateEvidence, weights: &Weights) -> f64 {
    let once: BTreeSet<Sign> = candidate.signs.iter().copied().collect();
    once.into_iter().map(|sign| weights.of_sign(sign)).sum()
}

/// Written tests of the same outcomes: one idea.
struct Idea<'a> {
    cells: &'a Cells,
    /// How many different tests it was put in.
    tests: usize,
    /// How probable it is that it asks for the right thing, by how often it was written and what else was written of the same.
    prior: f64,
    /// How probable it is that a wrong patch passes.
    wrong_passes: f64,
}

/// The ideas that some candidate passes: what nobody does tells nobody from the others.
fn ideas<'a>(evidence: &'a Evidence, weights: &Weights) -> Vec<Idea<'a>> {
    let mut known: BTreeMap<&Cells, Vec<&TestColumn>> = BTreeMap::new();
    for test in evidence.columns(TestSource::Written) {
        if test.cells.0.contains(&Cell::Passed) {
            known.entry(&test.cells).or_default().push(test);
        }
    }
    let idea = |(cells, tests): (&'a Cells, Vec<&TestColumn>)| Idea {
        cells,
        tests: tests.len(),
        prior: prior(&tests, evidence, weights),
        wrong_passes: if tests.iter().all(|test| is_script(test)) {
            weights.wrong_passes_script
        } else {
            weights.wrong_passes
        },
    };
    known.into_iter().map(idea).collect()
}

/// How probable it is that tests of one idea ask for the right thing, before anything is seen of them but what was written. Assertions count by
/// the one that most samples wrote, scripts, of which no two are the same, by their number.
fn prior(tests: &[&TestColumn], evidence: &Evidence, weights: &Weights) -> f64 {
    let (scripts, assertions): (Vec<&TestColumn>, Vec<&TestColumn>) =
        tests.iter().partition(|test| is_script(test));
    let votes = |tests: &[&TestColumn]| -> usize { tests.iter().map(|test| test.votes.max(1)).sum() };
    let alone = if scripts.iter().any(|test| test.given) {
        weights.given
    } else {
        weights.script
    };
    let script = match votes(&scripts) {
        0 => 0.0,
        votes => raised(alone, votes as f64),
    };
    let assertion = |test: &&TestColumn| {
        // Of tests that look at the same thing and want different things at most one is right.
        let of_the_same: Vec<&TestColumn> = evidence
            .columns(TestSource::Written)
            .filter(|other| other.asks == test.asks)
            .collect();
        let alone = raised(weights.validity, (test.votes.max(1) as f64).powf(weights.votes));
        alone * share(test.votes.max(1), votes(&of_the_same))
    };
    assertions.iter().map(assertion).fold(script, f64::max)
}

/// Whether a test is more than a single assertion.
fn is_script(test: &TestColumn) -> bool {
    test.asks.is_empty()
}

/// A probability whose odds are multiplied.
fn raised(probability: f64, times: f64) -> f64 {
    let odds = probability / (1.0 - probability) * times;
    odds / (1.0 + odds)
}

/// The candidates' scores with what written tests say, each trusted as far as those who pass it deserve.
fn agreed(
    fixed: &[f64],
    ideas: &[Idea<'_>],
    behaviours: &[usize],
    evidence: &Evidence,
    weights: &Weights,
) -> Vec<f64> {
    let mut validity: Vec<f64> = ideas.iter().map(|idea| idea.prior).collect();
    let mut scores = fixed.to_vec();
    for _ in 0..TURNS {
        for (index, score) in scores.iter_mut().enumerate() {
            let said = ideas.iter().zip(&validity);
            *score = at(fixed, index)
                + said
                    .map(|(idea, validity)| told(idea, index, *validity, weights))
                    .sum::<f64>();
        }
        let shares = probabilities(&scores, behaviours, evidence, weights);
        for (idea, validity) in ideas.iter().zip(&mut validity) {
            let (mut passed, mut known) = (0.0, 0.0);
            for (index, share) in shares.values() {
                match idea.cells.of(*index) {
                    Cell::Passed => (passed, known) = (passed + share, known + share),
                    Cell::Failed => known += share,
                    Cell::Unknown => {}
                }
            }
            let strength = weights.validity_strength;
            *validity = (strength * idea.prior + passed) / (strength + known);
        }
    }
    scores
}

/// What an idea's outcome with a candidate says for its being right, in log-odds. Passing never speaks against it.
fn told(idea: &Idea<'_>, index: usize, validity: f64, weights: &Weights) -> f64 {
    let right = validity * RIGHT_PASSES_VALID + (1.0 - validity) * RIGHT_PASSES_INVALID;
    let wrong = idea.wrong_passes.min(right);
    let often = (idea.tests as f64).powf(weights.repetition);
    match idea.cells.of(index) {
        Cell::Passed => often * (right / wrong).ln(),
        Cell::Failed => often * ((1.0 - right) / (1.0 - wrong)).ln(),
        Cell::Unknown => 0.0,
    }
}

/// For each behaviour the candidate that stands for it, the best, and how probable it is; what is missing to 1 is that none is right.
fn probabilities(
    scores: &[f64],
    behaviours: &[usize],
    evidence: &Evidence,
    weights: &Weights,
) -> BTreeMap<usize, (usize, f64)> {
    let mut best: BTreeMap<usize, (usize, f64)> = BTreeMap::new();
    for (index, score) in scores.iter().enumerate() {
        if !evidence.is_tried(index) {
            continue;
        }
        let entry = best.entry(at(behaviours, index)).or_insert((index, *score));
        if *score > entry.1 {
            *entry = (index, *score);
        }
    }
    let most = best
        .values()
        .map(|(_, score)| *score)
        .fold(weights.none, f64::max);
    let total: f64 =
        best.values().map(|(_, score)| (score - most).exp()).sum::<f64>() + (weights.none - most).exp();
    for (_, score) in best.values_mut() {
        *score = (*score - most).exp() / total;
    }
    best
}

/// How probable it is that each candidate is right: its behaviour's probability, less for those that stand behind the best of it.
fn confidences(scores: &[f64], behaviours: &[usize], evidence: &Evidence, weights: &Weights) -> Vec<f64> {
    let shares = probabilities(scores, behaviours, evidence, weights);
    let confidence = |index: usize| {
        let (best, share) = shares.get(&at(behaviours, index)).copied()?;
        let behind = (at(scores, index) - at(scores, best)).exp();
        let probability = (share * behind).clamp(1e-6, 1.0 - 1e-6);
        let odds = (probability / (1.0 - probability)).ln() * weights.sharpness + weights.shift;
        evidence.is_tried(index).then(|| 1.0 / (1.0 + (-odds).exp()))
    };
    (0..scores.len())
        .map(|index| confidence(index).unwrap_or(0.0))
        .collect()
}
