//! Where tests find real models.

use std::path::PathBuf;
use std::process::Command;

/// The cached file of a model, fetched first when it is not there.
pub(crate) fn model(file: &str, name: &str) -> PathBuf {
    let cache = std::env::var_os("CWM_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/cwm"),
        PathBuf::from,
    );
    let path = cache.join("models").join(file);
    if !path.exists() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fetch-models");
        let status = Command::new(script).arg(name).status();
        let fetched = status.as_ref().is_ok_and(std::process::ExitStatus::success) && path.exists();
        assert!(
            fetched,
            "{} is not there and `{script} {name}` did not fetch it: {status:?}",
            path.display()
        );
    }
    path
}

pub(crate) fn smollm2() -> PathBuf {
    model("smollm2-135m-instruct-q4_1.gguf", "smollm2")
}
