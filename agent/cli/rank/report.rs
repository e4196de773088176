//! What `cwm rank` says: how the tests stand without a patch, and the table of the patches.

use serde::Serialize;

use super::{Contender, Ranked};
use crate::cli::view::words::test_ending;
use crate::cli::{Printer, Style};
use crate::rollout::Copies;
use crate::scaling::{Baseline, Proof, failing_before, name_some};
use crate::suite::{CommandSource, RunEnding, Status, TestCommand, TestRun};

/// Lines of a failed command's output that are shown.
const SHOWN_LINES: usize = 12;
/// Names in a line.
const NAMED: usize = 5;
/// The table's headings.
const HEADINGS: [&str; 9] = [
    "place", "patch", "verified", "fixes", "breaks", "written", "right", "lines", "time",
];
/// The columns for tests that were written for the issue.
const WRITTEN: std::ops::Range<usize> = 5..7;

#[derive(Serialize)]
struct BaselineEvent<'a> {
    root: String,
    base_commit: String,
    commands: Vec<CommandEvent<'a>>,
    failing: Vec<String>,
    flaky: &'a [String],
}

#[derive(Serialize)]
struct CommandEvent<'a> {
    command: &'a str,
    /// Why this command, when it was guessed.
    found: Option<&'a str>,
    ending: &'static str,
    reason: Option<&'a str>,
    exit_code: Option<i32>,
    passed: usize,
    failed: usize,
    skipped: usize,
    seconds: f64,
}

#[derive(Serialize)]
struct PatchEvent<'a> {
    place: usize,
    patch: &'a str,
    verified: bool,
    /// What shows that it solves the issue: `own_tests` or `written_tests`.
    proof: Option<&'static str>,
    refused: Option<&'a str>,
    fixed: &'a [String],
    broken: &'a [String],
    vanished: &'a [String],
    still_failing: &'a [String],
    new_failing: &'a [String],
    flaky: &'a [String],
    test_files: &'a [String],
    remarks: &'a [String],
    lines: usize,
    same: usize,
    confidence: Option<f64>,
    reasons: &'a [String],
    commands: Vec<CommandEvent<'a>>,
    seconds: f64,
}

/// Tells which command was guessed.
pub(super) fn found(printer: &mut Printer, command: &TestCommand) {
    if let CommandSource::Found { reason } = &command.source {
        printer.note(format_args!("testing with `{}`: {reason}", command.command));
    }
}

/// Tells how the tests stand before anything is changed.
pub(super) fn baseline(printer: &mut Printer, baseline: &Baseline, copies: &Copies) -> anyhow::Result<()> {
    let failing = failing_before(&baseline.runs, &baseline.flaky);
    for run in &baseline.runs {
        explain(printer, run);
    }
    if failing.is_empty() {
        printer.warning("nothing fails without a patch, so none can be verified");
    } else {
        printer.note(format_args!(
            "failing without a patch: {}",
            name_some(&failing, NAMED)
        ));
    }
    if !baseline.flaky.is_empty() {
        let names = name_some(&baseline.flaky, NAMED);
        printer.warning(format_args!(
            "left out, because they do not say the same each time: {names}"
        ));
    }
    let event = BaselineEvent {
        root: copies.snapshot.root.display().to_string(),
        base_commit: copies.snapshot.base_commit.to_string(),
        commands: baseline.runs.iter().map(command).collect(),
        failing,
        flaky: &baseline.flaky,
    };
    printer.event("rank.baseline", &event)
}

/// What a command said; with its last lines when it did not run at all.
fn explain(printer: &mut Printer, run: &TestRun) {
    let name = name_some(std::slice::from_ref(&run.command.command), 1);
    let (passed, failed) = (run.count(Status::passes), run.count(Status::fails));
    let why = match &run.ending {
        RunEnding::Ran => {
            let seconds = run.seconds;
            printer.note(format_args!(
                "`{name}`: {passed} passed, {failed} failed, {seconds:.1} s"
            ));
            return;
        }
        RunEnding::TimedOut => "it did not end within its time".to_owned(),
        RunEnding::NotStarted { reason } => format!("it runs no test: {}", plain(reason)),
        RunEnding::Stopped { reason } => format!("it was stopped: {}", plain(reason)),
    };
    printer.warning(format_args!("`{name}` without a patch: {why}"));
    let lines: Vec<&str> = run.output.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
        printer.note(format_args!("    {}", plain(line)));
    }
}

fn plain(text: &str) -> String {
    name_some(&[text.to_owned()], 1)
}

fn command(run: &TestRun) -> CommandEvent<'_> {
    let (ending, reason) = test_ending(run);
    CommandEvent {
        command: &run.command.command,
        found: match &run.command.source {
            CommandSource::Found { reason } => Some(reason),
            CommandSource::Given => None,
        },
        ending,
        reason,
        exit_code: run.exit_code,
        passed: run.count(Status::passes),
        failed: run.count(Status::fails),
        skipped: run.count(|status| !status.passes() && !status.fails()),
        seconds: run.seconds,
    }
}

