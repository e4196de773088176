//! `cwm runs list`: the runs there are, newest first.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use cwm_tools::workspace::runs::{JOURNAL, RunFolder, RunState};
use serde::Serialize;

use super::state_name;
use crate::cli::text::{cut, plain, width};
use crate::cli::walls::{no_copy, open_runs};
use crate::cli::{Environment, ExitCode, Printer, Style};
use crate::rollout::journal::{self, Record};

/// List the runs that there are, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
A run is live while a cwm process works on it, resumable when it was cut short, finished when it came to its end.

Examples:
  cwm runs list
  cwm runs list --json | grep '\"state\":\"resumable\"'")]
pub(crate) struct ListArguments {}

/// A run, as an event.
#[derive(Debug, Default, Serialize)]
struct RunEvent {
    id: String,
    state: &'static str,
    began: Option<f64>,
    repository: Option<String>,
    issue: Option<String>,
    model: Option<String>,
    outcome: Option<String>,
    verified: Option<bool>,
    path: String,
    problem: Option<String>,
}

/// Shows every run that has a journal.
pub(super) fn run(
    _arguments: &ListArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let runs = open_runs(environment)?;
    let mut all = runs.all().map_err(no_copy)?;
    // Commands such as `cwm sandbox` have folders too, and leave nothing to tell.
    all.retain(|run| run.path.join(JOURNAL).is_file());
    all.reverse();
    let events: Vec<RunEvent> = all.iter().map(event).collect();
    if printer.is_json() {
        for event in &events {
            printer.event("runs.run", event)?;
        }
        return Ok(ExitCode::Success);
    }
    if events.is_empty() {
        printer.note("there are no runs yet; `cwm fix` makes one");
        return Ok(ExitCode::Success);
    }
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    let text = table(&events, columns, now(), printer);
    printer.result(text)?;
    Ok(ExitCode::Success)
}

/// Seconds since 1970.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

/// What the ends of a run's journal say of it.
fn event(run: &RunFolder) -> RunEvent {
    let mut event = RunEvent {
        id: run.id.clone(),
        state: state_name(run.state),
        path: run.path.display().to_string(),
        ..RunEvent::default()
    };
    let (first, last) = match journal::read_ends(&run.path.join(JOURNAL)) {
        Ok(ends) => ends,
        Err(error) => {
            event.problem = Some(error.to_string());
            return event;
        }
    };
    if let Some(line) = first {
        event.began = Some(line.time);
        if let Record::Run(record) = line.record {
            event.issue = Some(first_line(&record.issue));
            event.repository = Some(record.repository);
            event.model = Some(record.model.name);
        }
    }
    if let Some(Record::End {
        outcome, verified, ..
    }) = last.map(|line| line.record)
    {
        event.outcome = Some(outcome);
        event.verified = Some(verified);
    }
    event
}

/// The first line of an issue that says something, without what marks it as a heading.
fn first_line(issue: &str) -> String {
    const MOST: usize = 200;
    let lines = issue.lines().map(|line| line.trim_start_matches('#').trim());
    let line = lines
        .into_iter()
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    line.chars().take(MOST).collect()
}

/// The table, for so many columns; 0 for as many as it takes.
fn table(events: &[RunEvent], columns: usize, now: f64, printer: &Printer) -> String {
    let mut rows = vec![["RUN", "STATE", "AGE", "OUTCOME", "REPOSITORY", "ISSUE"].map(str::to_owned)];
    rows.extend(events.iter().map(|event| {
        let repository = event.repository.as_deref().unwrap_or("-");
        let folder = repository.trim_end_matches('/').rsplit('/').next();
        let issue = event.issue.as_deref().or(event.problem.as_deref());
        [
            event.id.clone(),
            event.state.to_owned(),
            event.began.map_or("-".to_owned(), |began| age(now - began)),
            outcome(event),
            cut(&plain(folder.unwrap_or(repository)), 24),
            plain(issue.unwrap_or("-")),
        ]
    }));
    let widths: Vec<usize> = (0..6)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut taken = 0;
        for (column, (cell, width_of_column)) in row.iter().zip(&widths).enumerate() {
            let last = column + 1 == row.len();
            let shown = if last && columns > 0 {
                cut(cell, columns.saturating_sub(taken + 1).max(10))
            } else {
                cell.clone()
            };
            let blanks = if last {
                0
            } else {
                width_of_column - width(&shown) + 2
            };
            text.push_str(&match style(number, column, events) {
                Some(style) => printer.paint(style, &shown),
                None => shown,
            });
            text.push_str(&" ".repeat(blanks));
            taken += width_of_column + 2;
        }
        text.push('\n');
    }
    text
}

/// What a cell of the table is, for its colour; row 0 is the headings.
fn style(row: usize, column: usize, events: &[RunEvent]) -> Option<Style> {
    let Some(event) = row.checked_sub(1).and_then(|at| events.get(at)) else {
        return Some(Style::Strong);
    };
    match column {
        1 if event.state == state_name(RunState::Resumable) => Some(Style::Caution),
        1 if event.state == state_name(RunState::Dead) => Some(Style::Bad),
        2 => Some(Style::Faint),
        3 if event.verified == Some(true) => Some(Style::Good),
        5 if event.problem.is_some() => Some(Style::Bad),
        _ => None,
    }
}

fn outcome(event: &RunEvent) -> String {
    match (&event.outcome, event.verified) {
        (Some(_), Some(true)) => "verified".to_owned(),
        (Some(outcome), _) => plain(&outcome.replace('_', " ")),
        (None, _) => "-".to_owned(),
    }
}

/// How long ago something was: `now`, `5m`, `3h`, `12d`.
fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => "now".to_owned(),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, words) in [
            (-5.0, "now"),
            (59.0, "now"),
            (61.0, "1m"),
            (7200.0, "2h"),
            (1e6, "11d"),
        ] {
            assert_eq!(age(seconds), words);
        }
    }

    #[test]
    fn an_issue_is_named_by_its_first_line_with_words() {
        for (issue, line) in [("\n\n## A title \n\nText", "A title"), ("", ""), ("#\n\nx", "x")] {
            assert_eq!(first_line(issue), line);
        }
        assert_eq!(first_line(&"ž".repeat(1000)).chars().count(), 200);
    }
}
