//! `cwm apply`: applies a patch to a repository, all of it or nothing.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cwm_tools::bytes_path;
use cwm_tools::patch::apply::{Applied, AppliedFile, ApplyOptions, to_repository};
use cwm_tools::patch::{ApplyError, Change, Repair, parse};
use cwm_tools::workspace;
use serde::Serialize;

use crate::cli::{ExitCode, Failure, Printer, input};

/// The largest patch that is read.
const MOST_BYTES: u64 = 1 << 30;

/// Apply a patch to a repository, all of it or nothing
///
/// Takes any git diff or plain unified diff. Wrong hunk counts and drifted line numbers are mended when the
/// context is unique. On a conflict nothing is changed, and the exit code is 5.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm apply fix.diff                   change the working tree
  cwm apply --index fix.diff           change the working tree and the index
  cwm apply --check fix.diff           only say whether it would apply
  curl -L URL.diff | cwm apply --3way  read stdin, merge where the files have moved on")]
pub(crate) struct ApplyArguments {
    /// The repository to change, or a folder in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Change the index as well as the working tree
    #[arg(long)]
    pub(crate) index: bool,
    /// Where the patch does not fit, merge with the versions that it was made from
    #[arg(long = "3way")]
    pub(crate) three_way: bool,
    /// Change nothing; say whether the patch would apply
    #[arg(long)]
    pub(crate) check: bool,
    /// The patch file; `-` is stdin
    #[arg(default_value = "-")]
    pub(crate) patch: PathBuf,
}

/// What happened to a file, as an event.
#[derive(Serialize)]
struct FileEvent {
    change: &'static str,
    old_path: Option<String>,
    new_path: Option<String>,
    repairs: Vec<String>,
    applied: bool,
}

/// Reads the patch and applies it.
pub(crate) fn run(arguments: &ApplyArguments, printer: &mut Printer) -> anyhow::Result<ExitCode> {
    let root = workspace::working_tree(&arguments.repo)
        .map_err(|error| Failure::new(ExitCode::Environment, error.to_string()))?;
    let text = read(&arguments.patch)?;
    let patch = parse(&text).map_err(|error| {
        Failure::new(
            ExitCode::Conflict,
            format!("{}: {error}", input::name(&arguments.patch)),
        )
        .with_hint("Make the patch with `git diff`, or with `cwm sandbox --diff`.")
    })?;
    let options = ApplyOptions {
        index: arguments.index,
        three_way: arguments.three_way,
        check_only: arguments.check,
        ..ApplyOptions::default()
    };
    let applied = to_repository(&root, &patch, options).map_err(|error| conflict(&error, arguments))?;
    show(&applied, arguments.check, printer)?;
    Ok(ExitCode::Success)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    input::read(path, MOST_BYTES).with_context(|| {
        Failure::new(
            ExitCode::Usage,
            format!("The patch {} cannot be read.", input::name(path)),
        )
    })
}

fn conflict(error: &ApplyError, arguments: &ApplyArguments) -> Failure {
    let failure = Failure::new(ExitCode::Conflict, error.to_string());
    if arguments.three_way {
        failure
    } else {
        failure
            .with_hint("Nothing was changed. `--3way` merges with the versions that the patch was made from.")
    }
}

fn show(applied: &Applied, only_checked: bool, printer: &mut Printer) -> anyhow::Result<()> {
    for file in &applied.files {
        let event = event(file, !only_checked);
        if printer.is_json() {
            printer.event("apply.file", &event)?;
            continue;
        }
        let path = event
            .new_path
            .as_deref()
            .or(event.old_path.as_deref())
            .unwrap_or_default();
        let from = match (&event.old_path, file.change) {
            (Some(old), Change::Renamed { .. } | Change::Copied { .. }) => format!(" (from {old})"),
            _ => String::new(),
        };
        printer.note(format_args!("{:<9} {path}{from}", event.change));
        for repair in &event.repairs {
            printer.note(format_args!("          {repair}"));
        }
    }
    if !printer.is_json() {
        let verb = if only_checked { "would change" } else { "changed" };
        printer.note(format_args!("{verb} {} file(s)", applied.files.len()));
    }
    Ok(())
}

fn event(file: &AppliedFile, applied: bool) -> FileEvent {
    let change = match file.change {
        Change::Added => "added",
        Change::Deleted => "deleted",
        Change::Modified => "modified",
        Change::Renamed { .. } => "renamed",
        Change::Copied { .. } => "copied",
    };
    let display = |path: &Option<bytes_path::RepoPath>| path.as_deref().map(bytes_path::display);
    let repairs = file.repairs.iter().map(Repair::to_string).collect();
    FileEvent {
        change,
        old_path: display(&file.old_path),
        new_path: display(&file.new_path),
        repairs,
        applied,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        apply: ApplyArguments,
    }

    #[test]
    fn flags_and_file_arrive() {
        let parse = |words: &[&str]| Line::try_parse_from(words).unwrap().apply;
        let plain = parse(&["apply"]);
        assert_eq!(
            (plain.repo.as_path(), plain.patch.as_path()),
            (".".as_ref(), "-".as_ref())
        );
        assert!(!plain.index && !plain.three_way && !plain.check);
        let full = parse(&[
            "apply", "--repo", "/r", "--index", "--3way", "--check", "fix.diff",
        ]);
        assert_eq!(
            (full.repo.as_path(), full.patch.as_path()),
            ("/r".as_ref(), "fix.diff".as_ref())
        );
        assert!(full.index && full.three_way && full.check);
    }
}
