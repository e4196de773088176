//! The report of a run as one page that a browser shows without a network: candidates side by side, the matrix of tests, why the winner won,
//! what was not tested, and what each attempt did.
//!
//! The page is a fixed text with the run's data as JSON in it. Its script only ever sets texts, so that nothing of a repository, an issue or a
//! model becomes markup.

mod story;

use std::collections::BTreeMap;

use cwm_tools::truncate::{beginning, display_text};
use serde::Serialize;

use crate::cli::view::words::{several, time};
use crate::rollout::journal::{Record, RunRecord};
use crate::scaling::{Cell, Decision, Outcome, Proof, TestSource};

/// The page; `{{DATA}}` stands for the data.
const PAGE: &str = include_str!("page.html");
/// Bytes of all patches, and of all trajectories, that a page shows: it is to stay below a megabyte.
const PATCH_BYTES: usize = 256 << 10;
const STORY_BYTES: usize = 320 << 10;
/// Tests that the matrix shows, and bytes of a script.
const MOST_TESTS: usize = 200;
const MOST_SCRIPT: usize = 2000;
/// Bytes of the issue.
const MOST_ISSUE: usize = 16 << 10;

/// What a page is made of.
pub(crate) struct Story<'a> {
    pub(crate) run: &'a RunRecord,
    pub(crate) outcome: &'a Outcome,
    /// The tests that failed before anything was changed.
    pub(crate) failing_before: &'a [String],
    /// Everything that the journal holds.
    pub(crate) records: &'a [Record],
}

#[derive(Serialize)]
struct Data<'a> {
    outcome: String,
    verified: bool,
    why: String,
    facts: String,
    issue: &'a str,
    untested: Vec<String>,
    candidates: Vec<Candidate<'a>>,
    tests: Vec<Test<'a>>,
    stories: BTreeMap<&'a str, Vec<story::Step>>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    place: usize,
    name: &'a str,
    confidence: Option<f64>,
    facts: String,
    reasons: &'a [String],
    remarks: &'a [String],
    patch: String,
}

#[derive(Serialize)]
struct Test<'a> {
    name: &'a str,
    source: &'static str,
    votes: usize,
    cells: String,
    script: Option<&'a str>,
}

/// The page.
pub(crate) fn page(story: &Story<'_>) -> serde_json::Result<String> {
    let decision = &story.outcome.decision;
    let (outcome, why) = outcome(story);
    let run = story.run;
    let data = Data {
        outcome,
        verified: story.outcome.verified(),
        why,
        facts: format!(
            "Run {} on {}, with {}, {} at most, seed {}; {}.",
            run.id,
            run.repository,
            run.model.name,
            several(run.samples, "attempt"),
            run.seed,
            time(story.outcome.seconds)
        ),
        issue: beginning(&run.issue, MOST_ISSUE),
        untested: untested(story),
        candidates: candidates(story.outcome),
        tests: tests(decision),
        stories: story::stories(story.records, STORY_BYTES),
    };
    // Within a script element nothing may look like markup.
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    Ok(PAGE.replacen("{{DATA}}", &json, 1))
}

/// The outcome in a sentence, and what shows it.
fn outcome(story: &Story<'_>) -> (String, String) {
    let outcome = story.outcome;
    let Some(best) = outcome.best() else {
        return (
            "No patch".to_owned(),
            "No attempt yielded a patch that can be applied.".to_owned(),
        );
    };
    let name = &best.candidate.attempt;
    let reasons = outcome
        .decision
        .places
        .first()
        .map(|place| place.reasons.join("; "))
        .unwrap_or_default();
    match outcome.proof() {
        Some(Proof::OwnTests) => (
            format!("Verified: {name}"),
            format!("What failed before passes, and nothing is broken. It {reasons}."),
        ),
        Some(Proof::WrittenTests {
            passed,
            of,
            confidence,
        }) => (
            format!("Verified by tests written for the issue: {name}"),
            format!(
                "It passes {passed} of {of} such tests; of patches with this evidence about {:.0} in 100 are right. It {reasons}.",
                confidence * 100.0
            ),
        ),
        None => (
            format!("Not verified; the best is {name}"),
            format!("The evidence is too thin to vouch for it. It {reasons}."),
        ),
    }
}

/// What nothing that was run can have shown.
fn untested(story: &Story<'_>) -> Vec<String> {
    let mut said = Vec::new();
    let decision = &story.outcome.decision;
    let written = decision.tests.len();
    if story.run.tests.is_empty() {
        said.push("The repository's own tests: none were found or given.".to_owned());
    } else if story.failing_before.is_empty() {
        said.push(
            "The issue by tests of the repository: all that ran passed before anything was changed."
                .to_owned(),
        );
    }
    if written == 0 {
        said.push(
            "The issue by tests written for it: none were written, or none failed before as the issue says."
                .to_owned(),
        );
    }
    let evidence = &decision.evidence;
    let first = decision.places.first().map_or(0, |place| place.index);
    let silent = evidence
        .tests
        .iter()
        .filter(|test| test.cells.of(first) == Cell::Unknown)
        .count();
    if silent > 0 {
        said.push(format!("{silent} tests of the matrix with the best candidate."));
    }
    said.push(
        "What no test runs: performance, other platforms, and whatever the issue does not say.".to_owned(),
    );
    said
}

fn candidates(outcome: &Outcome) -> Vec<Candidate<'_>> {
    let places = &outcome.decision.places;
    let each = PATCH_BYTES / outcome.attempts.len().max(1);
    outcome
        .attempts
        .iter()
        .enumerate()
        .map(|(at, attempted)| {
            let place = places.get(at);
            let ended = &attempted.candidate;
            Candidate {
                place: at + 1,
                name: &ended.attempt,
                confidence: place.and_then(|place| place.confidence),
                facts: format!(
                    "{}; {}, {}, {}",
                    if attempted.verdict.verified {
                        "verified by the repository's tests"
                    } else {
                        "not verified by the repository's tests"
                    },
                    several(ended.turns, "turn"),
                    several(ended.completion_tokens, "token"),
                    time(ended.seconds)
                ),
                reasons: place.map_or(&[], |place| place.reasons.as_slice()),
                remarks: &attempted.verdict.remarks,
                patch: shown(&ended.patch, each),
            }
        })
        .collect()
}

/// A patch, or so many bytes of it.
fn shown(patch: &[u8], most: usize) -> String {
    let patch = display_text(patch);
    let shown = beginning(&patch, most);
    if shown.len() < patch.len() {
        format!("{shown}\n(the rest is in the run's folder)")
    } else {
        patch
    }
}

/// The matrix, its columns in the order of the places.
fn tests(decision: &Decision) -> Vec<Test<'_>> {
    let evidence = &decision.evidence;
    let order: Vec<usize> = decision.places.iter().map(|place| place.index).collect();
    let mut scripts = decision.tests.iter();
    let mut all = Vec::new();
    for test in &evidence.tests {
        let source = match test.source {
            TestSource::Failing => "failed before",
            TestSource::Passing => "passed before",
            TestSource::Written => "written for the issue",
        };
        let script = if test.source == TestSource::Written {
            scripts
                .next()
                .map(|known| beginning(&known.written.script, MOST_SCRIPT))
        } else {
            None
        };
        if all.len() < MOST_TESTS {
            all.push(Test {
                name: &test.name,
                source,
                votes: test.votes,
                cells: test.cells.arranged(&order).to_string(),
                script,
            });
        }
    }
    all
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod page_tests;
