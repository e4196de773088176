//! The program `cwm-gpu-check`.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    match cwm_runtime::gpu_check::run(&arguments, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(out, "{}", serde_json::json!({"error": error.to_string()}));
            let _ = writeln!(std::io::stderr(), "cwm-gpu-check: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
