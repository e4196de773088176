//! The live area: a line for the run and one for each attempt, as wide as the terminal is.

use super::state::{Attempt, Doing, Judgement, Overview};
use super::words::{one_line, several, short, time, turn};
use crate::cli::Style;
use crate::cli::live::LiveLine;
use crate::cli::text::{cut, width};

/// The most lines of the area.
const MOST_LINES: usize = 12;

/// The area at a time, for a terminal of so many columns and rows.
pub(super) fn lines(overview: &Overview, now: f64, columns: usize, rows: usize) -> Vec<LiveLine> {
    // The last column and the last row stay free.
    let columns = columns.saturating_sub(1);
    let most = MOST_LINES.min(rows.saturating_sub(1)).max(1);
    let mut lines = vec![header(overview, now, columns)];
    let room = most - 1;
    if overview.attempts.is_empty() && overview.baseline.is_empty() && room > 0 {
        let doing = "running the tests before any change";
        lines.push(vec![(Some(Style::Faint), cut(doing, columns))]);
    }
    let attempts = &overview.attempts;
    // Those that work come first when there is no room for all; what is left out is counted.
    let mut shown: Vec<&Attempt> = attempts.iter().collect();
    if shown.len() > room {
        shown.sort_by_key(|attempt| !attempt.works());
        shown.truncate(room.saturating_sub(1));
    }
    lines.extend(shown.iter().map(|attempt| line(attempt, overview, now, columns)));
    if shown.len() < attempts.len() && room > 0 {
        let more = format!("and {} more", attempts.len() - shown.len());
        lines.push(vec![(Some(Style::Faint), cut(&more, columns))]);
    }
    lines
}

/// The run in one line: the most telling first, and as much as has room.
fn header(overview: &Overview, now: f64, columns: usize) -> LiveLine {
    let mut parts = Vec::new();
    let facts = overview.run.as_ref();
    parts.push(match overview.limit {
        Some(limit) => format!("{} of {}", time(now), time(limit.as_secs_f64())),
        None => time(now),
    });
    let ended = overview
        .attempts
        .iter()
        .filter(|attempt| !attempt.works())
        .count();
    let samples = facts
        .map_or(0, |facts| facts.samples)
        .max(overview.attempts.len());
    parts.push(format!("{ended}/{samples} ended"));
    let verified = overview
        .attempts
        .iter()
        .filter(|attempt| attempt.doing == Doing::Judged(Judgement::Verified))
        .count();
    if verified > 0 {
        parts.push(format!("{verified} verified"));
    }
    if let Some(rate) = overview.rate(now) {
        parts.push(format!("{rate:.0} tokens/s"));
    }
    let failing: usize = overview.baseline.iter().map(|run| run.failing().count()).sum();
    if !overview.baseline.is_empty() {
        parts.push(format!("{} before", several(failing, "failure")));
    }
    if let Some(facts) = facts {
        parts.push(one_line(&facts.model));
    }
    let mut text = String::new();
    for part in parts {
        let joined = match text.is_empty() {
            true => part,
            false => format!("{text} · {part}"),
        };
        if width(&joined) > columns && !text.is_empty() {
            break;
        }
        text = joined;
    }
    vec![(Some(Style::Strong), cut(&text, columns))]
}

/// An attempt in one line: its name, what it does, and its numbers at the right.
fn line(attempt: &Attempt, overview: &Overview, now: f64, columns: usize) -> LiveLine {
    let name = match columns {
        ..60 => attempt.name.trim_start_matches("attempt-").to_owned(),
        _ => attempt.name.clone(),
    };
    let name = cut(&one_line(&name), columns / 2);
    let mut numbers = numbers(attempt, now, columns);
    if width(&name) + width(&numbers) + 8 > columns {
        numbers.clear();
    }
    let gap = match (numbers.is_empty(), columns) {
        (true, _) => "",
        (false, ..60) => " ",
        (false, _) => "  ",
    };
    let taken = width(&name) + 1 + gap.len() + width(&numbers);
    let room = columns.saturating_sub(taken);
    let (style, doing) = doing(attempt, overview, columns);
    let doing = cut(&doing, room);
    let fill = " ".repeat(room - width(&doing).min(room));
    let mut line = vec![
        (Some(Style::Strong), name),
        (None, " ".to_owned()),
        (style, doing),
    ];
    if !numbers.is_empty() {
        line.push((Some(Style::Faint), format!("{fill}{gap}{numbers}")));
    }
    line
}

/// Tests fixed and broken, tokens and their rate, as far as a line of that width has room for them.
fn numbers(attempt: &Attempt, now: f64, columns: usize) -> String {
    let mut parts = Vec::new();
    if let Some((fixed, broken)) = attempt.tests {
        parts.push(match columns {
            ..60 => format!("+{fixed} -{broken}"),
            _ => format!("+{fixed} -{broken} tests"),
        });
    }
    if columns >= 30 {
        let unit = if columns < 60 { "" } else { " tokens" };
        parts.push(format!("{}{unit}", short(attempt.tokens())));
    }
    if let Some(rate) = attempt.rate(now)
        && columns >= 40
    {
        parts.push(format!("{rate:>3.0}/s"));
    }
    parts.join(if columns < 60 { " " } else { "  " })
}

fn doing(attempt: &Attempt, overview: &Overview, columns: usize) -> (Option<Style>, String) {
    let progress = progress(attempt, overview, columns);
    match &attempt.doing {
        Doing::Thinking => (None, format!("{progress} thinking")),
        Doing::Testing => (None, format!("{progress} testing")),
        Doing::Tool(tool, content) => {
            let content = one_line(content.lines().next().unwrap_or_default());
            (None, format!("{progress} {}: {content}", tool.name()))
        }
        Doing::Ended => (Some(Style::Faint), "ended, to be tried".to_owned()),
        Doing::Judged(Judgement::Verified) => (Some(Style::Good), "verified".to_owned()),
        Doing::Judged(Judgement::Unverified) => (Some(Style::Caution), "not verified".to_owned()),
        Doing::Judged(Judgement::Refused) => (Some(Style::Caution), "no usable patch".to_owned()),
    }
}

/// Which turn or round an attempt is in.
fn progress(attempt: &Attempt, overview: &Overview, columns: usize) -> String {
    // The answer that is coming belongs to the turn after those that were counted.
    let current = match attempt.doing {
        Doing::Thinking => attempt.turns + 1,
        _ => attempt.turns,
    };
    let word = turn(attempt.strategy);
    let budget = overview.run.as_ref().map(|facts| match word {
        "round" => facts.budget.rounds,
        _ => facts.budget.turns,
    });
    match (columns, budget) {
        (..30, _) => current.to_string(),
        (30..60, Some(budget)) => format!("{current}/{budget}"),
        (_, Some(budget)) => format!("{word} {current} of {budget},"),
        (_, None) => format!("{word} {current},"),
    }
}
