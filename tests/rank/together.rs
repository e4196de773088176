//! Several at once.

use super::{Bench, FIX, TESTS};

#[test]
fn two_on_one_repository_do_not_disturb_each_other() {
    let bench = Bench::calculator();
    // Each leaves a mark in its copy, and fails where it finds another's.
    let marks = |name: &str| {
        format!("[ -z \"$(ls mark-* 2>/dev/null)\" ] && touch mark-{name} && sleep 0.3 && bash tests/add.sh")
    };
    let right = bench.patch("right.diff", FIX);
    let files = vec![right.to_str().unwrap(); 4];
    let run = |name: &str| {
        let test = marks(name);
        let words = [&["--json", "--jobs", "3", "--test", &test][..], &files].concat();
        bench.spawn(&words)
    };
    for child in [run("one"), run("two")] {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let verified = stdout
            .lines()
            .filter(|line| line.contains("\"verified\":true"))
            .count();
        assert_eq!(verified, 4, "{stdout}{stderr}");
    }
    bench.assert_untouched();
}

#[test]
fn it_works_from_a_folder_of_the_repository_and_with_uncommitted_work() {
    let bench = Bench::calculator();
    let right = bench.patch("right.diff", FIX);
    bench
        .repository
        .shell("echo '[ \"$(add 1 1)\" = 2 ]' >> tests/add.sh; echo . ./calculator.sh > tests/new.sh")
        .ok();
    let before = bench.repository.picture();
    let mut command = bench.repository.context.command(crate::cli::context::binary());
    command.args([
        "rank",
        "--repo",
        "tests",
        "--test",
        "cd .. && bash tests/new.sh && bash tests/add.sh",
    ]);
    let output = command
        .arg(&right)
        .current_dir(&bench.repository.root)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    bench.repository.assert_untouched(&before, "the repository");
    // The repository's own settings name the tests, where no flag does.
    bench
        .repository
        .shell("echo 'tests = [\"cd .. && bash tests/new.sh\", \"cd .. && bash tests/add.sh\"]' > cwm.toml")
        .ok();
    let mut command = bench.repository.context.command(crate::cli::context::binary());
    command.args(["rank", "--json", "--repo", "tests"]).arg(&right);
    let output = command.current_dir(&bench.repository.root).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("\"failing\":[\"cd .. && bash tests/add.sh\"]"),
        "{stdout}"
    );
    let words = [&TESTS[..], &["--committed-only", right.to_str().unwrap()]].concat();
    let output = bench.spawn(&words).wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
