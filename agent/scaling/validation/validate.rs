//! Tries a patch in a fresh copy: what do the tests say that the user has?
//!
//! What the patch does to tests is left out, so that it is judged by the tests of the base and never by its own. A patch of
//! nothing but what seems to be tests is tried as it is, but proves nothing. A patch that cannot be tried is a verdict like any other; only a machine on which nothing can be tried is an error.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cwm_tools::bytes_path;
use cwm_tools::isolated::IsolatedError;
use cwm_tools::patch::apply::Applied;
use cwm_tools::patch::{Patch, is_test_path, parse};
use cwm_tools::sandbox::SandboxError;
use cwm_tools::truncate::without_middle;

use super::judge::{SoFar, judge, name_some, told_apart};
use super::measure::Measure;
use super::pass::{Bench, Pass, Piece, unsteady};
use super::screen::{Part, Screen};
use super::tampering;
use crate::rollout::journal::Verdict;
use crate::rollout::{Control, Copies};
use crate::suite::{Comparison, RunEnding, RunOptions, TestRun, telling_tests};

/// Bytes of a command's output that a verdict keeps, half of the beginning and half of the end.
const KEPT_OUTPUT: usize = 8 << 10;
/// Names in a remark.
const NAMED: usize = 5;

/// How long tests that passed before are run with a patch until all are, unless the user says otherwise.
pub const TEST_BUDGET: Duration = Duration::from_secs(60);

/// How a patch is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidateOptions {
    /// How each test command is run.
    pub run: RunOptions,
    /// Tests of the baseline that do not say the same each time.
    pub flaky: Vec<String>,
    /// Run nothing a second time to tell flaky tests.
    pub once: bool,
    /// How long tests that passed before are run with a patch until all are, where they take much longer.
    pub budget: Duration,
}

/// Why a patch could not be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The copy.
    #[error(transparent)]
    Copy(#[from] IsolatedError),
    /// Its sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The sandbox was lost although nothing had been changed.
    #[error("the tests cannot be run before anything is changed: {0}")]
    Baseline(String),
    /// The user ended it.
    #[error("it was interrupted")]
    Interrupted,
}

/// How much of the tests a patch is tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All; where they take long, those first that may show that it is wrong, and the others only if these do not.
    AsNeeded,
    /// All, at once.
    Everything,
}

/// What patches are tried with.
pub(super) struct Court<'a> {
    pub(super) copies: &'a Copies,
    pub(super) baseline: &'a [TestRun],
    pub(super) options: &'a ValidateOptions,
    pub(super) screen: Screen<'a>,
}

impl Court<'_> {
    /// Applies a patch to a fresh copy named `name`, without what it does to test files unless it does nothing else, runs the baseline's commands and
    /// compares. Where something is broken the commands are run again in another copy, to tell tests that do not say the same each time.
    ///
    /// # Errors
    ///
    /// When there is no copy or no sandbox, or when the user ends it. A patch that does not apply is a verdict, and so is one that hangs,
    /// fills its disk or brings its sandbox down.
    pub(super) fn validate(
        &self,
        name: &str,
        patch: &[u8],
        extent: Extent,
        control: &Control,
    ) -> Result<Verdict, ValidateError> {
        let started = Instant::now();
        let mut verdict = Verdict {
            flaky: self.options.flaky.clone(),
            ..Verdict::new(name)
        };
        match read(patch) {
            Err(why) => verdict.refused = Some(why),
            Ok(parsed) => {
                let measure = Measure::of_parsed(&parsed);
                verdict.test_files = test_files(&parsed);
                let doubts = doubts_about(&parsed, &measure, self.copies, self.baseline);
                verdict.remarks = remarks_on(&measure, &verdict.test_files);
                let trial = Trial {
                    bench: Bench {
                        copies: self.copies,
                        name,
                        options: &self.options.run,
                        control,
                        leave_tests: !measure.only_tests,
                        covers: false,
                    },
                    patch,
                    changed: changed_files(&parsed),
                    court: self,
                };
                trial.run(extent, &mut verdict)?;
                if verdict.refused.is_none() && !doubts.is_empty() {
                    verdict.verified = false;
                    verdict.but_for_still_failing = false;
                    verdict.but_for_nothing_failing = false;
                    verdict.postponed = false;
                    verdict.remarks.splice(0..0, doubts);
                }
            }
        }
        verdict.seconds = started.elapsed().as_secs_f64();
        Ok(verdict)
    }
}

/// Reads a patch that is worth a trial.
fn read(patch: &[u8]) -> Result<Patch, String> {
    let empty = || "it is empty".to_owned();
    if patch.trim_ascii().is_empty() {
        return Err(empty());
    }
    let parsed = parse(patch).map_err(|error| format!("it cannot be read: {error}"))?;
    if parsed.is_empty() {
        Err(empty())
    } else {
        Ok(parsed)
    }
}

