//! The issue that a command is given.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use cwm_tools::truncate::display_text;

use super::{ExitCode, Failure, input};

/// The longest issue that is read; a model reads far less of it.
const MOST_BYTES: u64 = 16 << 20;

/// The text of `--issue` or `-m`.
pub(crate) fn read(message: Option<&str>, file: Option<&Path>) -> anyhow::Result<String> {
    let (bytes, name) = match (message, file) {
        (Some(text), _) => (text.as_bytes().to_vec(), "-m".to_owned()),
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
            return Err(Failure::new(ExitCode::Usage, "There is no issue.")
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
