//! Records as JSON events. `docs/json-events.md` describes them field by field.

use cwm_runtime::source::StopReason;
use cwm_tools::truncate::beginning;
use serde::Serialize;

use super::state::changes;
use super::words::{ending_name, strategy, strategy_of_run, test_ending};
use crate::cli::Printer;
use crate::rollout::journal::{Generated, ModelRecord, Record, RunRecord, ToolUsed, Verdict};
use crate::rollout::{Candidate, Ending};
use crate::suite::{Comparison, Status, TestRun};

/// The longest text of an event, in bytes; the journal has the whole.
const MOST_TEXT: usize = 16 << 10;

/// The longest patch of an event, in bytes.
const MOST_PATCH: usize = 1 << 20;

/// The most names of a list.
const MOST_NAMES: usize = 200;

/// Prints a record as an event.
pub(super) fn print(record: &Record, baseline: &[TestRun], printer: &mut Printer) -> anyhow::Result<()> {
    match record {
        Record::Run(run) => printer.event("fix.run", &RunEvent::of(run)),
        Record::Resumed { cwm_version, model } => {
            printer.event("fix.resumed", &Resumed { cwm_version, model })
        }
        Record::Baseline { runs, flaky } => {
            let runs: Vec<RunOfTests<'_>> = runs.iter().map(RunOfTests::of).collect();
            let flaky = names(flaky);
            printer.event("fix.baseline", &Baseline { runs, flaky })
        }
        Record::Generation { attempt, generated } => {
            printer.event("fix.generation", &Generation::of(attempt, generated))
        }
        Record::Tool { attempt, used } => printer.event("fix.tool", &ToolEvent::of(attempt, used)),
        Record::Candidate(candidate) => printer.event("fix.candidate", &CandidateEvent::of(candidate)),
        Record::Validation(verdict) => printer.event("fix.validation", &Validation::of(verdict)),
        _ => print_small(record, baseline, printer),
    }
}

/// The events of few fields.
fn print_small(record: &Record, baseline: &[TestRun], printer: &mut Printer) -> anyhow::Result<()> {
    match record {
        Record::Attempt {
            attempt,
            strategy: how,
            sampling,
        } => {
            let event = AttemptEvent {
                attempt,
                strategy: strategy(*how),
                seed: sampling.seed,
                temperature: sampling.temperature,
                top_p: sampling.top_p,
            };
            printer.event("fix.attempt", &event)
        }
        Record::Message {
            attempt,
            message,
            tokens,
        } => {
            let (content, cut) = shorten(&message.content, MOST_TEXT);
            let event = Message {
                attempt,
                role: &message.role,
                content,
                tokens: *tokens,
                cut: list(cut, "content"),
            };
            printer.event("fix.message", &event)
        }
        Record::Tests { attempt, runs } => {
            let changes = changes(baseline, runs);
            let event = Tests {
                attempt,
                runs: runs.iter().map(RunOfTests::of).collect(),
                changes: Changes::of(&changes),
            };
            printer.event("fix.tests", &event)
        }
        Record::Elision { attempt, elided } => {
            let event = Elision {
                attempt,
                messages: &elided.messages,
                tokens_before: elided.tokens_before,
                tokens_after: elided.tokens_after,
            };
            printer.event("fix.elision", &event)
        }
        Record::Diverged { attempt, kept } => {
            printer.event("fix.diverged", &Diverged { attempt, kept: *kept })
        }
        Record::WrittenTests { attempt, tests } => {
            let tests = tests.iter().map(|test| WrittenTest {
                name: &test.name,
                script: &test.script,
                path: test.file.as_ref().map(|file| file.path.as_str()),
            });
            let tests = tests.collect();
            printer.event("fix.written_tests", &WrittenTests { attempt, tests })
        }
        Record::Notice { attempt, text } => {
            let (text, _) = shorten(text, MOST_TEXT);
            let attempt = attempt.as_deref();
            printer.event("fix.notice", &Notice { attempt, text })
        }
        // The command prints `fix.result`, which says all that the last record says and more.
        _ => Ok(()),
    }
}

/// The beginning of a text, and whether something is missing.
fn shorten(text: &str, most: usize) -> (&str, bool) {
    let shown = beginning(text, most);
    (shown, shown.len() < text.len())
}

