//! Suites that take long: patches are tried with the tests near to them first, and with all where that decides.

use super::python::options;
use super::{Bench, Told};

/// An adder, and a text that only a slow test without imports looks at.
const SLOW: &str = r#"
printf 'def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n' > adder.py
printf 'def shout(text):\n    return text.upper()\n' > text.py
mkdir tests
cat > tests/test_adder.py <<'END'
from adder import add, twice


def test_add():
    assert add(1, 2) == 3


def test_twice():
    assert twice(2) == 4
END
cat > tests/test_far.py <<'END'
import time


def test_text():
    time.sleep(1.3)
    assert "upper" in open("text.py").read()


def test_nothing():
    time.sleep(1.3)
END
"#;
const BUG: &str = "sed -i 's/a + b/a - b/' adder.py";
const FIX: &str = "sed -i 's/a - b/a + b/' adder.py";
const BREAKS_NEAR: &str = "sed -i 's/2 \\* a/2 + a + 1/' adder.py";
const BREAKS_FAR: &str = "sed -i 's/upper/lower/' text.py";

fn ranked(bench: &Bench, patches: &[(&str, &str)]) -> Told {
    let files: Vec<String> = patches
        .iter()
        .map(|(name, script)| bench.patch(name, script).display().to_string())
        .collect();
    let options = options();
    let words = options.iter().chain(&files).map(String::as_str);
    let budget = ["--test-budget", "1s"].into_iter();
    bench.rank(&budget.chain(words).collect::<Vec<_>>())
}

#[test]
fn only_what_may_be_verified_is_tried_with_every_test() {
    let bench = Bench::new(&format!("{SLOW}{BUG}"));
    let near = format!("{FIX}; {BREAKS_NEAR}");
    let far = format!("{FIX}; {BREAKS_FAR}");
    let told = ranked(
        &bench,
        &[("near.diff", &near), ("far.diff", &far), ("right.diff", FIX)],
    );
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert_eq!(told.order().first(), Some(&"right.diff"), "{}", told.stderr);
    told.assert_remark("near.diff", "not every test was run");
    told.assert_remark(
        "near.diff",
        "conflicts with 1 test that passed before: tests/test_adder.py::test_twice",
    );
    told.assert_remark(
        "far.diff",
        "conflicts with 1 test that passed before: tests/test_far.py::test_text",
    );
    let remarks = &told.of("right.diff")["remarks"];
    assert_eq!(remarks.as_array().map(Vec::len), Some(0), "{remarks}");
}

#[test]
fn what_comes_first_is_tried_with_every_test_before_it_is_shown() {
    let bench = Bench::new(SLOW);
    let harmless = "sed -i 's/2 \\* a/a + a/' adder.py";
    let far = format!("{BREAKS_FAR}; {harmless}");
    let told = ranked(&bench, &[("far.diff", &far), ("harmless.diff", harmless)]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert_eq!(told.order(), ["harmless.diff", "far.diff"], "{}", told.stderr);
    told.assert_remark("harmless.diff", "nothing fails without it");
    let remarks = told.of("harmless.diff")["remarks"].to_string();
    assert!(!remarks.contains("not every test was run"), "{remarks}");
}

#[test]
fn a_candidate_that_does_not_win_is_not_tried_with_every_test() {
    let bench = Bench::new(SLOW);
    let harmless = "sed -i 's/2 \\* a/a + a/' adder.py";
    let longer = format!("{harmless}; printf '\\n\\ndef more():\\n    return 1\\n' >> adder.py");
    let told = ranked(&bench, &[("longer.diff", &longer), ("harmless.diff", harmless)]);
    assert_eq!(told.order(), ["harmless.diff", "longer.diff"], "{}", told.stderr);
    told.assert_remark("longer.diff", "not every test was run");
}

#[test]
fn the_same_files_are_one_behaviour_whether_all_tests_were_run_or_some() {
    let bench = Bench::new(SLOW);
    let harmless = "sed -i 's/2 \\* a/a + a/' adder.py";
    let far = format!("{BREAKS_FAR}; {harmless}");
    let patches = [
        ("far.diff", far.as_str()),
        ("one.diff", harmless),
        ("two.diff", harmless),
    ];
    let told = ranked(&bench, &patches);
    assert_eq!(told.order().last(), Some(&"far.diff"), "{}", told.stderr);
    let confidence = |name: &str| told.of(name)["confidence"].as_f64().unwrap();
    assert!(
        (confidence("one.diff") - confidence("two.diff")).abs() < 1e-9,
        "{:?}",
        told.events
    );
}

#[test]
fn what_mends_some_of_what_failed_is_tried_with_all_tests_when_it_comes_first() {
    let network = "printf '\\n\\ndef test_network():\\n    raise OSError()\\n' >> tests/test_adder.py";
    let bench = Bench::new(&format!("{SLOW}{BUG}; {network}"));
    let nothing = "printf '\\n\\ndef more():\\n    return 1\\n' >> adder.py";
    let told = ranked(&bench, &[("nothing.diff", nothing), ("some.diff", FIX)]);
    assert_eq!(
        (told.code, told.order()),
        (1, vec!["some.diff", "nothing.diff"]),
        "{}",
        told.stderr
    );
    told.assert_remark("some.diff", "1 of 2 that failed before do not pass with it");
    let remarks = told.of("some.diff")["remarks"].to_string();
    assert!(!remarks.contains("not every test was run"), "{remarks}");
}
