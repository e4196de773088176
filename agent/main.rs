//! The `cwm` command: maps what the library returns to an exit code, and nothing else.

use std::process::ExitCode;

use cwm::cli::{self, Environment};

fn main() -> ExitCode {
    if let Some(code) = cwm_tools::sandbox::helper::dispatch() {
        return code;
    }
    cli::run(std::env::args_os(), &Environment::of_process()).into()
}