/// The tests among a patch's paths.
fn test_files(patch: &Patch) -> Vec<String> {
    paths(patch, is_test_path)
}

/// The others.
fn changed_files(patch: &Patch) -> Vec<String> {
    paths(patch, |path| !is_test_path(path))
}

fn paths(patch: &Patch, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<String> {
    let files = patch.files.iter();
    let paths = files.flat_map(|file| [&file.old_path, &file.new_path]).flatten();
    let wanted = paths.filter(|path| is_wanted(path));
    let paths: BTreeSet<String> = wanted.map(|path| bytes_path::display(path)).collect();
    paths.into_iter().collect()
}

/// What in the patch keeps the tests from proving anything, whatever they say.
fn doubts_about(patch: &Patch, measure: &Measure, copies: &Copies, baseline: &[TestRun]) -> Vec<String> {
    if measure.only_tests {
        return vec![
            "it changes only files that seem to be tests, so that they prove nothing; it was applied as a whole"
                .to_owned(),
        ];
    }
    let commands: Vec<&str> = baseline.iter().map(|run| run.command.command.as_str()).collect();
    tampering::against(patch, &copies.snapshot.tree(), &commands)
}

/// What the patch itself shows that a person should know.
fn remarks_on(measure: &Measure, test_files: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    if measure.only_tests {
        return remarks;
    }
    let mut say = |words: &str, paths: &[String]| {
        if !paths.is_empty() {
            remarks.push(format!("{words}: {}", name_some(paths, NAMED)));
        }
    };
    say("it deletes tests, which was not applied", &measure.deleted_tests);
    say(
        "it takes checks out of tests or has tests skipped, which was not applied",
        &measure.weakened_tests,
    );
    let named =
        |path: &&String| !measure.deleted_tests.contains(path) && !measure.weakened_tests.contains(path);
    let others: Vec<String> = test_files.iter().filter(named).cloned().collect();
    say("what it does to test files was not applied", &others);
    say(
        "it changes files that can say how tests are run",
        &measure.settings,
    );
    remarks
}

/// A patch that is tried.
struct Trial<'a> {
    bench: Bench<'a>,
    patch: &'a [u8],
    /// The files that it changes, those of tests aside.
    changed: Vec<String>,
    court: &'a Court<'a>,
}

impl Trial<'_> {
    /// Runs tests, in the order in which they tell most, until they have said enough, and fills the verdict in.
    fn run(&self, extent: Extent, verdict: &mut Verdict) -> Result<(), ValidateError> {
        let Court { baseline, screen, .. } = self.court;
        if extent == Extent::AsNeeded {
            if let Some((changes, runs)) = refuted(&self.bench, self.patch, baseline, self.court.options)? {
                verdict.changes = changes;
                verdict.remarks.insert(
                    0,
                    "none of the tests that failed before passes with it; the others, which take long, were not run"
                        .to_owned(),
                );
                verdict.runs = kept(runs);
                return Ok(());
            }
            if let Some(parts) = screen.parts(&self.changed) {
                let before = verdict.clone();
                let so_far = self.pass(&parts, verdict)?;
                verdict.postponed = matches!(so_far, Some(SoFar::KeepsWhole | SoFar::MendsSome));
                if so_far != Some(SoFar::Mends) {
                    return Ok(());
                }
                *verdict = before;
            }
        }
        let all = |command| Part {
            command,
            tests: BTreeSet::new(),
        };
        let all: Vec<Part> = (0..baseline.len()).map(all).collect();
        self.pass(&all, verdict).map(|_| ())
    }

    /// Runs parts of the commands with the patch, again where something broke, and fills the verdict in.
    fn pass(&self, parts: &[Part], verdict: &mut Verdict) -> Result<Option<SoFar>, ValidateError> {
        let Court {
            baseline, options, ..
        } = self.court;
        let chosen: Vec<TestRun> = parts
            .iter()
            .filter_map(|part| baseline.get(part.command).cloned())
            .collect();
        let pieces = |count: usize| {
            let commands = chosen.iter().zip(parts).take(count);
            commands.map(|(run, part)| Piece {
                command: &run.command,
                tests: part.tests.clone(),
            })
        };
        let (runs, applied) = match self.bench.pass(Some(self.patch), pieces(chosen.len()))? {
            Pass::Ran { runs, applied } => (runs, applied),
            Pass::Refused(why) => {
                verdict.refused = Some(why);
                return Ok(None);
            }
        };
        verdict.remarks.extend(applied.as_ref().and_then(repairs));
        let again = if options.once {
            0
        } else {
            doubtful(&chosen, &runs, &options.flaky)
        };
        // Only what is flaky without the patch excuses it: a patch that makes a steady test flaky breaks it.
        let mut differing = Vec::new();
        if again > 0 {
            match self.bench.pass(Some(self.patch), pieces(again))? {
                Pass::Ran { runs: second, .. } => differing = unsteady(&runs, &second),
                Pass::Refused(why) => {
                    verdict
                        .remarks
                        .push(format!("it could not be tried again: {why}"));
                }
            }
            differing.retain(|name| !options.flaky.contains(name));
        }
        verdict.flaky.extend(differing.iter().cloned());
        verdict.flaky.sort();
        verdict.changes = told_apart(&chosen, &runs, &verdict.flaky);
        let partly = chosen.len() < baseline.len();
        let judgement = judge(
            &chosen,
            &runs,
            &verdict.changes,
            &options.flaky,
            &differing,
            partly,
        );
        verdict.verified = judgement.verified;
        verdict.but_for_still_failing = judgement.but_for_still_failing;
        verdict.but_for_nothing_failing = judgement.but_for_nothing_failing;
        verdict.remarks.splice(0..0, judgement.remarks);
        verdict.runs = kept(runs);
        Ok(judgement.so_far)
    }
}

