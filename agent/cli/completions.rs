//! `cwm completions`: the script that lets a shell complete `cwm`'s commands and flags.

use clap::Args;
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::{ExitCode, Printer};

/// Print the script that completes cwm's commands and flags in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm completions bash > ~/.local/share/bash-completion/completions/cwm
  cwm completions zsh > \"${fpath[1]}/_cwm\"
  cwm completions fish > ~/.config/fish/completions/cwm.fish")]
pub(crate) struct CompletionsArguments {
    /// The shell that will read the script
    shell: Shell,
}

#[derive(Serialize)]
struct CompletionsEvent {
    shell: String,
    script: String,
}

/// Prints the script for this definition of the command line, or one `completions` event that holds it.
pub(crate) fn run(
    arguments: &CompletionsArguments,
    mut definition: clap::Command,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    // Made in memory first: the generator panics when its writer fails, and a closed pipe is no defect.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition, "cwm", &mut script);
    if printer.is_json() {
        let script = String::from_utf8(script)?;
        printer.event(
            "completions",
            &CompletionsEvent {
                shell: arguments.shell.to_string(),
                script,
            },
        )?;
    } else {
        printer.result(script)?;
    }
    Ok(ExitCode::Success)
}
