//! Recorded output, whole, cut anywhere, and no output at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

/// Set to 1, this writes what was found as what is expected.
const UPDATE: &str = "CWM_UPDATE_SNAPSHOTS";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Expected {
    tests: BTreeMap<String, TestCase>,
    unnamed: u64,
    finished: bool,
    problem: Option<String>,
}

fn fixtures() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent/suite/fixtures");
    let mut all = Vec::new();
    for format in std::fs::read_dir(root)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        let name = format.file_name().into_string().unwrap();
        for case in std::fs::read_dir(format.path()).unwrap() {
            all.push((name.clone(), case.unwrap().path()));
        }
    }
    all.sort();
    all
}

fn read_as(format: &str, text: &str) -> Parsed {
    match format {
        "pytest" => read(Framework::Pytest, text),
        "unittest" | "django" => read(Framework::Unittest, text),
        "cargo" => read(Framework::Cargo, text),
        "go" => read(Framework::Go, text),
        "jest" | "vitest" => read(Framework::Jest, text),
        "tap" | "mocha" | "node_spec" => read(Framework::Other, text),
        "junit" => junit::read(text),
        "jest_json" => jest_json::read(text, "/repo").unwrap_or_default(),
        "pytest_report" => pytest_report::read(text).parsed,
        other => panic!("no reader of {other}"),
    }
}

#[test]
fn recorded_output_is_read_exactly() {
    let all = fixtures();
    assert!(all.len() > 30);
    for (format, folder) in all {
        let text = std::fs::read_to_string(folder.join("output.txt")).unwrap();
        let mut found = read_as(&format, &text);
        for case in found.tests.values_mut() {
            case.seconds = None;
        }
        let found = Expected {
            tests: found.tests,
            unnamed: found.unnamed,
            finished: found.finished,
            problem: found.problem,
        };
        let path = folder.join("expected.json");
        if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
            std::fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let expected: Expected = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(found, expected, "{}", folder.display());
    }
}

/// The framework need not be known: `make test` may run any.
#[test]
fn printed_output_shows_what_it_is() {
    for (format, folder) in fixtures() {
        if matches!(format.as_str(), "junit" | "jest_json" | "pytest_report") {
            continue;
        }
        let text = std::fs::read_to_string(folder.join("output.txt")).unwrap();
        let own = read_as(&format, &text);
        let other = read(Framework::Other, &text);
        let differ = |one: &Parsed, two: &Parsed| {
            let all = one
                .tests
                .iter()
                .filter(|(name, case)| two.tests.get(*name) != Some(case));
            all.map(|(name, case)| format!("{name}: {case:?}"))
                .collect::<Vec<_>>()
        };
        let apart = (differ(&own, &other), differ(&other, &own));
        assert_eq!(apart, (vec![], vec![]), "{}", folder.display());
        // Another line end, and colours, change nothing.
        let coloured = text.replace('\n', "\u{1b}[0m\r\n");
        assert_eq!(
            read_as(&format, &coloured).tests,
            own.tests,
            "{}",
            folder.display()
        );
    }
}

#[test]
fn names_are_the_same_in_the_next_run() {
    let mut parsed = Parsed::default();
    parsed.add("t[<f at 0x7f00deadbeef>]", Status::Passed, "");
    parsed.add("u\nv at 0x12", Status::Passed, "");
    parsed.add(&"ü".repeat(5000), Status::Passed, "");
    let names: Vec<&String> = parsed.tests.keys().collect();
    assert_eq!(names[0], "t[<f at 0x...>]");
    assert_eq!(names[1], "u v at 0x12");
    assert!(names[2].len() <= 2000);
}

#[test]
fn messages_are_short() {
    let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
    let short = shorten(&lines);
    assert!(short.lines().count() <= 40 && short.starts_with("line 0\n") && short.ends_with("line 9999"));
    assert!(shorten(&"ü".repeat(30_000)).len() <= 4200);
}

/// Much of what each reader looks for, many times, is read in a moment.
#[test]
fn hostile_output_takes_no_longer_than_it_is_long() {
    let pieces = [
        "test a ... ok\n",
        "running 1 test\n",
        "---- a stdout ----\n",
        "t.py::a[ - ] - b FAILED [ 1%]\n",
        "==== short test summary info ====\nFAILED t.py::a[ - [ - [ - x\n",
        "test_a (a.B) ... ",
        "======\n",
        "# Subtest: a\n    ",
        "ok 1 - a\n  ---\n",
        "{\"Action\":\"run\",\"Test\":\"T\"}\n",
        "=== RUN T\n",
        "PASS a.js\n  ● a › b\n",
        "  1) a\n",
        "\u{1b}[",
        "\u{1b}]",
        "<testcase name='a' ",
        "<testsuite><testcase>",
        "&amp;",
        " [",
        " at 0x",
        "___ a ___\n",
        "FAIL  a > b\n",
        "(",
        " (line 1)",
    ];
    for piece in pieces {
        let text = piece.repeat(30_000);
        let started = std::time::Instant::now();
        for framework in FRAMEWORKS {
            read(framework, &text);
        }
        junit::read(&text);
        pytest_report::read(&text);
        eprintln!("{piece:?}: {:?}", started.elapsed());
        assert!(
            started.elapsed().as_secs() < 30,
            "{piece:?}: {:?}",
            started.elapsed()
        );
    }
}

