//! From what tests said before and after to a verdict and its reasons. Pure functions: nothing is run here.

use std::collections::BTreeSet;

use crate::suite::{CommandSource, Comparison, RunEnding, TestRun, compare};

/// Names in a remark.
const NAMED: usize = 5;
/// Characters of a name in a remark.
const NAME_CHARACTERS: usize = 160;
/// What stands between a module or file and the tests in it, in the names of frameworks.
const SEPARATORS: [&str; 5] = ["::", ".", "/", " > ", " "];

/// Whether a patch is verified, and why not or what remains uncertain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verified: bool,
    /// Whether it would be if those tests were left aside that failed before and fail still.
    pub(super) but_for_still_failing: bool,
    /// Whether nothing speaks against it but that nothing failed before: what the issue tells of is not tested.
    pub(super) but_for_nothing_failing: bool,
    /// Whether not everything was run, and what was run speaks for it, or not against it.
    pub(super) so_far: Option<SoFar>,
    pub(super) remarks: Vec<String>,
}

/// What is known of a patch with which some tests were run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SoFar {
    /// All that failed before passes, and nothing else failed.
    Mends,
    /// Some of what failed before passes, and nothing else failed.
    MendsSome,
    /// Nothing failed before, and nothing does.
    KeepsWhole,
}

/// Whether a command failed in a way that no test of it shows; the command itself is the test that failed then.
fn failed_as_a_whole(run: &TestRun) -> bool {
    run.failing().next().is_none() && !run.all_pass()
}

/// A guessed command that started neither before nor after says nothing: nobody asked for it.
fn says_nothing(before: &TestRun, after: &TestRun) -> bool {
    let idle = |run: &TestRun| matches!(run.ending, RunEnding::NotStarted { .. });
    matches!(before.command.source, CommandSource::Found { .. }) && idle(before) && idle(after)
}

/// Names of what failed before anything was changed: tests, flaky ones left out, and commands that failed without a failing test.
pub fn failing_before(baseline: &[TestRun], flaky: &[String]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for run in baseline {
        names.extend(run.failing().map(str::to_owned));
        if failed_as_a_whole(run) {
            names.insert(run.command.command.clone());
        }
    }
    names.retain(|name| !flaky.contains(name));
    names.into_iter().collect()
}

/// What changed from the baseline to the runs of the same commands, flaky tests left out.
///
/// A module that could not be loaded before, or a command that failed as a whole, counts as a test: fixed when its tests are there and all pass.
pub(super) fn told_apart(baseline: &[TestRun], runs: &[TestRun], flaky: &[String]) -> Comparison {
    let mut all = Comparison::default();
    for (before, after) in baseline.iter().zip(runs) {
        if says_nothing(before, after) {
            continue;
        }
        let mut changes = compare(before, after);
        let command = &before.command.command;
        if failed_as_a_whole(before) && !changes.still_failing.contains(command) {
            changes.still_failing.push(command.clone());
        }
        let mended = |name: &String| {
            // What stands in parentheses is no test, but what the suite says of a run as a whole.
            if name == command || name.starts_with('(') {
                return after.all_pass() && after.count(|status| status.passes()) > 0;
            }
            if after.tests.contains_key(name) {
                return false;
            }
            let inside = |test: &str| {
                let rest = test.strip_prefix(name.as_str());
                rest.is_some_and(|rest| SEPARATORS.iter().any(|between| rest.starts_with(between)))
            };
            let mut tests = after.tests.iter().filter(|(test, _)| inside(test)).peekable();
            // A skipped test shows no more than that its module can be loaded.
            tests.peek().is_some() && tests.all(|(_, case)| case.status.passes())
        };
        let (fixed, failing): (Vec<String>, Vec<String>) = changes.still_failing.drain(..).partition(mended);
        changes.fixed.extend(fixed);
        changes.still_failing = failing;
        all.extend(changes);
    }
    all.without(flaky);
    all
}

