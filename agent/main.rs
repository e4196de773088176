//! The `cwm` command: maps what the library returns to an exit code, and nothing else.

fn main() -> std::process::ExitCode {
    if let Some(code) = cwm_tools::sandbox::helper::dispatch() {
        return code;
    }
    std::process::ExitCode::SUCCESS
}
