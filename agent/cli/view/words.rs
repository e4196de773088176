//! Numbers, times and endings in words.

use crate::cli::text::{cut, plain};
use crate::rollout::journal::RunRecord;
use crate::rollout::{Candidate, Ending, Strategy};
use crate::suite::{RunEnding, Status, TestRun};

/// A time as a person reads it: `9.3 s`, `1m 05s`, `2h 03m`.
pub(crate) fn time(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in four characters or so: `950`, `1.2k`, `34k`, `2.1M`.
pub(crate) fn short(number: usize) -> String {
    let number = number as f64;
    match number {
        ..999.5 => format!("{number:.0}"),
        ..9_950.0 => format!("{:.1}k", number / 1e3),
        ..999_500.0 => format!("{:.0}k", number / 1e3),
        _ => format!("{:.1}M", number / 1e6),
    }
}

/// A number and its noun, which has an `s` when there are several.
pub(crate) fn several(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// How an attempt ended.
pub(crate) fn ending(candidate: &Candidate) -> String {
    match &candidate.ending {
        Ending::Finished => "finished".to_owned(),
        Ending::NotSubmitted => "finished without submitting".to_owned(),
        Ending::Turns => format!("used up its {}s", turn(Some(candidate.strategy))),
        Ending::Tokens => "filled its window".to_owned(),
        Ending::Time => "used up its time".to_owned(),
        Ending::FormatErrors => "could not be understood".to_owned(),
        Ending::Interrupted => "interrupted".to_owned(),
        Ending::NoAnswer => "gave no usable answer".to_owned(),
        Ending::Failed { reason } => format!("failed: {}", one_line(reason)),
    }
}

/// The name of an ending in JSON events.
pub(crate) fn ending_name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Finished => "finished",
        Ending::NotSubmitted => "not_submitted",
        Ending::Turns => "turns",
        Ending::Tokens => "tokens",
        Ending::Time => "time",
        Ending::FormatErrors => "format_errors",
        Ending::Interrupted => "interrupted",
        Ending::NoAnswer => "no_answer",
        Ending::Failed { .. } => "failed",
    }
}

/// What rounds of a strategy are called.
pub(crate) fn turn(strategy: Option<Strategy>) -> &'static str {
    match strategy {
        Some(Strategy::OneShot) => "round",
        Some(Strategy::Agentic) | None => "turn",
    }
}

/// How a run's attempts work, as flags have it.
pub(crate) fn strategy_of_run(run: &RunRecord) -> &'static str {
    if run.mixed {
        "mixed"
    } else {
        strategy(run.strategy)
    }
}

/// The same of a single attempt.
pub(crate) fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Agentic => "agentic",
        Strategy::OneShot => "one-shot",
    }
}

/// The name of a run's ending in JSON events, and why it ended so where that is told.
pub(crate) fn test_ending(run: &TestRun) -> (&'static str, Option<&str>) {
    match &run.ending {
        RunEnding::Ran => ("ran", None),
        RunEnding::NotStarted { reason } => ("not_started", Some(reason)),
        RunEnding::TimedOut => ("timed_out", None),
        RunEnding::Stopped { reason } => ("stopped", Some(reason)),
    }
}

/// What a run of the tests said: `2 failed, 112 passed`, or why it says nothing; of a part of them, also that it was one.
pub(crate) fn outcome(run: &TestRun) -> String {
    match &run.ending {
        RunEnding::NotStarted { reason } => return format!("did not start: {}", one_line(reason)),
        RunEnding::TimedOut => return format!("stopped at its time limit after {}", time(run.seconds)),
        RunEnding::Stopped { reason } => return format!("was stopped: {}", one_line(reason)),
        RunEnding::Ran => {}
    }
    let counts = [
        (run.count(Status::fails), "failed"),
        (run.count(Status::passes), "passed"),
        (run.count(|status| status == Status::Skipped), "skipped"),
    ];
    let parts = counts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts
        .map(|(number, word)| format!("{} {word}", count(number)))
        .collect();
    if parts.is_empty() {
        return "ran no test".to_owned();
    }
    let chosen = match run.selected.len() {
        0 => String::new(),
        number => format!(" ({} chosen)", several(number, "test")),
    };
    format!("{}{chosen}", parts.join(", "))
}

/// A text of strangers in one line of bearable length.
pub(crate) fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    // The text may be megabytes; more than this is never shown.
    let start: String = text.trim().chars().take(MOST + 1).collect();
    cut(&plain(&start), MOST)
}
