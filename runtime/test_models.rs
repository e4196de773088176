//! Where tests find real models.

use std::path::PathBuf;
use std::process::Command;

/// The cached file of a model, fetched first when it is not there. `scripts/fetch-models` knows where; once the file is there, it only
/// prints the path.
pub(crate) fn model(file: &str, name: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fetch-models");
    let output = Command::new(script)
        .arg(name)
        .output()
        .unwrap_or_else(|error| panic!("`{script}` does not start: {error}"));
    assert!(
        output.status.success(),
        "`{script} {name}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end_matches('\n'));
    assert!(
        path.ends_with(file) && path.is_file(),
        "`{script} {name}` gave {}",
        path.display()
    );
    path
}

pub(crate) fn smollm2() -> PathBuf {
    model("smollm2-135m-instruct-q4_1.gguf", "smollm2")
}
