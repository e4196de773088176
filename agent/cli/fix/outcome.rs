//! What came of a run: files in its folder, the patch, the summary, the exit code.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cwm_tools::patch::apply::{ApplyOptions, to_repository};
use cwm_tools::patch::parse;
use cwm_tools::truncate::display_text;
use serde::Serialize;

use super::choices::Choices;
use super::start::{Prepared, journal_path};
use super::{AcceptChoice, FixArguments};
use crate::cli::evidence::{Story, page};
use crate::cli::view::{Summary, summary};
use crate::cli::walls::no_copy;
use crate::cli::{ExitCode, Failure, Printer};
use crate::rollout::journal::{self, Record, RunRecord};
use crate::rollout::{Ending, Strategy};
use crate::scaling::{Attempted, Baseline, Decision, Evidence, Outcome, failing_before};
use crate::suite::quoted;

/// The report that a browser shows, in the run's folder.
const PAGE: &str = "report.html";

/// A run that ended.
pub(super) struct Finished {
    pub(super) prepared: Prepared,
    pub(super) baseline: Baseline,
    pub(super) outcome: Outcome,
    pub(super) out_of_time: bool,
}

/// The run's result, in `report.json` and as an event.
#[derive(Serialize)]
struct Report<'a> {
    run: &'a RunRecord,
    outcome: &'static str,
    verified: bool,
    chosen: Option<&'a str>,
    patch: Option<String>,
    patch_file: Option<&'a Path>,
    baseline: &'a [crate::suite::TestRun],
    flaky: &'a [String],
    attempts: &'a [ReportedAttempt<'a>],
    failures: &'a [(String, String)],
    /// What the order goes by, and each attempt's place by it.
    evidence: &'a Evidence,
    places: Vec<ReportedPlace<'a>>,
    resumable: bool,
    seconds: f64,
}

#[derive(Serialize)]
struct ReportedPlace<'a> {
    attempt: &'a str,
    confidence: Option<f64>,
    same: usize,
    alike: usize,
    reasons: &'a [String],
}

#[derive(Serialize)]
struct ReportedAttempt<'a> {
    candidate: &'a crate::rollout::Candidate,
    verdict: &'a crate::rollout::journal::Verdict,
}

impl Finished {
    fn code(&self) -> ExitCode {
        let used_up = |attempted: &Attempted| {
            // The rounds of a one-shot attempt are its way to work, no budget that ran out.
            let rounds = attempted.candidate.strategy == Strategy::OneShot;
            match attempted.candidate.ending {
                Ending::Time | Ending::Tokens => true,
                Ending::Turns => !rounds,
                _ => false,
            }
        };
        let outcome = &self.outcome;
        if outcome.verified() {
            ExitCode::Success
        } else if outcome.interrupted && !self.out_of_time {
            ExitCode::Interrupted
        } else if self.out_of_time || !outcome.attempts.is_empty() && outcome.attempts.iter().all(used_up) {
            ExitCode::BudgetExhausted
        } else if outcome.attempts.is_empty() {
            ExitCode::Environment
        } else {
            ExitCode::Unverified
        }
    }

    /// Whether `cwm runs resume` could still make something of it.
    fn resumable(&self) -> bool {
        !self.outcome.verified() && (self.outcome.interrupted || !self.outcome.failures.is_empty())
    }
}

/// Keeps what is to be kept, prints the patch and the summary.
pub(super) fn conclude(
    finished: Finished,
    choices: &Choices,
    arguments: &FixArguments,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let code = finished.code();
    let run = &finished.prepared.run;
    keep_candidates(&run.path, &finished.outcome)?;
    let best = finished.outcome.best();
    let kept = match best {
        Some(best) => {
            let path = run.path.join("patch.diff");
            write(&path, &best.candidate.patch)?;
            Some(path)
        }
        None => None,
    };
    report(&finished, code, kept.as_deref(), printer)?;
    if !finished.resumable() {
        finished.prepared.journal.append(&Record::End {
            chosen: best.map(|best| best.candidate.attempt.clone()),
            verified: finished.outcome.verified(),
            outcome: code.meaning().to_owned(),
            seconds: finished.outcome.seconds,
        })?;
        run.finish().map_err(no_copy)?;
    }
    // A run that can go on may yet find a better one.
    let accepted =
        finished.outcome.verified() || choices.accept == AcceptChoice::Best && !finished.resumable();
    // The evidence is shown also where the patch cannot be put where it was wanted.
    let handed_over = match best.zip(kept.as_deref()).filter(|_| accepted) {
        Some((best, kept)) => hand_over(best, kept, &finished, arguments, printer).map(|()| true),
        None => Ok(false),
    };
    if finished.outcome.attempts.is_empty()
        && let Some((attempt, reason)) = finished.outcome.failures.first()
    {
        return Err(
            Failure::new(code, format!("No attempt came to an end; {attempt}: {reason}."))
                .with_hint(format!(
                    "What was done is kept: `cwm runs resume {}` goes on when that is mended.",
                    run.id
                ))
                .into(),
        );
    }
    close(
        &finished,
        kept.as_deref(),
        matches!(handed_over, Ok(true)),
        printer,
    );
    handed_over.map(|_| code)
}

