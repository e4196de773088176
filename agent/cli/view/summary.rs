//! What is said at the end of a run: what was tried, what the tests said before and after, what is uncertain, and how to go on.

use std::path::Path;

use super::lines::{effect, patch_size};
use super::words::{count, ending, one_line, outcome, several, time, turn};
use crate::cli::text::wrap;
use crate::cli::{Printer, Style};
use crate::rollout::journal::Verdict;
use crate::scaling::{Attempted, Proof};
use crate::suite::{TestRun, narrowed, quoted};

/// The most names of tests, and the most attempts, that are listed.
const MOST_LISTED: usize = 10;

/// The widest text that is pleasant to read.
const MOST_COLUMNS: usize = 100;

/// A run that ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary<'a> {
    /// The run's id.
    pub(crate) run: &'a str,
    /// What the tests said before any change.
    pub(crate) baseline: &'a [TestRun],
    /// The attempts that ended, best first.
    pub(crate) attempts: &'a [Attempted],
    /// Attempts that failed, and why.
    pub(crate) failures: &'a [(String, String)],
    /// The best one, if its patch can be used.
    pub(crate) chosen: Option<&'a Attempted>,
    /// Whether the user, or the clock, ended the run before its end.
    pub(crate) interrupted: bool,
    /// Where the chosen patch lies.
    pub(crate) patch: Option<&'a Path>,
    /// Whether the chosen patch was given out: printed, written or applied.
    pub(crate) handed_over: bool,
    /// What shows that the chosen one solves the issue, if anything does.
    pub(crate) proof: Option<Proof>,
    /// Why the chosen one stands before the others.
    pub(crate) reasons: &'a [String],
    /// Where the report for a browser lies, if there is one.
    pub(crate) page: Option<&'a Path>,
    /// Where the journal lies.
    pub(crate) journal: &'a Path,
    /// Whether `cwm runs resume` could go on.
    pub(crate) resumable: bool,
    /// How long the run took.
    pub(crate) seconds: f64,
}

/// Says it on stderr, in lines as wide as the terminal.
pub(crate) fn summary(report: &Summary<'_>, printer: &mut Printer) {
    let columns = printer.screen().columns.clamp(20, MOST_COLUMNS + 1) - 1;
    let mut writer = Writer {
        printer,
        columns,
        text: String::new(),
    };
    writer.verdict(report);
    writer.tests(report);
    writer.tried(report);
    writer.uncertain(report);
    writer.files(report);
    let text = writer.text;
    printer.note(text.trim_end());
}

/// Gathers the text.
struct Writer<'a> {
    printer: &'a Printer,
    columns: usize,
    text: String,
}

