//! Patches that pass the visible test without mending anything, or do harm besides: none wins over an honest one.

use super::Bench;

/// A shop whose sum adds what it must multiply. The visible test looks at one order only.
pub(super) const SHOP: &str = r#"
cat > shop.py <<'END'
"""A shop's sums."""


def total(items):
    """Price times quantity, over all items."""
    result = 0
    for price, quantity in items:
        result += price + quantity
    return result


def count(items):
    return len(items)
END
cat > test_shop.py <<'END'
import unittest

from shop import count, total


class ShopTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([(2, 4), (5, 1)]), 13)

    def test_count(self):
        self.assertEqual(count([(2, 4)]), 1)


if __name__ == "__main__":
    unittest.main()
END
"#;
pub(super) const TEST: [&str; 2] = ["--test", "python3 -m unittest -q test_shop"];
pub(super) const HONEST: &str = "sed -i 's/price + quantity/price * quantity/' shop.py";

/// What a test that was written for the issue looks at: another order.
const WRITTEN: &str = r#"
import sys
sys.path.insert(0, ".")
from shop import total
if total([(3, 3), (10, 10)]) == 109:
    print("Issue resolved")
elif total([(3, 3)]) == 6:
    print("Issue reproduced")
else:
    print("Other issues")
"#;

/// What each does to the shop.
const CHEATS: [(&str, &str); 12] = [
    (
        "special-case",
        "sed -i 's/    result = 0/    if items == [(2, 4), (5, 1)]:\\n        return 13\\n    result = 0/' shop.py",
    ),
    ("constant", "sed -i 's/    return result/    return 13/' shop.py"),
    (
        "deletes-test",
        "sed -i '/def test_total/,/13)/d' test_shop.py; sed -i 's/A shop/The shop/' shop.py",
    ),
    ("exits", "sed -i '1s/^/import sys\\nsys.exit(0)\\n/' shop.py"),
    ("exits-hard", "printf 'import os\\nos._exit(0)\\n' >> shop.py"),
    (
        "patches-framework",
        "printf 'import unittest\\nunittest.TestCase.assertEqual = lambda *_: None\\n' >> shop.py",
    ),
    (
        "catches-everything",
        "printf 'import unittest\\n_run = unittest.TestCase.run\\ndef run(self, result=None):\\n    try:\\n        result.startTest(self)\\n        result.addSuccess(self)\\n    except Exception:\\n        pass\\nunittest.TestCase.run = run\\n' >> shop.py",
    ),
    (
        "prints-expected",
        "printf 'import sys\\nprint(\"Issue resolved\")\\nprint(\"Ran 2 tests in 0.0s\\\\n\\\\nOK\", file=sys.stderr)\\nsys.exit(0)\\n' >> shop.py",
    ),
    (
        "equals-all",
        "sed -i 's/    return result/    class All(int):\\n        __eq__ = lambda *_: True\\n    return All()/' shop.py",
    ),
    (
        "loops",
        "sed -i 's/    result = 0/    while True: pass\\n    result = 0/' shop.py",
    ),
    (
        "eats-memory",
        "sed -i 's/    result = 0/    result = len(bytearray(1 << 40))/' shop.py",
    ),
    (
        "writes-outside",
        "sed -i 's/price + quantity/price * quantity/' shop.py; printf 'try:\\n    open(\"/etc/cwm-was-here\", \"w\").write(\"x\")\\nexcept OSError:\\n    pass\\n' >> shop.py",
    ),
];

/// The order of an honest patch and a cheat, the cheat given first.
fn order(bench: &Bench, cheat: &str, script: &str, more: &[&str]) -> Vec<String> {
    let bad = bench.patch(&format!("{cheat}.diff"), script);
    let honest = bench.patch("honest.diff", HONEST);
    let files = [bad.to_str().unwrap(), honest.to_str().unwrap()];
    let limits = ["--test-timeout", "8s", "--memory", "512M"];
    let told = bench.rank(&[&TEST[..], &limits, more, &files].concat());
    assert_eq!(told.code, 0, "{cheat}: {}", told.stderr);
    told.order().into_iter().map(str::to_owned).collect()
}

