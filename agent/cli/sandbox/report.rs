//! What `cwm sandbox` says: the copy it made, the command's output and end, and the diff.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use cwm_tools::bytes_path;
use cwm_tools::isolated::IsolatedError;
use cwm_tools::patch::LeftOut;
use cwm_tools::sandbox::{DiffDone, Ending, KillReason, Stream};
use cwm_tools::truncate::display_text;
use cwm_tools::workspace::Snapshot;
use serde::Serialize;

use crate::cli::{ExitCode, Failure, Printer};

#[derive(Serialize)]
struct CopyEvent {
    root: String,
    base_commit: String,
    files: u64,
    seconds: f64,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct OutputEvent<'a> {
    stream: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct EndedEvent {
    ending: String,
    exit_status: u8,
    seconds: f64,
}

#[derive(Serialize)]
struct DiffEvent<'a> {
    patch: String,
    file: Option<String>,
    statistics: cwm_tools::patch::Statistics,
    left_out: &'a [LeftOutEvent],
}

#[derive(Serialize)]
struct LeftOutEvent {
    path: String,
    reason: &'static str,
}

/// Tells what was copied.
pub(super) fn snapshot(printer: &mut Printer, snapshot: &Snapshot) -> anyhow::Result<()> {
    let notes: Vec<String> = snapshot.notes.iter().map(ToString::to_string).collect();
    let cost = &snapshot.cost;
    printer.detail(format_args!(
        "copied {} files of {} in {:.0} ms (the history's objects: {:.0} ms)",
        cost.tree_files,
        snapshot.root.display(),
        cost.total.as_secs_f64() * 1e3,
        cost.store.as_secs_f64() * 1e3,
    ));
    let event = CopyEvent {
        root: snapshot.root.display().to_string(),
        base_commit: snapshot.base_commit.to_string(),
        files: cost.tree_files,
        seconds: cost.total.as_secs_f64(),
        notes,
    };
    printer.event("sandbox.copy", &event)
}

/// Passes the command's output on: as it is, on stderr when stdout is the diff's, or as events.
pub(super) fn output(
    printer: &mut Printer,
    stream: Stream,
    bytes: &[u8],
    diff_follows: bool,
) -> anyhow::Result<()> {
    if printer.is_json() {
        let name = if stream == Stream::Output {
            "stdout"
        } else {
            "stderr"
        };
        return printer.event(
            "sandbox.output",
            &OutputEvent {
                stream: name,
                text: &display_text(bytes),
            },
        );
    }
    if stream == Stream::Output && !diff_follows {
        return printer.result(bytes);
    }
    printer.pass_on(bytes);
    Ok(())
}

/// Tells how the command ended, where its exit status alone does not.
pub(super) fn ended(printer: &mut Printer, ending: &Ending, time: Duration) -> anyhow::Result<()> {
    match ending {
        Ending::Exited(_) | Ending::ShellExited(_) => {}
        other => printer.warning(format_args!("the command was {other}")),
    }
    let event = EndedEvent {
        ending: ending.to_string(),
        exit_status: exit_code(ending).code(),
        seconds: time.as_secs_f64(),
    };
    printer.event("sandbox.ended", &event)
}

/// Prints the diff, or writes it to the file that was named.
pub(super) fn diff(printer: &mut Printer, diff: &DiffDone, file: Option<&Path>) -> anyhow::Result<()> {
    let left_out: Vec<LeftOutEvent> = diff
        .notes
        .iter()
        .map(|note| LeftOutEvent {
            path: bytes_path::display(&note.path),
            reason: reason(note.reason),
        })
        .collect();
    for (note, event) in diff.notes.iter().zip(&left_out) {
        let line = format!("not in the diff: {} ({})", event.path, event.reason);
        match note.reason {
            LeftOut::Ignored | LeftOut::Junk | LeftOut::Excluded => printer.detail(line),
            _ => printer.warning(line),
        }
    }
    if let Some(path) = file {
        std::fs::write(path, &diff.patch).with_context(|| {
            Failure::new(
                ExitCode::Environment,
                format!("{} cannot be written.", path.display()),
            )
        })?;
    }
    let sizes = diff.statistics;
    printer.note(format_args!(
        "{} file(s) changed, {} line(s) added, {} removed",
        sizes.files, sizes.added, sizes.removed
    ));
    if printer.is_json() {
        let event = DiffEvent {
            patch: display_text(&diff.patch),
            file: file.map(|path| path.display().to_string()),
            statistics: diff.statistics,
            left_out: &left_out,
        };
        return printer.event("sandbox.diff", &event);
    }
    if file.is_none() {
        printer.result(&diff.patch)
    } else {
        Ok(())
    }
}

fn reason(reason: LeftOut) -> &'static str {
    match reason {
        LeftOut::Ignored => "git ignores it",
        LeftOut::Junk => "a tool's cache or leftover",
        LeftOut::Excluded => "excluded",
        LeftOut::NestedRepository => "a repository of its own",
        LeftOut::Submodule => "it belongs to a submodule",
        LeftOut::SpecialFile => "neither file, folder nor link",
        LeftOut::TooLarge => "too large",
        LeftOut::LfsContent => "its content is kept by Git LFS",
        LeftOut::ForbiddenName => "git tracks no such name",
        LeftOut::Unreadable => "it cannot be read",
        LeftOut::TooDeep => "too many folders deep",
    }
}

/// The exit code that a command's end leads to.
pub(super) fn exit_code(ending: &Ending) -> ExitCode {
    let status = |number: i32| ExitCode::Command(u8::try_from(number).unwrap_or(u8::MAX));
    match ending {
        Ending::Exited(code) | Ending::ShellExited(code) => status(*code),
        Ending::Signalled(signal) => status(128 + signal),
        Ending::NotStarted { missing: true, .. } => status(127),
        Ending::NotStarted { missing: false, .. } => status(126),
        Ending::Killed(KillReason::Timeout) => ExitCode::TimedOut,
        Ending::Killed(KillReason::Cancelled) => ExitCode::Interrupted,
        Ending::Killed(KillReason::Disk | KillReason::Memory | KillReason::Processes) => {
            ExitCode::BudgetExhausted
        }
    }
}

/// The sandbox was lost under a running command.
pub(super) fn failed_while_running(error: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::SandboxFailed, error.to_string())
}

/// The command ran, but what it changed cannot be told.
pub(super) fn no_diff(error: IsolatedError) -> Failure {
    Failure::new(ExitCode::SandboxFailed, error.to_string())
}
