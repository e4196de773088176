//! From the tools' typed results to the variables of templates.

use cwm_tools::call::{CallError, Tool};
use cwm_tools::edit::{Difference, EditDone, EditFailure, EditSyntaxError, NearMiss, NoMatch, PartialMatch};
use cwm_tools::files::FileError;
use minijinja::{Value, context};

use super::SessionEnd;

pub(super) fn edit_done(done: &EditDone) -> Value {
    let lines: Vec<Value> = done
        .excerpt
        .iter()
        .map(|(number, text)| numbered(*number, text))
        .collect();
    let EditDone {
        path,
        first_line,
        removed_lines,
        added_lines,
        total_lines,
        ..
    } = done;
    context! { path, first_line, removed_lines, added_lines, total_lines, lines }
}

/// A line as `cat -n` would number it.
fn numbered(number: usize, text: &str) -> Value {
    context! { number => format!("{number:>6}"), text }
}

pub(super) fn edit_syntax(error: &EditSyntaxError) -> Value {
    match error {
        EditSyntaxError::MissingPath => context! { kind => "missing_path" },
        EditSyntaxError::MissingSearch => context! { kind => "missing_search" },
        EditSyntaxError::MissingDivider => context! { kind => "missing_divider" },
        EditSyntaxError::MissingReplace => context! { kind => "missing_replace" },
        EditSyntaxError::SeveralBlocks { searches, replaces } => {
            context! { kind => "several_blocks", searches, replaces }
        }
        EditSyntaxError::TextOutside { line } => context! { kind => "text_outside", line },
        EditSyntaxError::EmptySearch => context! { kind => "empty_search" },
        EditSyntaxError::TooManyDividers { count } => context! { kind => "too_many_dividers", count },
    }
}

/// The template for a failure, with its variables.
pub(super) fn edit_failure(path: &str, failure: &EditFailure) -> (&'static str, Value) {
    match failure {
        EditFailure::NoMatch(known) => ("edit_no_match", no_match(path, known)),
        EditFailure::SeveralMatches { lines, count } => {
            ("edit_several_matches", context! { path, lines, count })
        }
        EditFailure::NoChange { line } => ("edit_no_change", context! { path, line }),
        EditFailure::AmbiguousDivider { lines } => ("edit_ambiguous_divider", context! { path, lines }),
    }
}

fn no_match(path: &str, known: &NoMatch) -> Value {
    let nearest: Vec<Value> = known
        .nearest
        .iter()
        .map(|near| numbered(near.line, &near.text))
        .collect();
    let near_miss = known.near_miss.as_ref().map(near_miss);
    let partial = known.partial.as_ref().map(|part| {
        let PartialMatch {
            first_line,
            matched_lines,
            expected,
            found,
        } = part;
        context! { first_line, matched_lines, expected, found }
    });
    let replacement_at = known.replacement_at;
    context! { path, near_miss, partial, replacement_at, nearest }
}

fn near_miss(miss: &NearMiss) -> Value {
    let difference = match &miss.difference {
        Difference::TrailingWhitespace => context! { difference => "trailing_whitespace" },
        Difference::LetterCase => context! { difference => "letter_case" },
        Difference::Whitespace => context! { difference => "whitespace" },
        Difference::Indentation { line, file, search } => context! {
            difference => "indentation",
            indent_line => line,
            file_tabs => file.tabs,
            file_spaces => file.spaces,
            search_tabs => search.tabs,
            search_spaces => search.spaces,
        },
    };
    context! { line => miss.line, count => miss.count, ..difference }
}

pub(super) fn call_error(error: &CallError) -> Value {
    let tools = Tool::ALL.map(Tool::name);
    let variables = match error {
        CallError::None => context! { kind => "none" },
        CallError::Several(count) => context! { kind => "several", count },
        CallError::Unbalanced { opening, closing } => context! { kind => "unbalanced", opening, closing },
        CallError::Unknown { name } => context! { kind => "unknown", name },
        CallError::Empty { tool } => context! { kind => "empty", tool },
        CallError::MissingEnd => context! { kind => "missing_end" },
        CallError::RepeatedEnd(count) => context! { kind => "repeated_end", count },
    };
    context! { tools, ..variables }
}

pub(super) fn file_error(error: &FileError) -> Value {
    match error {
        FileError::NotFound { path } => context! { kind => "not_found", path },
        FileError::IsDirectory { path } => context! { kind => "is_directory", path },
        FileError::OutsideRoots { path, roots } => context! { kind => "outside_roots", path, roots },
        FileError::ParentMissing { path, parent } => context! { kind => "parent_missing", path, parent },
        FileError::AlreadyExists { path } => context! { kind => "already_exists", path },
        FileError::NotRegular { path, what } => context! { kind => "not_regular", path, what },
        FileError::TooLarge { path, limit } => context! { kind => "too_large", path, limit },
        FileError::NotText { path, offset } => context! { kind => "not_text", path, offset },
        FileError::InsideGit { path } => context! { kind => "inside_git", path },
        FileError::ChangedMeanwhile { path } => context! { kind => "changed_meanwhile", path },
        FileError::Io { path, message, .. } => context! { kind => "io", path, message },
    }
}

pub(super) fn session_end(end: &SessionEnd) -> Value {
    match end {
        SessionEnd::TimedOut { seconds } => context! { kind => "timed_out", seconds },
        SessionEnd::Exited { code } => context! { kind => "exited", code },
        SessionEnd::Killed { signal } => context! { kind => "killed", signal },
        SessionEnd::OutOfMemory { bytes } => context! { kind => "out_of_memory", limit => size(*bytes) },
        SessionEnd::DiskFull { bytes } => context! { kind => "disk_full", limit => size(*bytes) },
        SessionEnd::TooManyProcesses { processes } => {
            context! { kind => "too_many_processes", limit => processes }
        }
        SessionEnd::Restarted { reason } => context! { kind => "restarted", reason },
    }
}

/// A size in the largest unit that leaves a whole number.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}