/// The name of a field if it was cut.
fn list(cut: bool, field: &'static str) -> Vec<&'static str> {
    if cut { vec![field] } else { Vec::new() }
}

fn names(all: &[String]) -> &[String] {
    all.get(..MOST_NAMES).unwrap_or(all)
}

#[derive(Serialize)]
struct WrittenTests<'a> {
    attempt: &'a str,
    tests: Vec<WrittenTest<'a>>,
}

#[derive(Serialize)]
struct WrittenTest<'a> {
    name: &'a str,
    script: &'a str,
    /// Where it goes in the repository's framework; left out for a script.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

#[derive(Serialize)]
struct Diverged<'a> {
    attempt: &'a str,
    kept: usize,
}

#[derive(Serialize)]
struct RunEvent<'a> {
    run: &'a str,
    cwm_version: &'a str,
    repository: &'a str,
    base_commit: &'a str,
    uncommitted: usize,
    issue: &'a str,
    model: &'a ModelRecord,
    strategy: &'static str,
    samples: usize,
    seed: u64,
    budget: BudgetOfRun,
    tests: Vec<&'a str>,
    guidance: Vec<&'a str>,
    cut: Vec<&'static str>,
}

#[derive(Serialize)]
struct BudgetOfRun {
    turns: usize,
    rounds: usize,
    context: usize,
    seconds: Option<f64>,
    command_seconds: f64,
}

impl<'a> RunEvent<'a> {
    fn of(run: &'a RunRecord) -> Self {
        let (issue, cut) = shorten(&run.issue, MOST_TEXT);
        RunEvent {
            run: &run.id,
            cwm_version: &run.cwm_version,
            repository: &run.repository,
            base_commit: &run.base_commit,
            uncommitted: run.uncommitted,
            issue,
            model: &run.model,
            strategy: strategy_of_run(run),
            samples: run.samples,
            seed: run.seed,
            budget: BudgetOfRun {
                turns: run.budget.turns,
                rounds: run.budget.rounds,
                context: run.budget.context,
                seconds: run.max_time.or(run.budget.time).map(|time| time.as_secs_f64()),
                command_seconds: run.budget.command_timeout.as_secs_f64(),
            },
            tests: run.tests.iter().map(|test| test.command.as_str()).collect(),
            guidance: run.guidance.iter().map(|file| file.path.as_str()).collect(),
            cut: list(cut, "issue"),
        }
    }
}

#[derive(Serialize)]
struct Resumed<'a> {
    cwm_version: &'a str,
    model: &'a ModelRecord,
}

#[derive(Serialize)]
struct Baseline<'a> {
    runs: Vec<RunOfTests<'a>>,
    flaky: &'a [String],
}

#[derive(Serialize)]
struct AttemptEvent<'a> {
    attempt: &'a str,
    strategy: &'static str,
    seed: u64,
    temperature: f32,
    top_p: f32,
}

#[derive(Serialize)]
struct Message<'a> {
    attempt: &'a str,
    role: &'a str,
    content: &'a str,
    tokens: Option<usize>,
    cut: Vec<&'static str>,
}

#[derive(Serialize)]
struct Generation<'a> {
    attempt: &'a str,
    text: &'a str,
    reason: &'static str,
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    seed: u64,
    seconds: f64,
    cut: Vec<&'static str>,
}

impl<'a> Generation<'a> {
    fn of(attempt: &'a str, generated: &'a Generated) -> Self {
        let (text, cut) = shorten(&generated.text, MOST_TEXT);
        Generation {
            attempt,
            text,
            reason: match generated.reason {
                StopReason::Stop => "stop",
                StopReason::Length => "length",
                StopReason::Cancelled => "cancelled",
            },
            prompt_tokens: generated.usage.prompt_tokens,
            cached_tokens: generated.usage.cached_tokens,
            completion_tokens: generated.usage.completion_tokens,
            seed: generated.seed,
            seconds: generated.seconds,
            cut: list(cut, "text"),
        }
    }
}

#[derive(Serialize)]
struct ToolEvent<'a> {
    attempt: &'a str,
    tool: &'static str,
    content: &'a str,
    result: &'a str,
    done: bool,
    seconds: f64,
    cut: Vec<&'static str>,
}

impl<'a> ToolEvent<'a> {
    fn of(attempt: &'a str, used: &'a ToolUsed) -> Self {
        let (content, content_cut) = shorten(&used.content, MOST_TEXT);
        let (result, result_cut) = shorten(&used.result, MOST_TEXT);
        let mut cut = list(content_cut, "content");
        cut.extend(list(result_cut, "result"));
        ToolEvent {
            attempt,
            tool: used.tool.name(),
            content,
            result,
            done: used.done,
            seconds: used.seconds,
            cut,
        }
    }
}

