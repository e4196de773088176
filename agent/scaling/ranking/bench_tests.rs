//! What our rule chooses among the stored evidence of real bugs (`benches/ranking`): no change of it may fall behind the published rule.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Entry {
    half: String,
    right: Vec<bool>,
    evidence: Evidence,
}

fn entries(half: &str) -> Vec<Entry> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/ranking/evidence.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let entries = text
        .lines()
        .map(|line| serde_json::from_str::<Entry>(line).unwrap());
    entries.filter(|entry| entry.half == half).collect()
}

/// The evidence without the visible test.
fn blind(mut evidence: Evidence) -> Evidence {
    evidence.tests.retain(|test| test.source == TestSource::Written);
    evidence.passed_before = 0;
    for candidate in &mut evidence.candidates {
        candidate.verified = false;
    }
    evidence
}

/// How many of the bugs a rule chooses a right patch for, among every pair of patches or among all eight.
fn right(entries: &[Entry], rule: Rule, pairs: bool, visible: bool) -> f64 {
    let mut sum = 0.0;
    for entry in entries {
        let evidence = if visible {
            entry.evidence.clone()
        } else {
            blind(entry.evidence.clone())
        };
        let count = entry.right.len();
        let mut sets: Vec<Vec<usize>> = vec![(0..count).collect()];
        if pairs {
            let second = |one: usize| (one + 1..count).map(move |other| vec![one, other]);
            sets = (0..count).flat_map(second).collect();
        }
        let chosen = sets.iter().filter(|set| {
            let first = order(&evidence.of_some(set), rule, &Weights::default())[0].index;
            entry.right[set[first]]
        });
        sum += chosen.count() as f64 / sets.len() as f64;
    }
    sum
}

#[test]
fn ours_is_never_below_the_published_rule_and_closes_most_of_the_gap() {
    for half in ["tuning", "report"] {
        let entries = entries(half);
        assert!(entries.len() >= 25, "{half}");
        let random: f64 = entries
            .iter()
            .map(|entry| entry.right.iter().filter(|right| **right).count() as f64 / entry.right.len() as f64)
            .sum();
        let any = entries.iter().filter(|entry| entry.right.contains(&true)).count() as f64;
        for (visible, least) in [(true, 0.75), (false, 0.5)] {
            for pairs in [true, false] {
                let ours = right(&entries, Rule::Weighed, pairs, visible);
                let published = right(&entries, Rule::Published, pairs, visible);
                assert!(
                    ours >= published,
                    "{half}, pairs {pairs}, visible {visible}: {ours} {published}"
                );
                if !pairs {
                    let closed = (ours - random) / (any - random);
                    assert!(closed >= least, "{half}, visible {visible}: {closed}");
                }
            }
        }
    }
}

/// What a run that ends when its winner is settled comes to: how many of eight patches it makes on average, and how many bugs it chooses
/// right, beside runs that make all. Nothing else comes first in a run that makes all than what was settled.
#[test]
fn what_is_settled_would_have_come_first_among_all() {
    let weights = Weights::default();
    let (mut made, mut all, mut right_early, mut right_late) = (0, 0, 0, 0);
    for entry in entries("tuning").into_iter().chain(entries("report")) {
        let evidence = blind(entry.evidence);
        let count = entry.right.len();
        let row = |index: usize| evidence.outcomes(index);
        let last = order(&evidence, Rule::Weighed, &weights)[0].index;
        let enough = (1..=count).find(|made| {
            let some = evidence.of_some(&(0..*made).collect::<Vec<_>>());
            settled(&some, count - made, 0.8, &weights).is_some()
        });
        let ended = enough.unwrap_or(count);
        let some = evidence.of_some(&(0..ended).collect::<Vec<_>>());
        let first = order(&some, Rule::Weighed, &weights)[0].index;
        if enough.is_some() {
            assert_eq!(row(first), row(last), "after {ended} of {count}");
        }
        (made, all) = (made + ended, all + count);
        right_early += usize::from(entry.right[first]);
        right_late += usize::from(entry.right[last]);
    }
    println!("{made} of {all} patches made; {right_early} right, {right_late} with all");
    assert!(made < all);
    assert_eq!(right_early, right_late);
}