/// The closing words.
fn close(finished: &Finished, patch: Option<&Path>, handed_over: bool, printer: &mut Printer) {
    let run = &finished.prepared.run;
    if printer.is_json() {
        if finished.resumable() {
            printer.note(format_args!("`cwm runs resume {}` goes on.", run.id));
        }
        return;
    }
    let outcome = &finished.outcome;
    let page = run.path.join(PAGE);
    let closing = Summary {
        run: &run.id,
        baseline: &finished.baseline.runs,
        attempts: &outcome.attempts,
        failures: &outcome.failures,
        chosen: outcome.best(),
        interrupted: outcome.interrupted,
        patch,
        handed_over,
        proof: outcome.proof(),
        reasons: outcome
            .decision
            .places
            .first()
            .map_or(&[], |place| place.reasons.as_slice()),
        page: Some(page.as_path()).filter(|page| page.is_file()),
        journal: &journal_path(&run.path),
        resumable: finished.resumable(),
        seconds: outcome.seconds,
    };
    summary(&closing, printer);
}

/// Prints the patch, or writes and applies it, as asked. It is kept in the run's folder, whatever becomes of that.
fn hand_over(
    best: &Attempted,
    kept: &Path,
    finished: &Finished,
    arguments: &FixArguments,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let patch = &best.candidate.patch;
    match &arguments.result.output {
        Some(path) => std::fs::write(path, patch)
            .with_context(|| unwritable(path).with_hint(format!("The patch is kept: {}", kept.display())))?,
        None if printer.is_json() => {}
        None => printer.result(patch)?,
    }
    if arguments.result.apply {
        let parsed = parse(patch).map_err(|error| Failure::new(ExitCode::Internal, error.to_string()))?;
        let root = &finished.prepared.copies.snapshot.root;
        to_repository(root, &parsed, ApplyOptions::default()).map_err(|error| {
            Failure::new(ExitCode::Conflict, error.to_string()).with_hint(format!(
                "Nothing was changed: the files are not as they were when the run began. `cwm apply --3way {}` merges.",
                quoted(&kept.display().to_string())
            ))
        })?;
        printer.note(format_args!("The patch was applied to {}.", root.display()));
    }
    Ok(())
}

/// Every candidate's patch lies in the run's folder.
fn keep_candidates(run: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let folder = run.join("candidates");
    std::fs::create_dir_all(&folder).with_context(|| unwritable(&folder))?;
    for attempted in &outcome.attempts {
        let path = folder.join(format!("{}.diff", attempted.candidate.attempt));
        write(&path, &attempted.candidate.patch)?;
    }
    Ok(())
}

fn report(
    finished: &Finished,
    code: ExitCode,
    patch_file: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let outcome = &finished.outcome;
    let best = outcome.best();
    let attempts: Vec<ReportedAttempt<'_>> = outcome
        .attempts
        .iter()
        .map(|attempted| ReportedAttempt {
            candidate: &attempted.candidate,
            verdict: &attempted.verdict,
        })
        .collect();
    let report = Report {
        run: &finished.prepared.record,
        outcome: code.meaning(),
        verified: outcome.verified(),
        chosen: best.map(|best| best.candidate.attempt.as_str()),
        patch: best.map(|best| display_text(&best.candidate.patch)),
        patch_file,
        baseline: &finished.baseline.runs,
        flaky: &finished.baseline.flaky,
        attempts: &attempts,
        failures: &outcome.failures,
        evidence: &outcome.decision.evidence,
        places: places(&outcome.decision),
        resumable: finished.resumable(),
        seconds: outcome.seconds,
    };
    let text = serde_json::to_vec_pretty(&report)?;
    let folder = &finished.prepared.run.path;
    write(&folder.join("report.json"), &text)?;
    // The patch and the evidence are there without it.
    match page_of(finished) {
        Ok(page) => write(&folder.join(PAGE), page.as_bytes())?,
        Err(error) => printer.warning(format_args!("there is no {PAGE}: {error:#}")),
    }
    printer.event("fix.result", &report)
}

fn places(decision: &Decision) -> Vec<ReportedPlace<'_>> {
    let candidate = |index: usize| decision.evidence.candidates.get(index);
    let places = decision.places.iter();
    places
        .map(|place| ReportedPlace {
            attempt: candidate(place.index).map_or("", |candidate| candidate.name.as_str()),
            confidence: place.confidence,
            same: place.same,
            alike: place.alike,
            reasons: &place.reasons,
        })
        .collect()
}

/// The report for a browser.
fn page_of(finished: &Finished) -> anyhow::Result<String> {
    let path = journal_path(&finished.prepared.run.path);
    let lines =
        journal::read(&path).map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    let records: Vec<Record> = lines.into_iter().map(|line| line.record).collect();
    let baseline = &finished.baseline;
    Ok(page(&Story {
        run: &finished.prepared.record,
        outcome: &finished.outcome,
        failing_before: &failing_before(&baseline.runs, &baseline.flaky),
        records: &records,
    })?)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| unwritable(path))
}

fn unwritable(path: &Path) -> Failure {
    Failure::new(
        ExitCode::Environment,
        format!("{} cannot be written.", PathBuf::from(path).display()),
    )
}
