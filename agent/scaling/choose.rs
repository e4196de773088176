//! Ranks candidates by what was executed, never by what a model says of them.

use crate::rollout::journal::Verdict;

/// A candidate's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Its index in what was given.
    pub index: usize,
    /// What it was judged by.
    pub verdict: Verdict,
}

/// Best first: verified, then most tests fixed and fewest broken, then the smallest patch; ties keep their order. `sizes` are changed
/// lines of the patches, in the order of the verdicts.
pub fn rank(verdicts: Vec<Verdict>, sizes: &[usize]) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = verdicts
        .into_iter()
        .enumerate()
        .map(|(index, verdict)| Ranked { index, verdict })
        .collect();
    ranked.sort_by_key(|place| {
        let changes = &place.verdict.changes;
        let broken = changes.broken.len() + changes.vanished.len();
        (
            place.verdict.refused.is_some(),
            !place.verdict.verified,
            std::cmp::Reverse(changes.fixed.len() as i64 - broken as i64),
            sizes.get(place.index).copied().unwrap_or(usize::MAX),
        )
    });
    ranked
}