/// Runs as a verdict keeps them.
fn kept(mut runs: Vec<TestRun>) -> Vec<TestRun> {
    for run in &mut runs {
        run.output = without_middle(std::mem::take(&mut run.output), KEPT_OUTPUT);
    }
    runs
}

/// What the tests that failed before say, run alone, when they are enough to tell that a patch is wrong: none of them passes with it. Only
/// where all of the tests take long; a right patch pays for it with a second run of a few.
fn refuted(
    bench: &Bench<'_>,
    patch: &[u8],
    baseline: &[TestRun],
    options: &ValidateOptions,
) -> Result<Option<(Comparison, Vec<TestRun>)>, ValidateError> {
    let telling = |run: &TestRun| -> BTreeSet<String> {
        let mut tests = telling_tests(run);
        tests.retain(|name| !options.flaky.contains(name));
        tests
    };
    // A command that fails as a whole, or has only tests that fail, is told of by no choice among its tests.
    let is_chosen = |run: &TestRun| !telling(run).is_empty();
    let unchosen_fails = baseline.iter().any(|run| !is_chosen(run) && !run.all_pass());
    if unchosen_fails || !baseline.iter().any(is_chosen) {
        return Ok(None);
    }
    let chosen: Vec<TestRun> = baseline.iter().filter(|run| is_chosen(run)).cloned().collect();
    let pieces = chosen.iter().map(|run| Piece {
        command: &run.command,
        tests: telling(run),
    });
    let Pass::Ran { runs, .. } = bench.pass(Some(patch), pieces)? else {
        return Ok(None);
    };
    let still = |(before, after): (&TestRun, &TestRun)| {
        let mut names = telling(before).into_iter();
        after.is_partial() && names.all(|name| after.tests.get(&name).is_some_and(|case| case.status.fails()))
    };
    let all = chosen.iter().zip(&runs).all(still);
    Ok(all.then(|| (told_apart(&chosen, &runs, &options.flaky), runs)))
}

/// How many of the commands are to be run again: all up to the last that ran to its end and has something broken. A later one may need
/// what an earlier one did.
fn doubtful(baseline: &[TestRun], runs: &[TestRun], flaky: &[String]) -> usize {
    let broke = |(before, after): (&TestRun, &TestRun)| {
        let changes = told_apart(std::slice::from_ref(before), std::slice::from_ref(after), flaky);
        after.ending == RunEnding::Ran && changes.breaks()
    };
    let pairs: Vec<bool> = baseline.iter().zip(runs).map(broke).collect();
    pairs.iter().rposition(|broke| *broke).map_or(0, |last| last + 1)
}

/// What in the patch had to be put right to apply it.
fn repairs(applied: &Applied) -> Option<String> {
    let repaired = applied.files.iter().filter(|file| !file.repairs.is_empty());
    let sentences: Vec<String> = repaired
        .map(|file| {
            let path = file.new_path.as_deref().or(file.old_path.as_deref());
            let words: Vec<String> = file.repairs.iter().map(ToString::to_string).collect();
            format!(
                "{} ({})",
                bytes_path::display(path.unwrap_or_default()),
                words.join("; ")
            )
        })
        .collect();
    let some = name_some(&sentences, NAMED);
    (!sentences.is_empty()).then(|| format!("it was not quite right and was mended to apply: {some}"))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
