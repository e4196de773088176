//! Real pytest: single tests are told apart, and code under test that lies about them is not believed.

use super::Bench;
use crate::suites::fetched_python;

/// An adder that subtracts, with three tests of which one fails.
const ADDER: &str = r#"
cat > adder.py <<'END'
"""Adds."""


def add(a, b):
    return a - b


def twice(a):
    return 2 * a
END
mkdir tests
cat > tests/test_adder.py <<'END'
from adder import add, twice


def test_add():
    assert add(1, 2) == 3


def test_add_zero():
    assert add(1, 0) == 1


def test_twice():
    assert twice(2) == 4
END
"#;
const FIX: &str = "sed -i 's/a - b/a + b/' adder.py";

/// The options that run the tests with the fetched pytest.
pub(super) fn options() -> Vec<String> {
    let environment = fetched_python();
    let shown = environment.parent().unwrap().to_str().unwrap();
    let test = format!(
        "{}/bin/python -m pytest -q -p no:cacheprovider",
        environment.display()
    );
    // The interpreter that the environment was made of, wherever that is.
    let interpreter = std::fs::canonicalize(environment.join("bin/python")).unwrap();
    let base = interpreter.parent().unwrap().parent().unwrap().to_str().unwrap();
    ["--read", shown, "--read", base, "--test", &test]
        .map(str::to_owned)
        .into()
}

#[test]
fn patches_are_told_apart_test_by_test() {
    let bench = Bench::new(ADDER);
    let options = options();
    let patches = [
        (
            "breaks.diff",
            &*format!("{FIX}; sed -i 's/2 \\* a/2 + a + 1/' adder.py"),
        ),
        (
            "configures.diff",
            "printf '[pytest]\\naddopts = --deselect tests/test_adder.py::test_add\\n' > pytest.ini",
        ),
        (
            "conftest.diff",
            "printf 'collect_ignore_glob = [\"*\"]\\n' > conftest.py; sed -i 's/Adds/Adds well/' adder.py",
        ),
        (
            "exits.diff",
            "printf 'import os\\nprint(\"3 passed in 0.01s\", flush=True)\\nos._exit(0)\\n' >> adder.py",
        ),
        (
            "fakes.diff",
            "printf 'import sys\\nprint(\"=== 3 passed in 0.01s ===\")\\nsys.exit(0)\\n' >> adder.py",
        ),
        ("hardcodes.diff", "sed -i 's/return a - b/return 3/' adder.py"),
        (
            "imports.diff",
            "sed -i '1s/^/import nothing_like_it\\n/' adder.py",
        ),
        ("right.diff", FIX),
        (
            "skips.diff",
            "sed -i 's/^def test_add()/import pytest\\n\\n@pytest.mark.skip\\ndef test_add()/' tests/test_adder.py; sed -i 's/Adds/Adds well/' adder.py",
        ),
    ];
    let files: Vec<_> = patches
        .iter()
        .map(|(name, script)| bench.patch(name, script))
        .collect();
    let words: Vec<&str> = options
        .iter()
        .map(String::as_str)
        .chain(files.iter().map(|path| path.to_str().unwrap()))
        .collect();
    let told = bench.rank(&words);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let baseline = told.all("rank.baseline")[0];
    assert_eq!(
        baseline["failing"],
        serde_json::json!(["tests/test_adder.py::test_add"]),
        "{}",
        told.stderr
    );
    for name in told.order() {
        assert_eq!(
            told.of(name)["verified"],
            name == "right.diff",
            "{}",
            told.of(name)
        );
    }
    assert_eq!(told.order()[0], "right.diff");
    assert_eq!(
        told.of("hardcodes.diff")["broken"],
        serde_json::json!(["tests/test_adder.py::test_add_zero"])
    );
    assert_eq!(
        told.of("breaks.diff")["broken"],
        serde_json::json!(["tests/test_adder.py::test_twice"])
    );
    told.assert_remark(
        "breaks.diff",
        "conflicts with 1 test that passed before: tests/test_adder.py::test_twice",
    );
    told.assert_remark(
        "configures.diff",
        "it changes files that can say how tests are run: pytest.ini",
    );
    told.assert_remark(
        "skips.diff",
        "has tests skipped, which was not applied: tests/test_adder.py",
    );
}

#[test]
fn a_module_that_could_not_be_imported_is_mended() {
    let bench = Bench::new(&format!(
        "{ADDER}\nsed -i '1s/^/import nothing_like_it\\n/' adder.py; {FIX}\necho 'def test_other(): pass' > tests/test_other.py"
    ));
    let options = options();
    let mends = bench.patch("mends.diff", "sed -i 1d adder.py");
    let words: Vec<&str> = options
        .iter()
        .map(String::as_str)
        .chain([mends.to_str().unwrap()])
        .collect();
    let told = bench.rank(&words);
    assert_eq!(told.code, 0, "{} {:?}", told.stderr, told.events);
}

#[test]
fn how_to_test_is_found_where_nobody_says_it() {
    let bench = Bench::new(&format!(
        "{}\nprintf 'test:\\n\\tbash tests/add.sh && bash tests/subtract.sh\\n' > Makefile",
        super::CALCULATOR
    ));
    let right = bench.patch("right.diff", super::FIX);
    let told = bench.rank(&[right.to_str().unwrap()]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(
        told.stderr
            .contains("testing with `make test`: Makefile has a target `test`"),
        "{}",
        told.stderr
    );
    assert!(told.all("rank.baseline")[0]["commands"][0]["found"].is_string());
}
