//! The example of the README, with the real default model.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cli::context::binary;
use crate::copies::{Done, Repository};

/// How long it may take on two cores.
const MOST: Duration = Duration::from_secs(600);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The default model's file.
fn default_model() -> String {
    let fetched = Command::new(root().join("scripts/fetch-models"))
        .arg("qwen-1.5b")
        .output()
        .unwrap();
    assert!(
        fetched.status.success(),
        "{}",
        String::from_utf8_lossy(&fetched.stderr)
    );
    String::from_utf8(fetched.stdout).unwrap().trim_end().to_owned()
}

#[test]
#[ignore = "needs the 1.5B model and minutes of both cores; scripts/test-fast runs it by itself"]
fn the_default_model_mends_the_quickstart() {
    let model = default_model();
    let example = root().join("examples/quickstart");
    let repository = Repository::new(&format!("cp -r '{}'/repository/. .", example.display()));
    let before = repository.picture();
    let issue = example.join("issue.md");
    let mut command = repository.context.command(binary());
    command
        .args(["fix", "--issue"])
        .arg(&issue)
        .args(["--model", &model, "--seed", "0"])
        .current_dir(&repository.root);
    let started = Instant::now();
    let done: Done = command.output().unwrap().into();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(started.elapsed() < MOST, "it took {:?}", started.elapsed());
    assert!(done.text().contains("ledger/summary.py"), "{}", done.text());
    repository.assert_untouched(&before, "the repository");
}

/// The script checks by itself that the package's own tests and the issue's pass in the end.
#[test]
#[ignore = "needs the 1.5B model, a package's source and minutes of both cores; scripts/test-full runs it"]
fn the_default_model_mends_a_public_package() {
    let done: Done = Command::new(root().join("examples/public-package/run"))
        .arg(binary())
        .args(["--model", &default_model(), "--seed", "0"])
        .output()
        .unwrap()
        .into();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.text().contains("case_sensitive=case_sensitive"),
        "{}",
        done.text()
    );
    assert!(
        done.stderr.contains("Verified: the patch of attempt-"),
        "{}",
        done.stderr
    );
}
