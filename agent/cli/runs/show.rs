//! `cwm runs show`: a run as a person reads it in a terminal.
//!
//! Everything that models, commands and issues said is made harmless for the terminal, and cut unless all of it is asked for.

use std::io;

use clap::Args;
use serde::Serialize;

use super::story::{AttemptStory, Story};
use super::{find, forms, state_name};
use crate::cli::text::{cut, plain};
use crate::cli::view::words;
use crate::cli::walls::open_runs;
use crate::cli::{Environment, ExitCode, Printer, Style};
use crate::rollout::journal::{Line, Record, Verdict};
use crate::suite::TestRun;

/// Show what happened in a run
#[derive(Debug, Args)]
#[command(after_help = "\
Long texts are cut in the middle, and lines at the terminal's width; --full shows all.

Examples:
  cwm runs show last
  cwm --color always runs show last --full | less -R")]
pub(crate) struct ShowArguments {
    /// The run
    #[arg(value_name = "RUN")]
    run: String,
    /// Cut nothing
    #[arg(long)]
    full: bool,
}

/// A line of the journal, as an event.
#[derive(Serialize)]
struct RecordEvent<'a> {
    record: &'a Line,
}

/// Prints it.
pub(super) fn run(
    arguments: &ShowArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let run = find(&open_runs(environment)?, &arguments.run)?;
    let story = Story::read(&run)?;
    if printer.is_json() {
        for record in story.lines() {
            printer.event("runs.record", &RecordEvent { record })?;
        }
        return Ok(ExitCode::Success);
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    let mut page = Page {
        printer,
        full: arguments.full,
        columns: if columns == 0 { 100 } else { columns },
        text: String::new(),
    };
    page.header(&story, &run.id, state_name(run.state));
    page.baseline(&story);
    for attempt in story.attempts() {
        page.attempt(&attempt);
    }
    page.outcome(&story);
    let text = page.text;
    printer.result(text)?;
    Ok(ExitCode::Success)
}

/// What is printed, as it grows.
struct Page<'p> {
    printer: &'p Printer,
    full: bool,
    columns: usize,
    text: String,
}

/// How many lines of a text are shown, at its beginning and at its end.
const HEAD: usize = 10;
const TAIL: usize = 4;