/// Prints the table and the remarks, or an event for each patch, best first.
pub(super) fn patches(
    printer: &mut Printer,
    ranked: &[Ranked],
    contenders: &[Contender],
) -> anyhow::Result<()> {
    let placed: Vec<(&Ranked, &Contender)> = ranked
        .iter()
        .filter_map(|place| Some((place, contenders.get(place.place.index)?)))
        .collect();
    if printer.is_json() {
        for (at, (place, contender)) in placed.iter().enumerate() {
            printer.event("rank.patch", &event(at + 1, place, contender))?;
        }
        return Ok(());
    }
    let rows: Vec<[String; HEADINGS.len()]> = placed
        .iter()
        .enumerate()
        .map(|(at, (place, contender))| row(at + 1, place, contender))
        .collect();
    let with_written = placed.iter().any(|(place, _)| place.written.is_some());
    let text = table(printer, &rows, with_written) + &remarks(&placed);
    printer.result(text)
}

fn event<'a>(place: usize, ranked: &'a Ranked, contender: &'a Contender) -> PatchEvent<'a> {
    let verdict = &ranked.verdict;
    let changes = &verdict.changes;
    PatchEvent {
        place,
        patch: &contender.name,
        verified: ranked.proof.is_some(),
        proof: ranked.proof.map(|proof| match proof {
            Proof::OwnTests => "own_tests",
            Proof::WrittenTests { .. } => "written_tests",
        }),
        refused: verdict.refused.as_deref(),
        fixed: &changes.fixed,
        broken: &changes.broken,
        vanished: &changes.vanished,
        still_failing: &changes.still_failing,
        new_failing: &changes.new_failing,
        flaky: &verdict.flaky,
        test_files: &verdict.test_files,
        remarks: &verdict.remarks,
        lines: contender.measure.lines,
        same: ranked.place.same,
        confidence: ranked.place.confidence,
        reasons: &ranked.place.reasons,
        commands: verdict.runs.iter().map(command).collect(),
        seconds: verdict.seconds,
    }
}

fn row(at: usize, place: &Ranked, contender: &Contender) -> [String; HEADINGS.len()] {
    let verdict = &place.verdict;
    let name = plain(&contender.name);
    let lines = contender.measure.lines.to_string();
    if verdict.refused.is_some() {
        let none = String::new;
        return [
            "-".to_owned(),
            name,
            "refused".to_owned(),
            none(),
            none(),
            none(),
            none(),
            lines,
            none(),
        ];
    }
    let changes = &verdict.changes;
    [
        at.to_string(),
        name,
        if place.proof.is_some() { "yes" } else { "no" }.to_owned(),
        format!(
            "{} of {}",
            changes.fixed.len(),
            changes.fixed.len() + changes.still_failing.len()
        ),
        (changes.broken.len() + changes.vanished.len()).to_string(),
        place
            .written
            .map_or_else(String::new, |(passed, of)| format!("{passed} of {of}")),
        place
            .place
            .confidence
            .map_or_else(String::new, |right| format!("{:.0} %", right * 100.0)),
        lines,
        format!("{:.1} s", verdict.seconds),
    ]
}

fn table(printer: &Printer, rows: &[[String; HEADINGS.len()]], with_written: bool) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            let cells = std::iter::once(&headings)
                .chain(rows)
                .filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (at, row) in std::iter::once(&headings).chain(rows).enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if WRITTEN.contains(&column) && !with_written {
                continue;
            }
            let padded = format!("{cell:<width$}  ");
            let style = match cell.as_str() {
                _ if at == 0 => Some(Style::Strong),
                "yes" => Some(Style::Good),
                "refused" => Some(Style::Faint),
                _ => None,
            };
            line.push_str(&style.map_or(padded.clone(), |style| printer.paint(style, &padded)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Below the table: what is to be said of each patch.
fn remarks(placed: &[(&Ranked, &Contender)]) -> String {
    let mut text = String::new();
    for (place, contender) in placed {
        let same = (place.place.same > 1)
            .then(|| format!("{} of the patches make the same change", place.place.same));
        let refused = place
            .verdict
            .refused
            .as_ref()
            .map(|why| format!("refused: {why}"));
        let all: Vec<&String> = refused
            .iter()
            .chain(&place.verdict.remarks)
            .chain(&same)
            .collect();
        if all.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", plain(&contender.name)));
        for remark in all {
            let line: String = remark
                .chars()
                .map(|character| if character.is_control() { ' ' } else { character })
                .collect();
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

/// Tells how many tests for the issue count.
pub(super) fn heard(printer: &mut Printer, all: usize, kept: usize) {
    if kept == 0 {
        printer.warning("no test for the issue fails without a patch as the issue says, so none counts");
    } else if all > kept {
        printer.note(format_args!(
            "tests for the issue: {kept} of {all} fail without a patch and count"
        ));
    } else {
        printer.note(format_args!("tests for the issue: {kept}"));
    }
}
