//! The issue's text, and what the repository's own files tell those who work on it.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use cwm_tools::truncate::display_text;

use super::FixArguments;
use crate::cli::{ExitCode, Failure, input};
use crate::rollout::Guidance;

/// The longest issue that is read; a model reads far less of it.
const MOST_BYTES: u64 = 16 << 20;
/// What a model is shown of a file of guidance.
const MOST_GUIDANCE: usize = 8 << 10;
/// Files that tell contributors how to work, in the order in which they are looked for.
const GUIDANCE: [&str; 4] = [
    "AGENTS.md",
    "CLAUDE.md",
    "CONTRIBUTING.md",
    ".github/CONTRIBUTING.md",
];

/// The text of `--issue` or `-m`.
pub(super) fn read(arguments: &FixArguments) -> anyhow::Result<String> {
    let (bytes, name) = match (&arguments.message, &arguments.issue) {
        (Some(text), _) => (text.clone().into_bytes(), "-m".to_owned()),
        (None, Some(path)) => {
            let name = input::name(path);
            if path == Path::new("-") && std::io::stdin().is_terminal() {
                let message = "--issue - reads the issue from standard input, which is a terminal here.";
                return Err(Failure::new(ExitCode::Usage, message)
                    .with_hint("Pipe the issue in, or give it with -m TEXT.")
                    .into());
            }
            let bytes = input::read(path, MOST_BYTES + 1).with_context(|| {
                Failure::new(ExitCode::Usage, format!("The issue {name} cannot be read."))
            })?;
            (bytes, name)
        }
        (None, None) => {
            return Err(Failure::new(ExitCode::Usage, "There is no issue to fix.")
                .with_hint("Give one with -m TEXT, --issue FILE, or --issue - for standard input.")
                .into());
        }
    };
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("The issue {name} has more than {} MiB.", MOST_BYTES >> 20);
        return Err(Failure::new(ExitCode::Usage, message)
            .with_hint("A model reads a few thousand words of an issue: cut it to what matters.")
            .into());
    }
    let text = display_text(&bytes).trim().to_owned();
    if text.is_empty() {
        return Err(Failure::new(ExitCode::Usage, format!("The issue {name} is empty.")).into());
    }
    Ok(text)
}

/// The files of a snapshot's tree that tell how to work on it.
pub(super) fn guidance(tree: &Path) -> Vec<Guidance> {
    let mut found = Vec::new();
    for name in GUIDANCE {
        let path = tree.join(name);
        // A symlink, of the file or of a folder above it, could lead out of the snapshot.
        let own = std::fs::canonicalize(&path)
            .ok()
            .zip(std::fs::canonicalize(tree).ok());
        let is_file = own.is_some_and(|(real, tree)| real == tree.join(name) && real.is_file());
        let Some(bytes) = is_file
            .then(|| input::read(&path, MOST_GUIDANCE as u64 + 1).ok())
            .flatten()
        else {
            continue;
        };
        let whole = bytes.len() <= MOST_GUIDANCE;
        let mut text = display_text(bytes.get(..MOST_GUIDANCE).unwrap_or(&bytes))
            .trim()
            .to_owned();
        if text.is_empty() {
            continue;
        }
        if !whole {
            text.push_str("\n[...]");
        }
        found.push(Guidance {
            path: name.to_owned(),
            text,
        });
    }
    found
}
