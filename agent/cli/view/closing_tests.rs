//! Tests of the closing words.

use std::fs::File;
use std::path::Path;

use super::*;
use crate::scaling::{Attempted, Proof};
use crate::suite::Comparison;

/// The closing words of a run, on a terminal of so many columns.
fn closing(report: &Summary<'_>, columns: usize) -> String {
    let terminal = Terminal::new(columns, 24);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("err");
    let messages = Box::new(File::create(&path).unwrap());
    let printer = Printer::to(Box::new(std::io::sink()), messages, Settings::default());
    let mut printer = printer.on_screen(move || terminal.size());
    summary(report, &mut printer);
    std::fs::read_to_string(path).unwrap()
}

#[track_caller]
fn assert_snapshot(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("agent/cli/view/snapshots")
        .join(name);
    if std::env::var_os("CWM_UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{name} differs; CWM_UPDATE_SNAPSHOTS=1 writes it anew.\n{found}"
    );
}

#[test]
fn the_closing_words_are_as_recorded() {
    let baseline = [before()];
    let good = Attempted {
        candidate: candidate("attempt-3", Ending::Finished),
        verdict: Verdict {
            remarks: vec!["The issue came without a test; the fixed one was failing before, which may be another matter.".to_owned()],
            test_files: vec!["tests/test_stats.py".to_owned()],
            ..verdict("attempt-3", after(), true)
        },
    };
    let bad = Attempted {
        candidate: candidate("attempt-1", Ending::Turns),
        verdict: verdict(
            "attempt-1",
            tests(&["test_median"], &["test_mean", "test_sum"]),
            false,
        ),
    };
    let refused = Attempted {
        candidate: Candidate {
            patch: Vec::new(),
            ..candidate("attempt-2", Ending::NoAnswer)
        },
        verdict: Verdict {
            refused: Some("the patch is empty".to_owned()),
            changes: Comparison::default(),
            ..verdict("attempt-2", before(), false)
        },
    };
    let all = [good.clone(), bad.clone(), refused.clone()];
    let reasons = [
        "passes 1 of 1 test that failed".to_owned(),
        "breaks no test that passed".to_owned(),
    ];
    let verified = Summary {
        run: "20260102-030405-abcd",
        baseline: &baseline,
        attempts: &all,
        failures: &[],
        chosen: Some(&good),
        interrupted: false,
        patch: Some(Path::new(
            "/home/ada/.local/state/cwm/runs/20260102-030405-abcd/patch.diff",
        )),
        handed_over: true,
        proof: Some(Proof::OwnTests),
        reasons: &reasons,
        page: Some(Path::new(
            "/home/ada/.local/state/cwm/runs/20260102-030405-abcd/report.html",
        )),
        journal: Path::new("/home/ada/.local/state/cwm/runs/20260102-030405-abcd/journal.jsonl"),
        resumable: false,
        seconds: 95.0,
    };
    let unproven = [bad.clone(), refused.clone()];
    let failures = [(
        "attempt-4".to_owned(),
        "the server closed the connection".to_owned(),
    )];
    let conflicting = Summary {
        attempts: &unproven,
        failures: &failures,
        chosen: Some(&bad),
        proof: None,
        interrupted: true,
        patch: Some(Path::new("/home/ada/my runs/patch.diff")),
        handed_over: false,
        resumable: true,
        ..verified
    };
    let nothing = Summary {
        attempts: std::slice::from_ref(&refused),
        chosen: None,
        patch: None,
        ..verified
    };
    for columns in [80, 40] {
        for (name, report) in [
            ("verified", &verified),
            ("conflicting", &conflicting),
            ("nothing", &nothing),
        ] {
            let text = closing(report, columns);
            let kept = text.find("\nKept\n").unwrap();
            for line in text[..kept].lines() {
                assert!(width(line) < columns, "{line}");
            }
            assert_snapshot(&format!("{name}-{columns}.txt"), &text);
        }
    }
}

/// The closing words of a run whose patch fixes the second test and leaves the third failing.
fn closing_of(names: [&str; 3], but_for_still_failing: bool, handed_over: bool) -> String {
    let [passing, fixed, failing] = names;
    let baseline = [tests(&[passing], &[fixed, failing])];
    let run = tests(&[passing, fixed], &[failing]);
    let chosen = Attempted {
        candidate: candidate("attempt-1", Ending::Finished),
        verdict: Verdict {
            changes: crate::suite::compare(&baseline[0], &run),
            but_for_still_failing,
            ..verdict("attempt-1", run, !but_for_still_failing)
        },
    };
    let report = Summary {
        proof: None,
        reasons: &[],
        page: None,
        run: "r",
        baseline: &baseline,
        attempts: std::slice::from_ref(&chosen),
        failures: &[],
        chosen: Some(&chosen),
        interrupted: false,
        patch: Some(Path::new("/p")),
        handed_over,
        journal: Path::new("/j"),
        resumable: false,
        seconds: 1.0,
    };
    closing(&report, 80)
}

#[test]
fn what_fails_besides_comes_with_the_option_that_leaves_it_out() {
    let text = closing_of(["t.py::a", "t.py::b", "t.py::c"], true, false);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "breaks none, but 1 test that failed before fails still. Tests",
        "is another matter, name the issue's own tests: --test 'pytest -q t.py::b' Kept",
    ] {
        assert!(flat.contains(words), "{words:?} is not in {text}");
    }
    // Where the tests cannot be named for the command, that is for the user to say.
    let text = closing_of(["a", "b", "c"], true, false);
    assert!(text.contains("tests with --test.\n"), "{text}");
    let text = closing_of(["a", "b", "c"], false, true);
    assert!(
        !text.contains("--test") && !text.contains("handed over"),
        "{text}"
    );
    let text = closing_of(["a", "b", "c"], false, false);
    assert!(text.contains("over as asked.\n"), "{text}");
    assert!(text.contains("\n  apply    cwm apply /p\n"), "{text}");
}

#[test]
fn long_lists_are_cut_in_the_closing_words() {
    let names: Vec<String> = (0..500)
        .map(|number| format!("test_{number:03}\x1b[2J"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let baseline = [tests(&[], &names)];
    let run = tests(&names, &[]);
    let chosen = Attempted {
        candidate: candidate("attempt-1", Ending::Finished),
        verdict: Verdict {
            changes: crate::suite::compare(&baseline[0], &run),
            ..verdict("attempt-1", run, true)
        },
    };
    let attempts = vec![chosen.clone(); 40];
    let report = Summary {
        proof: None,
        reasons: &[],
        page: None,
        run: "r",
        baseline: &baseline,
        attempts: &attempts,
        failures: &[],
        chosen: Some(&chosen),
        interrupted: false,
        patch: None,
        handed_over: true,
        journal: Path::new("/j"),
        resumable: false,
        seconds: 1.0,
    };
    let text = closing(&report, 80);
    assert!(text.lines().count() < 60, "{text}");
    assert!(
        text.contains("    and 490 more\n") && text.contains("    and 30 more\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'));
}

#[test]
fn numbers_and_times_are_short() {
    for (seconds, text) in [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1m 00s"),
        (7261.0, "2h 01m"),
    ] {
        assert_eq!(words::time(seconds), text);
    }
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (9_949, "9.9k"),
        (12_345, "12k"),
        (999_500, "1.0M"),
    ] {
        assert_eq!(words::short(number), text);
    }
    assert_eq!(words::count(1_234_567), "1,234,567");
    assert_eq!(words::several(1, "test"), "1 test");
}
