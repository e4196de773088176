//! The example of the README, with the real default model.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cli::context::binary;
use crate::copies::{Done, Repository};

/// How long it may take on two cores.
const MOST: Duration = Duration::from_secs(600);

#[test]
#[ignore = "needs the 1.5B model and minutes of both cores; scripts/test-fast runs it by itself"]
fn the_default_model_mends_the_quickstart() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let fetched = Command::new(root.join("scripts/fetch-models"))
        .arg("qwen-1.5b")
        .output()
        .unwrap();
    assert!(
        fetched.status.success(),
        "{}",
        String::from_utf8_lossy(&fetched.stderr)
    );
    let model = String::from_utf8(fetched.stdout).unwrap();
    let example = root.join("examples/quickstart");
    let repository = Repository::new(&format!("cp -r '{}'/repository/. .", example.display()));
    let before = repository.picture();
    let issue = example.join("issue.md");
    let mut command = repository.context.command(binary());
    command
        .args(["fix", "--issue"])
        .arg(&issue)
        .args(["--model", model.trim_end(), "--seed", "0"])
        .current_dir(&repository.root);
    let started = Instant::now();
    let done: Done = command.output().unwrap().into();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(started.elapsed() < MOST, "it took {:?}", started.elapsed());
    assert!(done.text().contains("ledger/summary.py"), "{}", done.text());
    repository.assert_untouched(&before, "the repository");
}
