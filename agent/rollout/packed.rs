//! What an attempt reads of the repository before it begins: the same for all attempts of a run, so that only the first one looks for it,
//! and they share it in their prompts.

use super::one_shot::failing_output;
use super::tokens::TokenCounter;
use super::types::{Problem, RolloutError};
use crate::context::{PackOptions, RankRequest, Ranking};

/// The repository's files in order of how much they matter.
pub(super) fn ranking(problem: &Problem) -> Result<&Ranking, RolloutError> {
    if let Some(found) = problem.ranking.get() {
        return Ok(found);
    }
    let mut told = vec![failing_output(problem, &problem.baseline)];
    // A command may name the tests' files.
    told.extend(problem.tests.iter().map(|test| test.command.clone()));
    let found = Ranking::of(&RankRequest {
        tree: &problem.tree,
        root: &problem.root,
        issue: &problem.issue,
        failures: &told,
        caches: problem.caches.as_deref(),
    })?;
    Ok(problem.ranking.get_or_init(|| found))
}

/// A map of the repository and the parts that matter most, in so many tokens; the issue itself is left out.
pub(super) fn pack<'a>(
    problem: &'a Problem,
    tokens: usize,
    fingerprint: Option<&str>,
    counter: &TokenCounter<'_>,
) -> Result<&'a str, RolloutError> {
    if let Some(packed) = problem.pack.get() {
        return Ok(packed);
    }
    let packed = ranking(problem)?.pack(&PackOptions {
        budget: tokens,
        issue: None,
        vocabulary: fingerprint,
        count: &|text| counter.text(text),
    });
    Ok(problem.pack.get_or_init(|| packed.text))
}