#[derive(Serialize)]
struct RunOfTests<'a> {
    command: &'a str,
    ending: &'static str,
    reason: Option<&'a str>,
    exit_code: Option<i32>,
    passed: usize,
    failed: usize,
    skipped: usize,
    failing: Vec<&'a str>,
    selected: usize,
    seconds: f64,
}

impl<'a> RunOfTests<'a> {
    fn of(run: &'a TestRun) -> Self {
        let (ending, reason) = test_ending(run);
        RunOfTests {
            command: &run.command.command,
            ending,
            reason: reason.map(|reason| shorten(reason, MOST_TEXT).0),
            exit_code: run.exit_code,
            passed: run.count(Status::passes),
            failed: run.count(Status::fails),
            skipped: run.count(|status| status == Status::Skipped),
            failing: run.failing().take(MOST_NAMES).collect(),
            selected: run.selected.len(),
            seconds: run.seconds,
        }
    }
}

#[derive(Serialize)]
struct Tests<'a> {
    attempt: &'a str,
    runs: Vec<RunOfTests<'a>>,
    changes: Changes<'a>,
}

#[derive(Serialize)]
struct Changes<'a> {
    fixed: &'a [String],
    broken: &'a [String],
    vanished: &'a [String],
    still_failing: &'a [String],
    new_passing: &'a [String],
    new_failing: &'a [String],
    still_passing: usize,
}

impl<'a> Changes<'a> {
    fn of(changes: &'a Comparison) -> Self {
        Changes {
            fixed: names(&changes.fixed),
            broken: names(&changes.broken),
            vanished: names(&changes.vanished),
            still_failing: names(&changes.still_failing),
            new_passing: names(&changes.new_passing),
            new_failing: names(&changes.new_failing),
            still_passing: changes.still_passing,
        }
    }
}

#[derive(Serialize)]
struct Elision<'a> {
    attempt: &'a str,
    messages: &'a [usize],
    tokens_before: usize,
    tokens_after: usize,
}

#[derive(Serialize)]
struct Notice<'a> {
    attempt: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct CandidateEvent<'a> {
    attempt: &'a str,
    strategy: &'static str,
    ending: &'static str,
    reason: Option<&'a str>,
    patch: String,
    answer: &'a str,
    turns: usize,
    prompt_tokens: usize,
    completion_tokens: usize,
    seconds: f64,
    cut: Vec<&'static str>,
}

impl<'a> CandidateEvent<'a> {
    fn of(candidate: &'a Candidate) -> Self {
        let patch = String::from_utf8_lossy(&candidate.patch);
        let (patch, patch_cut) = shorten(&patch, MOST_PATCH);
        let (answer, answer_cut) = shorten(&candidate.answer, MOST_TEXT);
        let mut cut = list(patch_cut, "patch");
        cut.extend(list(answer_cut, "answer"));
        CandidateEvent {
            attempt: &candidate.attempt,
            strategy: strategy(candidate.strategy),
            ending: ending_name(&candidate.ending),
            reason: match &candidate.ending {
                Ending::Failed { reason } => Some(shorten(reason, MOST_TEXT).0),
                _ => None,
            },
            patch: patch.to_owned(),
            answer,
            turns: candidate.turns,
            prompt_tokens: candidate.prompt_tokens,
            completion_tokens: candidate.completion_tokens,
            seconds: candidate.seconds,
            cut,
        }
    }
}

#[derive(Serialize)]
struct Validation<'a> {
    attempt: &'a str,
    refused: Option<&'a str>,
    verified: bool,
    postponed: bool,
    but_for_still_failing: bool,
    runs: Vec<RunOfTests<'a>>,
    changes: Changes<'a>,
    flaky: &'a [String],
    test_files: &'a [String],
    remarks: &'a [String],
    seconds: f64,
}

impl<'a> Validation<'a> {
    fn of(verdict: &'a Verdict) -> Self {
        Validation {
            attempt: &verdict.attempt,
            refused: verdict.refused.as_deref(),
            verified: verdict.verified,
            postponed: verdict.postponed,
            but_for_still_failing: verdict.but_for_still_failing,
            runs: verdict.runs.iter().map(RunOfTests::of).collect(),
            changes: Changes::of(&verdict.changes),
            flaky: names(&verdict.flaky),
            test_files: names(&verdict.test_files),
            remarks: names(&verdict.remarks),
            seconds: verdict.seconds,
        }
    }
}