/// Verified is a patch with which at least one test that failed before passes and none of them fails still, with which no test that passed
/// before fails or is missing, and with which every command runs to its end and exits with 0. Flaky tests of the baseline count neither
/// way; `unsteady` ones, which do not say the same each time only with the patch, speak against it. `partly` is said where commands were
/// left out.
pub(super) fn judge(
    baseline: &[TestRun],
    runs: &[TestRun],
    changes: &Comparison,
    flaky: &[String],
    unsteady: &[String],
    partly: bool,
) -> Judgement {
    let mut against = told_against(changes);
    if !unsteady.is_empty() {
        let verb = if unsteady.len() == 1 { "does" } else { "do" };
        against.push(format!(
            "{} {verb} not say the same each time with it: {}",
            tests(unsteady.len(), ""),
            name_some(unsteady, NAMED)
        ));
    }
    let before = changes.fixed.len() + changes.still_failing.len();
    let nothing_failing = before == 0 && failing_before(baseline, &[]).is_empty();
    if nothing_failing {
        against.push("nothing fails without it, so that nothing can show that it mends anything".to_owned());
    } else if before == 0 {
        against
            .push("nothing that fails without it does so each time and passes with it each time".to_owned());
    }
    let (ended, besides) = endings(baseline, runs, flaky);
    against.extend(ended);
    if runs.len() < baseline.len() {
        against.push("not every command was run".to_owned());
    }
    let mut so_far = None;
    if partly || runs.iter().any(TestRun::is_partial) {
        so_far = match against.len() {
            0 if !changes.fixed.is_empty() => Some(SoFar::Mends),
            1 if !changes.fixed.is_empty() && !changes.still_failing.is_empty() => Some(SoFar::MendsSome),
            1 if nothing_failing => Some(SoFar::KeepsWhole),
            _ => None,
        };
        against.push("not every test was run".to_owned());
    }
    let verified = against.is_empty() && !changes.fixed.is_empty();
    // They are told in one sentence: where there is another one, it tells of something else.
    let only_these = against.len() == 1 && !changes.still_failing.is_empty();
    let but_for_still_failing = only_these && !changes.fixed.is_empty();
    let but_for_nothing_failing = nothing_failing && against.len() == 1 && !baseline.is_empty();
    let mut remarks = against;
    remarks.extend(besides);
    if !flaky.is_empty() {
        let names = name_some(flaky, NAMED);
        remarks.push(format!(
            "left out, because they do not say the same each time: {names}"
        ));
    }
    Judgement {
        verified,
        but_for_still_failing,
        but_for_nothing_failing,
        so_far,
        remarks,
    }
}

/// What in the ends of commands speaks against a patch, and what is only said besides: of commands that say nothing.
fn endings(baseline: &[TestRun], runs: &[TestRun], flaky: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut against, mut besides) = (Vec::new(), Vec::new());
    for (before, after) in baseline.iter().zip(runs) {
        let words = ended_badly(before, after, flaky);
        if says_nothing(before, after) {
            besides.extend(words);
        } else {
            against.extend(words);
        }
    }
    (against, besides)
}

/// What in the tests' changes speaks against a patch.
fn told_against(changes: &Comparison) -> Vec<String> {
    let mut against = Vec::new();
    let mut say = |words: String, names: &[String]| {
        if !names.is_empty() {
            against.push(format!("{words}: {}", name_some(names, NAMED)));
        }
    };
    say(
        format!(
            "conflicts with {}",
            tests(changes.broken.len(), "that passed before")
        ),
        &changes.broken,
    );
    say(
        format!(
            "{} did not run",
            tests(changes.vanished.len(), "that passed before")
        ),
        &changes.vanished,
    );
    let not_fixed = changes.still_failing.len();
    let before = changes.fixed.len() + not_fixed;
    say(
        if changes.fixed.is_empty() {
            "nothing that failed before passes with it".to_owned()
        } else {
            format!("{not_fixed} of {before} that failed before do not pass with it")
        },
        &changes.still_failing,
    );
    say(
        format!(
            "{} not there before and failing",
            tests(changes.new_failing.len(), "")
        ),
        &changes.new_failing,
    );
    against
}

/// Why a command's end speaks against the patch, beyond what its tests say.
fn ended_badly(before: &TestRun, after: &TestRun, flaky: &[String]) -> Option<String> {
    let command = plain(&after.command.command);
    match &after.ending {
        RunEnding::TimedOut => Some(format!("`{command}` did not end within its time")),
        RunEnding::Stopped { reason } => Some(format!("`{command}` was stopped: {}", plain(reason))),
        RunEnding::NotStarted { reason } if before.ending == RunEnding::Ran => {
            Some(format!("`{command}` no longer starts with it: {}", plain(reason)))
        }
        RunEnding::NotStarted { reason } => Some(format!("`{command}` runs no test: {}", plain(reason))),
        RunEnding::Ran if after.exit_code == Some(0) => None,
        RunEnding::Ran if after.failing().next().is_some() => {
            // Each of these is told above, but for flaky ones, which are no reason.
            None
        }
        RunEnding::Ran => {
            let status = after.exit_code.map_or("none".to_owned(), |code| code.to_string());
            let known = flaky.contains(&after.command.command);
            (!known).then(|| format!("no test of `{command}` failed, but its exit status is {status}"))
        }
    }
}

/// A number of tests, in words.
fn tests(count: usize, which: &str) -> String {
    let noun = if count == 1 { "test" } else { "tests" };
    format!("{count} {noun} {which}").trim_end().to_owned()
}

/// The first names of a list, and how many more there are. Each is cut, and nothing in it can move a terminal's cursor.
pub fn name_some(names: &[String], most: usize) -> String {
    let mut text = names
        .iter()
        .take(most)
        .map(|name| plain(name))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > most {
        text.push_str(&format!(" and {} more", names.len() - most));
    }
    text
}

/// A text from outside as a short piece of a line.
fn plain(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(NAME_CHARACTERS)
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect();
    if text.chars().nth(NAME_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
