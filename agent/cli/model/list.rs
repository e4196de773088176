//! `cwm model list`: the models by name, and what is there of them.

use clap::Args;
use cwm_runtime::catalogue::{State, entries};
use serde::Serialize;

use super::store::store;
use crate::cli::values::size;
use crate::cli::{Environment, ExitCode, Printer, Style};

/// List the models that can be had by name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model list
  cwm model list --json | grep '\"state\":\"present\"'")]
pub(crate) struct ListArguments {}

/// A model, as an event.
#[derive(Serialize)]
struct EntryEvent<'a> {
    name: &'a str,
    title: &'a str,
    licence: &'a str,
    terms: Option<&'a str>,
    bytes: u64,
    state: &'static str,
    bytes_here: u64,
    path: String,
}

/// Shows every entry.
pub(super) fn run(
    _arguments: &ListArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let store = store(environment)?;
    for entry in entries() {
        let (state, bytes_here) = match store.state(entry) {
            State::Absent => ("absent", 0),
            State::Partial { bytes } => ("partial", bytes),
            State::Present => ("present", entry.size),
        };
        if printer.is_json() {
            let event = EntryEvent {
                name: entry.name,
                title: entry.title,
                licence: entry.licence,
                terms: entry.terms,
                bytes: entry.size,
                state,
                bytes_here,
                path: store.path(entry).display().to_string(),
            };
            printer.event("model.entry", &event)?;
            continue;
        }
        let there = match state {
            "present" => printer.paint(Style::Good, "on this machine"),
            "partial" => printer.paint(Style::Caution, &format!("{} of it here", size(bytes_here))),
            _ => printer.paint(Style::Faint, "not here"),
        };
        let name = printer.paint(Style::Strong, &format!("{:<19}", entry.name));
        printer.result(format!(
            "{name} {:>9}  {there}\n{}{}",
            size(entry.size),
            indented(entry.title),
            indented(entry.terms.unwrap_or(entry.licence))
        ))?;
    }
    if !printer.is_json() {
        printer.note(format_args!("models lie in {}", store.folder().display()));
    }
    Ok(ExitCode::Success)
}

/// A text in lines that a narrow terminal takes whole, below the sizes.
fn indented(text: &str) -> String {
    const WIDTH: usize = 60;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("{:20}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_narrow_and_lose_nothing() {
        for entry in entries() {
            for text in [entry.title, entry.terms.unwrap_or(entry.licence)] {
                let lines = indented(text);
                assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
                assert_eq!(lines.split_whitespace().collect::<Vec<_>>().join(" "), text);
            }
        }
    }
}