impl Page<'_> {
    /// One line, cut to the width.
    fn line(&mut self, indent: usize, style: Option<Style>, text: &str) {
        let text = plain(&text.replace('\t', "    "));
        let shown = if self.full {
            text
        } else {
            cut(&text, self.columns.saturating_sub(indent).max(20))
        };
        let shown = shown.trim_end();
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(&match style {
            Some(style) => self.printer.paint(style, shown),
            None => shown.to_owned(),
        });
        self.text.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.line(0, Some(Style::Strong), text);
    }

    /// A text of several lines, the middle left out when it is long.
    fn block(&mut self, indent: usize, lines: &[(Option<Style>, &str)]) {
        let hidden = lines.len().saturating_sub(HEAD + TAIL);
        // A remark in the place of one line or two would save nothing.
        if self.full || hidden <= 2 {
            for (style, line) in lines {
                self.line(indent, *style, line);
            }
            return;
        }
        for (style, line) in lines.iter().take(HEAD) {
            self.line(indent, *style, line);
        }
        self.line(
            indent,
            Some(Style::Faint),
            &format!("… {hidden} more lines (--full shows them)"),
        );
        for (style, line) in lines.iter().skip(HEAD + hidden) {
            self.line(indent, *style, line);
        }
    }

    fn plain_block(&mut self, indent: usize, text: &str) {
        let lines: Vec<_> = text.trim_end().lines().map(|line| (None, line)).collect();
        self.block(indent, &lines);
    }

    fn header(&mut self, story: &Story, id: &str, state: &str) {
        self.line(0, Some(Style::Strong), &format!("run {id} ({state})"));
        let Some((_, run)) = story.beginning() else {
            self.line(2, Some(Style::Caution), "its journal does not say how it began");
            return;
        };
        let samples = words::several(run.samples, "attempt");
        let strategy = words::strategy_of_run(run);
        for (name, value) in [
            ("repository", run.repository.clone()),
            ("commit", run.base_commit.clone()),
            ("model", run.model.name.clone()),
            (
                "plan",
                format!("{strategy}, {samples} at most, seed {}", run.seed),
            ),
            ("cwm", run.cwm_version.clone()),
        ] {
            self.line(2, None, &format!("{name:<11}{value}"));
        }
        for test in &run.tests {
            self.line(2, None, &format!("{:<11}{}", "tests", test.command));
        }
        self.heading("issue");
        self.plain_block(2, &run.issue);
    }

    fn baseline(&mut self, story: &Story) {
        for record in story.records() {
            match record {
                Record::Baseline { runs, flaky } => {
                    self.heading("tests before anything was changed");
                    self.test_runs(2, runs);
                    if !flaky.is_empty() {
                        let flaky = flaky.join(", ");
                        self.line(
                            2,
                            Some(Style::Caution),
                            &format!("not the same each time: {flaky}"),
                        );
                    }
                }
                Record::Resumed { model, .. } => {
                    self.line(
                        0,
                        Some(Style::Caution),
                        &format!("the run was resumed, with {}", model.name),
                    );
                }
                Record::Notice { attempt: None, text } => self.line(0, Some(Style::Caution), text),
                _ => {}
            }
        }
    }

    fn test_runs(&mut self, indent: usize, runs: &[TestRun]) {
        for run in runs {
            let outcome = words::outcome(run);
            self.line(indent, None, &format!("{}: {outcome}", run.command.command));
            let failing: Vec<_> = run.failing().map(|name| (Some(Style::Bad), name)).collect();
            self.block(indent + 2, &failing);
        }
    }

    fn attempt(&mut self, attempt: &AttemptStory<'_>) {
        let how = attempt.beginning().map(|(strategy, seed, temperature)| {
            format!(
                " ({}, seed {seed}, temperature {temperature})",
                words::strategy(strategy)
            )
        });
        self.heading(&format!("{}{}", attempt.name, how.unwrap_or_default()));
        let spoken = forms::spoken(attempt);
        let mut messages = spoken.iter();
        // Messages come where their records stand; an answer is shown at its message, or where it stands when it has none.
        let mut shown_answer = false;
        for step in &attempt.steps {
            match step {
                Record::Generation { generated, .. } => {
                    if let Some((message, _)) = messages.next() {
                        let tokens = words::several(generated.usage.completion_tokens, "token");
                        let time = words::time(generated.seconds);
                        self.line(2, Some(Style::Strong), &format!("assistant, {tokens} in {time}"));
                        self.said(&message.content);
                        for call in &message.calls {
                            self.line(4, Some(Style::Strong), &format!("→ {}", call.name));
                            self.plain_block(6, &call.arguments);
                        }
                    }
                    shown_answer = true;
                }
                Record::Message { message, .. } => {
                    if !(shown_answer && message.role == "assistant")
                        && let Some((message, _)) = messages.next()
                    {
                        self.line(2, Some(Style::Strong), &message.role);
                        self.said(&message.content);
                    }
                    shown_answer = false;
                }
                other => self.step(other),
            }
        }
        if let Some(candidate) = attempt.candidate {
            let how = words::ending(candidate);
            let turns = words::several(candidate.turns, words::turn(Some(candidate.strategy)));
            let time = words::time(candidate.seconds);
            self.line(2, Some(Style::Strong), &format!("{how}, {turns}, {time}"));
            self.patch(&candidate.patch);
        }
        if let Some(verdict) = attempt.verdict {
            self.verdict(verdict);
        }
    }

    /// What an attempt did beside talking.
    fn step(&mut self, step: &Record) {
        match step {
            Record::Tool { used, .. } => {
                let failed = if used.done { "" } else { ", in vain" };
                let time = words::time(used.seconds);
                self.line(
                    2,
                    Some(Style::Strong),
                    &format!("→ {} ({time}{failed})", used.tool.name()),
                );
                self.plain_block(4, &used.content);
            }
            Record::Tests { runs, .. } => {
                self.line(2, Some(Style::Strong), "tests");
                self.test_runs(4, runs);
            }
            Record::Elision { elided, .. } => {
                let results = words::several(elided.messages.len(), "old result");
                let (before, after) = (
                    words::count(elided.tokens_before),
                    words::count(elided.tokens_after),
                );
                let text = format!("{results} taken out: {before} tokens before, {after} after");
                self.line(2, Some(Style::Caution), &text);
            }
            Record::Notice { text, .. } => self.line(2, Some(Style::Caution), text),
            _ => {}
        }
    }

    /// What somebody said: reasoning faint, the tags of calls strong.
    fn said(&mut self, text: &str) {
        let reasoning_lines = text
            .rfind("</think>")
            .map_or(0, |end| text.get(..end).unwrap_or_default().lines().count() + 1);
        let lines: Vec<_> = text
            .trim_end()
            .lines()
            .enumerate()
            .map(|(number, line)| {
                let reasons = number < reasoning_lines.saturating_sub(1) || line.starts_with("</think>");
                let tag = line.starts_with("<tool:") || line.starts_with("</tool>");
                let style = if reasons {
                    Some(Style::Faint)
                } else {
                    tag.then_some(Style::Strong)
                };
                (style, line)
            })
            .collect();
        self.block(4, &lines);
    }

    fn patch(&mut self, patch: &[u8]) {
        let text = String::from_utf8_lossy(patch);
        if text.trim().is_empty() {
            self.line(4, Some(Style::Faint), "no change");
            return;
        }
        let lines: Vec<_> = text
            .lines()
            .map(|line| {
                let style = match line.as_bytes().first() {
                    _ if line.starts_with("+++") || line.starts_with("---") => Some(Style::Strong),
                    Some(b'+') => Some(Style::Good),
                    Some(b'-') => Some(Style::Bad),
                    Some(b'@') => Some(Style::Faint),
                    _ => None,
                };
                (style, line)
            })
            .collect();
        self.block(4, &lines);
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let (style, text) = match (&verdict.refused, verdict.verified) {
            (Some(reason), _) => (Style::Bad, format!("could not be tried: {reason}")),
            (None, true) => (Style::Good, "verified".to_owned()),
            (None, false) => (Style::Caution, "not verified".to_owned()),
        };
        self.line(2, Some(style), &text);
        self.test_runs(4, &verdict.runs);
        for (names, what) in [
            (&verdict.changes.fixed, "fixed"),
            (&verdict.changes.broken, "broken"),
            (&verdict.changes.vanished, "gone"),
            (&verdict.test_files, "changed test file"),
        ] {
            let lines: Vec<String> = names.iter().map(|name| format!("{what}: {name}")).collect();
            let lines: Vec<_> = lines.iter().map(|line| (None, line.as_str())).collect();
            self.block(4, &lines);
        }
        for remark in &verdict.remarks {
            self.line(4, None, remark);
        }
    }

    fn outcome(&mut self, story: &Story) {
        let Some(end) = story.end() else {
            self.heading("the run has not come to its end");
            return;
        };
        let outcome = end.outcome.replace('_', " ");
        self.heading(&format!("{outcome} after {}", words::time(end.seconds)));
        match (end.chosen, end.verified) {
            (Some(chosen), true) => self.line(
                2,
                Some(Style::Good),
                &format!("{chosen} was chosen; its patch is verified"),
            ),
            (Some(chosen), false) => {
                self.line(
                    2,
                    Some(Style::Caution),
                    &format!("{chosen} is the best; its patch is not verified"),
                );
            }
            (None, _) => self.line(2, Some(Style::Caution), "no patch was chosen"),
        }
    }
}
