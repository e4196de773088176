//! Notable records as lines that stay, for people.

use cwm_tools::patch::parse;

use super::state::Overview;
use super::words::{count, ending, one_line, outcome, several, strategy, strategy_of_run, time, turn};
use crate::cli::Printer;
use crate::cli::text::plain;
use crate::rollout::Candidate;
use crate::rollout::journal::{Record, RunRecord, Verdict};
use crate::suite::{RunEnding, TestRun};

/// Says what is worth a line; what only `--verbose` asks for, as a detail.
pub(super) fn print(record: &Record, overview: &Overview, printer: &mut Printer) {
    match record {
        Record::Run(run) => begins(run, printer),
        Record::Resumed { model, .. } => {
            note(printer, format!("the run goes on with {}", one_line(&model.name)));
        }
        Record::Baseline { runs, flaky } => baseline(runs, flaky, printer),
        Record::WrittenTests { attempt, tests } => {
            detail(
                printer,
                format!("{attempt}: {} written", several(tests.len(), "test")),
            );
        }
        Record::Notice { attempt, text } => match attempt {
            Some(attempt) => note(printer, format!("{attempt}: {}", one_line(text))),
            None => note(printer, one_line(text)),
        },
        Record::Candidate(candidate) => note(printer, candidate_line(candidate)),
        Record::Validation(verdict) => note(printer, verdict_line(verdict)),
        _ => step(record, overview, printer),
    }
}

/// What a run works on, and with what.
fn begins(run: &RunRecord, printer: &mut Printer) {
    let samples = several(run.samples, "attempt");
    note(
        printer,
        format!(
            "run {}: {samples} at most, {}, with {}, seed {}",
            one_line(&run.id),
            strategy_of_run(run),
            one_line(&run.model.name),
            run.seed
        ),
    );
    if run.uncommitted > 0 {
        let verb = if run.uncommitted == 1 { "is" } else { "are" };
        let files = several(run.uncommitted, "uncommitted file");
        note(printer, format!("{files} {verb} part of the base"));
    }
}

/// A step within an attempt, which only `--verbose` asks for.
fn step(record: &Record, overview: &Overview, printer: &mut Printer) {
    match record {
        Record::Attempt {
            attempt,
            strategy: how,
            sampling,
        } => detail(
            printer,
            format!(
                "{attempt} begins: {}, seed {}, temperature {}",
                strategy(*how),
                sampling.seed,
                sampling.temperature
            ),
        ),
        Record::Message { .. } | Record::End { .. } => {}
        Record::Diverged { attempt, kept } => printer.detail(format_args!(
            "{attempt}: done again, it went another way after {}",
            several(*kept, "step")
        )),
        Record::Generation { attempt, generated } => {
            let known = overview.attempts.iter().find(|known| known.name == *attempt);
            let turns = known.map_or(1, |known| known.turns);
            detail(
                printer,
                format!(
                    "{attempt}, {} {turns}: {} in {}",
                    turn(known.and_then(|known| known.strategy)),
                    several(generated.usage.completion_tokens, "token"),
                    time(generated.seconds)
                ),
            );
        }
        Record::Tool { attempt, used } => {
            let failed = if used.done { "" } else { ", in vain" };
            detail(
                printer,
                format!(
                    "{attempt}, {}: {} ({}{failed})",
                    used.tool.name(),
                    one_line(&used.content),
                    time(used.seconds)
                ),
            );
        }
        Record::Tests { attempt, runs } => {
            for run in runs {
                detail(
                    printer,
                    format!(
                        "{attempt}, {}: {} in {}",
                        one_line(&run.command.command),
                        outcome(run),
                        time(run.seconds)
                    ),
                );
            }
        }
        Record::Elision { attempt, elided } => detail(
            printer,
            format!(
                "{attempt}: old outputs were taken out of the window, which held {} tokens and holds {}",
                count(elided.tokens_before),
                count(elided.tokens_after)
            ),
        ),
        _ => {}
    }
}

fn baseline(runs: &[TestRun], flaky: &[String], printer: &mut Printer) {
    if runs.is_empty() {
        printer.warning("No tests were found, so nothing can be verified. Name a command with --test.");
    }
    for run in runs {
        let text = format!(
            "tests before any change: {}: {} in {}",
            one_line(&run.command.command),
            outcome(run),
            time(run.seconds)
        );
        match run.ending {
            RunEnding::Ran => note(printer, text),
            _ => printer.warning(format!("{}{}", plain(&text), advice(&run.ending))),
        }
    }
    if !flaky.is_empty() {
        let does = if flaky.len() == 1 { "does" } else { "do" };
        note(
            printer,
            format!(
                "{} {does} not say the same each time and will not count",
                several(flaky.len(), "test")
            ),
        );
    }
}

/// What can be done about tests that did not come to their end.
fn advice(ending: &RunEnding) -> &'static str {
    match ending {
        RunEnding::Ran | RunEnding::NotStarted { .. } => "",
        RunEnding::TimedOut => "; --test-timeout gives them more time",
        RunEnding::Stopped { .. } => {
            "; where a limit was too narrow, --memory, --processes or --disk widen it"
        }
    }
}

/// Says something. Whatever it quotes, nothing in it moves a terminal.
fn note(printer: &mut Printer, text: String) {
    printer.note(plain(&text));
}

/// Says what only `--verbose` asks for.
fn detail(printer: &mut Printer, text: String) {
    printer.detail(plain(&text));
}

fn candidate_line(candidate: &Candidate) -> String {
    format!(
        "{} {} after {}, {} and {}: {}",
        candidate.attempt,
        ending(candidate),
        several(candidate.turns, turn(Some(candidate.strategy))),
        several(candidate.completion_tokens, "token"),
        time(candidate.seconds),
        patch_size(&candidate.patch)
    )
}

/// How large a patch is: `2 files, +5 -1`.
pub(super) fn patch_size(patch: &[u8]) -> String {
    if patch.is_empty() {
        return "no change".to_owned();
    }
    match parse(patch) {
        Ok(patch) => {
            let size = patch.statistics();
            format!(
                "{}, +{} -{}",
                several(size.files, "file"),
                count(size.added),
                count(size.removed)
            )
        }
        Err(_) => "a patch that cannot be read".to_owned(),
    }
}

/// What became of a candidate.
fn verdict_line(verdict: &Verdict) -> String {
    if let Some(reason) = &verdict.refused {
        return format!(
            "{} was tried in a fresh copy: {}",
            verdict.attempt,
            one_line(reason)
        );
    }
    let word = if verdict.verified {
        "verified"
    } else {
        "not verified"
    };
    format!(
        "{} was tried in a fresh copy: {}; {word}",
        verdict.attempt,
        effect(verdict)
    )
}

/// What a candidate did to the tests: `fixes 2 tests, breaks none`.
pub(super) fn effect(verdict: &Verdict) -> String {
    let changes = &verdict.changes;
    let tests = |number: usize| match number {
        0 => "none".to_owned(),
        _ => count(number),
    };
    let mut text = format!(
        "fixes {}, breaks {}",
        tests(changes.fixed.len()),
        tests(changes.broken.len())
    );
    if !changes.vanished.is_empty() {
        text.push_str(&format!(", {} did not run", count(changes.vanished.len())));
    }
    text
}