/// One line of megabytes is not copied for each of many short ones.
#[test]
fn a_long_name_is_not_copied_with_each_line_below_it() {
    let long = "x".repeat(2 << 20);
    let distinct = |line: &dyn Fn(usize) -> String, count| (0..count).map(line).collect::<String>();
    let events = |end: &str, count| {
        distinct(
            &|n| format!("{{\"Action\":\"{end}\",\"Test\":\"T{n}\"}}\n"),
            count,
        )
    };
    let texts = [
        (format!("PASS {long}.js\n"), "  ✓ a\n".repeat(60_000)),
        (
            format!("a\n  {long}\n"),
            "    ✓ a\n".repeat(60_000) + "1 passing\n",
        ),
        (
            format!("TAP version 13\n# Subtest: {long}\n"),
            "    ok 1 - a\n".repeat(60_000),
        ),
        (
            format!(" RUN  v1.0.0 /repo\n ✓ {long}.js (2 tests)\n"),
            "   ✓ a\n".repeat(60_000),
        ),
        (
            format!("     Running {long} (target/debug/deps/{long}-0123)\nrunning 9 tests\n"),
            distinct(&|n| format!("test t{n} ... ok\n"), 60_000),
        ),
        (
            distinct(&|n| format!("--- PASS: T{n} (0.00s)\n"), 60_000),
            format!("ok  \t{long}\t0.1s\n"),
        ),
        (format!("=== RUN   {long}\n"), "    a\n".repeat(60_000)),
        (format!("# {long}\n"), "a\n".repeat(60_000)),
        (
            "ImportError while loading conftest 'a'.\n".to_owned(),
            format!("E   {}'.\n", "y".repeat(150)).repeat(60_000),
        ),
        (events("pass", 30_000), "{\"Action\":\"fail\"}\n".repeat(30_000)),
    ];
    for (head, tail) in texts {
        let text = head + &tail;
        let started = busy();
        let parsed = read(Framework::Other, &text);
        let problem = parsed.problem.map_or(0, |problem| problem.len());
        let beginning: String = text.chars().take(30).collect();
        assert!(problem < 1000, "{beginning:?}: {problem} bytes");
        let took = busy().saturating_sub(started);
        eprintln!("{beginning:?}: {took:?}");
        assert!(took.as_secs() < 10, "{beginning:?}: {took:?}");
    }
    let mut tests = r#"{"title":"a","status":"passed"},"#.repeat(60_000);
    tests.pop();
    let report = format!(r#"{{"testResults":[{{"name":"/repo/{long}.js","assertionResults":[{tests}]}}]}}"#);
    let started = busy();
    assert_eq!(jest_json::read(&report, "/repo").unwrap().tests.len(), 1);
    assert!(busy().saturating_sub(started).as_secs() < 10);
}

/// How long this thread has had a processor, which a machine that does much else does not make longer.
fn busy() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    std::time::Duration::from_nanos(nanoseconds.unwrap())
}

const FRAMEWORKS: [Framework; 6] = [
    Framework::Pytest,
    Framework::Unittest,
    Framework::Cargo,
    Framework::Go,
    Framework::Jest,
    Framework::Other,
];

fn every_reader(text: &str) {
    for framework in FRAMEWORKS {
        read(framework, text);
    }
    junit::read(text);
    jest_json::read(text, "/repo");
    pytest_report::read(text);
    go::plain(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in "(?s).{0,400}") {
        every_reader(&text);
    }

    #[test]
    fn any_lines_in_any_order_are_read(picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..80)) {
        let texts: Vec<String> =
            fixtures().iter().map(|(_, folder)| std::fs::read_to_string(folder.join("output.txt")).unwrap()).collect();
        let mut mixed = String::new();
        for (text, line) in picks {
            let lines: Vec<&str> = text.get(&texts).lines().collect();
            if !lines.is_empty() {
                mixed.push_str(lines[line.index(lines.len())]);
                mixed.push('\n');
            }
        }
        every_reader(&mixed);
    }

    #[test]
    fn a_recording_without_its_middle_is_read(pick in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let all = fixtures();
        let (format, folder) = pick.get(&all);
        let text = std::fs::read_to_string(folder.join("output.txt")).unwrap();
        let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
        let (from, to) = (text.floor_char_boundary(from.min(to)), text.ceil_char_boundary(from.max(to)));
        let cut = format!("{}\n[... {} bytes ...]\n{}", &text[..from], to - from, &text[to..]);
        read_as(format, &cut);
        every_reader(&cut);
    }
}