impl Writer<'_> {
    /// A paragraph; lines but the first are indented so far.
    fn write(&mut self, text: &str, indent: usize) {
        for line in wrap(text, self.columns, indent) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    fn heading(&mut self, text: &str) {
        let heading = self.printer.paint_message(Style::Strong, text);
        self.text.push_str(&format!("\n{heading}\n"));
    }

    /// The outcome in a sentence.
    fn verdict(&mut self, report: &Summary<'_>) {
        let (style, sentence) = verdict(report);
        for line in wrap(&sentence, self.columns, 0) {
            let line = self.printer.paint_message(style, &line);
            self.text.push_str(&format!("{line}\n"));
        }
    }

    /// The tests before and after.
    fn tests(&mut self, report: &Summary<'_>) {
        if report.baseline.is_empty() {
            return;
        }
        self.heading("Tests");
        let verdict = report.chosen.map(|chosen| &chosen.verdict);
        for before in report.baseline {
            self.write(&format!("  {}", one_line(&before.command.command)), 4);
            self.write(&format!("    before: {}", outcome(before)), 12);
            let same = |run: &&TestRun| run.command.command == before.command.command;
            if let Some(after) = verdict.and_then(|verdict| verdict.runs.iter().find(same)) {
                self.write(&format!("    after:  {}", outcome(after)), 12);
            }
        }
        let Some(changes) = verdict.map(|verdict| &verdict.changes) else {
            return;
        };
        self.names("fixed", &changes.fixed);
        self.names("broken", &changes.broken);
        self.names("no longer run", &changes.vanished);
        self.names("still failing", &changes.still_failing);
        self.names("new, and failing", &changes.new_failing);
    }

    fn names(&mut self, what: &str, names: &[String]) {
        if names.is_empty() {
            return;
        }
        self.write(&format!("  {what}:"), 4);
        for name in names.iter().take(MOST_LISTED) {
            self.write(&format!("    {}", one_line(name)), 6);
        }
        self.more(names.len());
    }

    fn more(&mut self, all: usize) {
        if all > MOST_LISTED {
            self.write(&format!("    and {} more", count(all - MOST_LISTED)), 6);
        }
    }

    /// Every attempt in a line or two.
    fn tried(&mut self, report: &Summary<'_>) {
        if report.attempts.is_empty() && report.failures.is_empty() {
            return;
        }
        self.heading("Tried");
        for attempted in report.attempts.iter().take(MOST_LISTED) {
            let candidate = &attempted.candidate;
            let chosen = report
                .chosen
                .is_some_and(|chosen| chosen.candidate.attempt == candidate.attempt);
            let mark = if chosen { '*' } else { ' ' };
            let text = format!(
                "{mark} {}: {} after {}; {}; {}; {}, {}",
                one_line(&candidate.attempt),
                ending(candidate),
                several(candidate.turns, turn(Some(candidate.strategy))),
                patch_size(&candidate.patch),
                judged(&attempted.verdict),
                several(candidate.completion_tokens, "token"),
                time(candidate.seconds)
            );
            self.write(&text, 4);
        }
        self.more(report.attempts.len());
        if report.attempts.len() > 1 && !report.reasons.is_empty() {
            self.write(
                &format!("  the first: {}", one_line(&report.reasons.join("; "))),
                4,
            );
        }
        for (attempt, reason) in report.failures.iter().take(MOST_LISTED) {
            self.write(&format!("  {}: {}", one_line(attempt), one_line(reason)), 4);
        }
        let sampled: usize = report
            .attempts
            .iter()
            .map(|attempted| attempted.candidate.completion_tokens)
            .sum();
        let text = format!(
            "  {} sampled in {}",
            several(sampled, "token"),
            time(report.seconds)
        );
        self.write(&text, 4);
    }

    /// What a person should look at before trusting the patch.
    fn uncertain(&mut self, report: &Summary<'_>) {
        let Some(verdict) = report.chosen.map(|chosen| &chosen.verdict) else {
            return;
        };
        let mut doubts: Vec<String> = verdict.remarks.iter().map(|remark| one_line(remark)).collect();
        if !verdict.test_files.is_empty() {
            let files: Vec<String> = verdict.test_files.iter().take(MOST_LISTED).cloned().collect();
            doubts.push(format!(
                "The patch changes tests, which did not count: {}.",
                one_line(&files.join(", "))
            ));
        }
        if !verdict.flaky.is_empty() {
            doubts.push(format!(
                "{} did not say the same each time and did not count.",
                several(verdict.flaky.len(), "test")
            ));
        }
        if doubts.is_empty() && !verdict.but_for_still_failing {
            return;
        }
        self.heading("Uncertain");
        for doubt in doubts.iter().take(MOST_LISTED) {
            self.write(&format!("  {doubt}"), 4);
        }
        if verdict.but_for_still_failing {
            self.other_matters(verdict);
        }
    }

    /// How to say that what failed before and fails still is not the issue's. The options are not broken over lines.
    fn other_matters(&mut self, verdict: &Verdict) {
        let tests = own_tests(verdict);
        let end = if tests.is_empty() { " with --test." } else { ":" };
        let text = format!(
            "  Nothing else speaks against it. Where what still fails is another matter, name the issue's own tests{end}"
        );
        self.write(&text, 4);
        for test in tests {
            let test = crate::cli::text::plain(&quoted(&test));
            self.text.push_str(&format!("    --test {test}\n"));
        }
    }

    /// Where everything lies, and what to do next. Paths and commands are not broken over lines, so that they can be copied.
    fn files(&mut self, report: &Summary<'_>) {
        self.heading("Kept");
        let mut lines = Vec::new();
        if let Some(patch) = report.patch {
            let patch = patch.display().to_string();
            lines.push(("patch", patch.clone()));
            if !report.handed_over {
                lines.push(("apply", format!("cwm apply {}", quoted(&patch))));
            }
        }
        if let Some(page) = report.page {
            lines.push(("report", page.display().to_string()));
        }
        lines.push(("journal", report.journal.display().to_string()));
        lines.push(("look", format!("cwm runs show {}", report.run)));
        if report.resumable {
            lines.push(("go on", format!("cwm runs resume {}", report.run)));
        }
        for (name, text) in lines {
            let text = crate::cli::text::plain(&text);
            self.text.push_str(&format!("  {name:<8} {text}\n"));
        }
    }
}

