//! Patches that hang, fill the disk or the memory; test commands that do not start; command lines that are wrong.

use std::time::{Duration, Instant};

use super::{Bench, FIX, TESTS};

#[test]
fn what_hangs_meets_its_limit_and_the_others_are_judged() {
    let bench = Bench::calculator();
    let hangs = bench.patch(
        "hangs.diff",
        &format!("{FIX}; echo 'sleep 1000' >> calculator.sh"),
    );
    let right = bench.patch("right.diff", FIX);
    let files = [hangs.to_str().unwrap(), right.to_str().unwrap()];
    let start = Instant::now();
    let told = bench.rank(&[&TESTS[..], &["--test-timeout", "10s"], &files].concat());
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
    assert_eq!((told.code, told.order()), (0, vec!["right.diff", "hangs.diff"]));
    told.assert_remark("hangs.diff", "`bash tests/add.sh` did not end within its time");
}

#[test]
fn what_fills_its_disk_is_stopped() {
    let bench = Bench::calculator();
    let fills = bench.patch(
        "fills.diff",
        "echo 'head -c 100M /dev/zero > big; sleep 20' >> calculator.sh",
    );
    let told = bench.rank(&[&TESTS[..2], &["--disk", "8M", fills.to_str().unwrap()]].concat());
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert_eq!(told.of("fills.diff")["verified"], false);
}

#[test]
fn a_hang_that_is_mended_is_verified() {
    let bench = Bench::new("echo 'sleep 1000' > program.sh");
    let right = bench.patch("right.diff", "echo true > program.sh");
    let told = bench.rank(&[
        "--test",
        "bash program.sh",
        "--test-timeout",
        "10s",
        right.to_str().unwrap(),
    ]);
    assert_eq!(told.code, 0, "{:?}\n{}", told.events, told.stderr);
    assert!(
        told.stderr.contains("did not end within its time"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_command_that_does_not_exist_is_explained() {
    let bench = Bench::calculator();
    let right = bench.patch("right.diff", FIX);
    let told = bench.rank(&["--test", "no-such-runner --all", right.to_str().unwrap()]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    told.assert_remark(
        "right.diff",
        "nothing that failed before passes with it: no-such-runner --all",
    );
}

#[test]
fn command_lines_that_cannot_work_are_refused_before_anything_is_done() {
    let bench = Bench::calculator();
    let right = bench.patch("right.diff", FIX);
    let right = right.to_str().unwrap();
    for (words, code, message) in [
        (vec!["--test", "true"], 2, "<PATCH>..."),
        (
            vec!["--test", "true", "../none.diff"],
            2,
            "The patch ../none.diff cannot be read.",
        ),
        (
            vec!["--test", "true", "-", "-"],
            2,
            "Standard input can be one patch only.",
        ),
        (vec!["--jobs", "0", right], 2, "--jobs"),
        (vec!["--repo", "/", "--test", "true", right], 3, "/"),
        (vec![right], 2, "How this repository is tested cannot be told"),
    ] {
        let output = bench.spawn(&words).wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
        assert!(stderr.contains(message), "{words:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
    bench.assert_untouched();
}

#[test]
fn an_interruption_ends_in_order() {
    let bench = Bench::calculator();
    let hangs = bench.patch("hangs.diff", "echo 'sleep 1000' >> calculator.sh");
    for test in ["bash tests/add.sh", "sleep 1000"] {
        let child = bench.spawn(&["--test", test, hangs.to_str().unwrap()]);
        std::thread::sleep(Duration::from_millis(1500));
        let start = Instant::now();
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::INT,
        )
        .unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        bench.assert_untouched();
    }
}

#[test]
fn with_a_slow_suite_a_patch_that_mends_nothing_is_told_by_what_failed() {
    let bench = Bench::new(
        "printf 'def add(a, b):\\n    return a - b\\n' > adder.py\n\
        printf 'import time\\nimport unittest\\n\\nfrom adder import add\\n\\n\\nclass AdderTest(unittest.TestCase):\\n    def test_add(self):\\n        self.assertEqual(add(1, 2), 3)\\n\\n    def test_slow(self):\\n        time.sleep(6)\\n' > test_adder.py",
    );
    let wrong = bench.patch("wrong.diff", "sed -i 's/a - b/a * b/' adder.py");
    let right = bench.patch("right.diff", "sed -i 's/a - b/a + b/' adder.py");
    let test = ["--test", "python3 -m unittest -v test_adder"];
    let told = bench.rank(&[&test[..], &[wrong.to_str().unwrap(), right.to_str().unwrap()]].concat());
    assert_eq!(
        (told.code, told.order()),
        (0, vec!["right.diff", "wrong.diff"]),
        "{}",
        told.stderr
    );
    told.assert_remark("wrong.diff", "the others, which take long, were not run");
    assert!(told.of("wrong.diff")["seconds"].as_f64().unwrap() < 5.0);
    assert_eq!(told.of("right.diff")["verified"], true);
}