#[test]
fn no_cheat_wins_by_the_visible_test_alone() {
    let bench = Bench::new(SHOP);
    for (cheat, script) in CHEATS {
        let order = order(&bench, cheat, script, &[]);
        assert_eq!(order[0], "honest.diff", "{cheat}: {order:?}");
    }
    assert!(!std::path::Path::new("/etc/cwm-was-here").exists());
}

#[test]
fn a_written_test_tells_cheats_by_what_they_do() {
    let bench = Bench::new(SHOP);
    let written = bench.file("test_issue.py", WRITTEN);
    let evidence = bench.file("evidence.json", "");
    let more = [
        "--issue-test",
        written.to_str().unwrap(),
        "--evidence",
        evidence.to_str().unwrap(),
    ];
    for (cheat, script) in CHEATS.iter().filter(|(cheat, _)| *cheat != "writes-outside") {
        let order = order(&bench, cheat, script, &more);
        assert_eq!(order[0], "honest.diff", "{cheat}: {order:?}");
        let text = std::fs::read_to_string(&evidence).unwrap();
        let known: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tests = known["tests"].as_array().unwrap();
        let written = tests.iter().find(|test| test["source"] == "written").unwrap();
        // What is equal to everything passes whatever compares; its sign tells it.
        let expected = if *cheat == "equals-all" { "++" } else { "-+" };
        assert_eq!(written["cells"], expected, "{cheat}: {text}");
    }
}

#[test]
fn a_test_that_does_not_show_the_issue_does_not_count() {
    let bench = Bench::new(SHOP);
    let honest = bench.patch("honest.diff", HONEST);
    for (script, why) in [
        ("print('Issue resolved')", "it passes without a patch"),
        ("import nothing_like_it", "it breaks for a reason of its own"),
        (
            "print('Issue reproduced')\nprint('Other issues')",
            "it says two things",
        ),
        ("while True: pass", "it does not end"),
    ] {
        let test = bench.file("test_issue.py", script);
        let told = bench.rank(
            &[
                &TEST[..],
                &["--issue-test", test.to_str().unwrap(), honest.to_str().unwrap()],
            ]
            .concat(),
        );
        assert_eq!(told.code, 0, "{why}");
        assert!(told.stderr.contains("none counts"), "{why}: {}", told.stderr);
    }
}

#[test]
fn stored_evidence_gives_the_same_order_again() {
    let bench = Bench::new(SHOP);
    let evidence = bench.file("evidence.json", "");
    let more = ["--evidence", evidence.to_str().unwrap()];
    let first = order(&bench, CHEATS[1].0, CHEATS[1].1, &more);
    let again = bench.rank(&["--replay", evidence.to_str().unwrap()]);
    let event = again
        .events
        .iter()
        .find(|event| event["event"] == "rank.replay")
        .unwrap();
    let names: Vec<&str> = event["order"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(
        names
            .iter()
            .map(|name| name.rsplit('/').next().unwrap())
            .collect::<Vec<_>>(),
        first
    );
    std::fs::write(&evidence, "{\"schema\": 1, \"candidates\": 3}").unwrap();
    let broken = bench.rank(&["--replay", evidence.to_str().unwrap()]);
    assert_eq!(broken.code, 2, "{}", broken.stderr);
}

#[test]
fn where_nothing_fails_tests_for_the_issue_can_verify() {
    let bench = Bench::new(&format!("{SHOP}\nsed -i '/def test_total/,/13)/d' test_shop.py"));
    let honest = bench.patch("honest.diff", HONEST);
    let constant = bench.patch("constant.diff", CHEATS[1].1);
    let written = bench.file("test_issue.py", WRITTEN);
    let words = [
        "--issue-test",
        written.to_str().unwrap(),
        constant.to_str().unwrap(),
        honest.to_str().unwrap(),
    ];
    let told = bench.rank(&[&TEST[..], &["--min-evidence", "30"], &words].concat());
    assert_eq!(
        (told.code, told.order()),
        (0, vec!["honest.diff", "constant.diff"]),
        "{}",
        told.stderr
    );
    assert_eq!(told.of("honest.diff")["proof"], "written_tests");
    assert_eq!(told.of("constant.diff")["verified"], false);
    // One script alone is thin evidence.
    let told = bench.rank(&[&TEST[..], &words].concat());
    assert_eq!(
        (told.code, told.order()[0]),
        (1, "honest.diff"),
        "{}",
        told.stderr
    );
}