/// The outcome in a sentence, and how good it is.
fn verdict(report: &Summary<'_>) -> (Style, String) {
    let Some(chosen) = report.chosen else {
        let why = match (report.interrupted, report.attempts.is_empty()) {
            (true, _) => "The run ended before there was a patch.",
            (false, true) => "No attempt came to an end.",
            (false, false) => "No attempt yielded a patch that can be used.",
        };
        return (Style::Caution, why.to_owned());
    };
    let name = one_line(&chosen.candidate.attempt);
    let changes = &chosen.verdict.changes;
    // Verified ones are always to be handed over.
    let kept_back = if report.handed_over {
        ""
    } else {
        " It was not handed over as asked."
    };
    if let Some(Proof::WrittenTests {
        passed,
        of,
        confidence,
    }) = report.proof
    {
        let sentence = format!(
            "Verified: the patch of {name} passes {passed} of {} written for the issue and breaks none of the repository's; {:.0} in 100 such patches are right.{kept_back}",
            several(of, "test"),
            confidence * 100.0
        );
        return (Style::Good, sentence);
    }
    if chosen.verdict.verified {
        let sentence = format!(
            "Verified: the patch of {name} makes {} pass and breaks none.{kept_back}",
            failing(changes.fixed.len())
        );
        return (Style::Good, sentence);
    }
    let broken = changes.broken.len() + changes.vanished.len();
    let sentence = match (changes.fixed.len(), broken) {
        (0, 0) => format!("Not verified: the patch of {name} changes nothing of what the tests say."),
        (0, _) => format!(
            "Not verified: the patch of {name} conflicts with {}.",
            several(broken, "test")
        ),
        (fixed, 0) if chosen.verdict.but_for_still_failing => {
            let still = changes.still_failing.len();
            let verb = if still == 1 { "fails" } else { "fail" };
            format!(
                "Not verified: the patch of {name} makes {} pass and breaks none, but {} that failed before {verb} still.",
                failing(fixed),
                several(still, "test")
            )
        }
        (fixed, 0) => format!("Not verified: the patch of {name} makes {} pass.", failing(fixed)),
        (fixed, _) => format!(
            "Not verified: the patch of {name} makes {} pass, but conflicts with {}.",
            failing(fixed),
            several(broken, "test")
        ),
    };
    (Style::Caution, sentence)
}

/// Commands that leave out what failed before and fails still: whole ones, or with the names of tests that were fixed. None where that
/// cannot be told for each command that fixed tests are in.
fn own_tests(verdict: &Verdict) -> Vec<String> {
    let changes = &verdict.changes;
    let mut commands = Vec::new();
    for run in &verdict.runs {
        let command = run.command.command.as_str();
        let of_it = |name: &&String| *name == command || run.tests.contains_key(*name);
        let fixed: Vec<&str> = changes.fixed.iter().filter(of_it).map(String::as_str).collect();
        if !changes.still_failing.iter().any(|name| of_it(&name)) {
            commands.push(command.to_owned());
        } else if !fixed.is_empty() {
            match narrowed(&run.command, &fixed) {
                Some(narrow) if fixed.len() <= MOST_LISTED => commands.push(narrow),
                _ => return Vec::new(),
            }
        }
    }
    commands
}

fn failing(number: usize) -> String {
    several(number, "failing test")
}

/// What a fresh copy said of a candidate.
fn judged(verdict: &Verdict) -> String {
    match &verdict.refused {
        Some(reason) => one_line(reason),
        None => effect(verdict),
    }
}
