//! What a patch's text tells.

use super::*;

const EDIT: &str = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";

fn of(text: &str) -> Measure {
    Measure::of(text.as_bytes())
}

fn test_edit(change: &str) -> String {
    format!("--- a/tests/test_a.py\n+++ b/tests/test_a.py\n@@ -1,2 +1,2 @@\n def test_a():\n{change}")
}

#[test]
fn lines_are_counted_outside_of_tests_only() {
    let measure = of(&format!(
        "{EDIT}{}",
        test_edit("-    assert f(1) == 1\n+    assert f(1) == 2\n")
    ));
    assert_eq!((measure.lines, measure.only_tests), (2, false));
    assert_eq!(measure.weakened_tests, Vec::<String>::new());
    assert!(of(&test_edit("-    assert f(1) == 1\n+    assert f(1) == 2\n")).only_tests);
    assert!(!of("").only_tests);
}

#[test]
fn the_same_change_is_recognised_at_other_places_and_with_other_context() {
    let moved = EDIT.replace("-1,3 +1,3", "-11,2 +11,2").replace(" one\n", "");
    assert_ne!(moved, EDIT);
    let with_test = format!(
        "{EDIT}{}",
        test_edit("-    assert f(1) == 1\n+    assert f(1) == 2\n")
    );
    assert_eq!(of(&moved).content, of(EDIT).content);
    assert_eq!(of(&with_test).content, of(EDIT).content);
    for other in [EDIT.replace("+2", "+22"), EDIT.replace("a.py", "b.py")] {
        assert_ne!(of(&other).content, of(EDIT).content);
    }
}

#[test]
fn tests_that_are_deleted_or_check_less_are_named() {
    let deleted = "diff --git a/tests/test_a.py b/tests/test_a.py\ndeleted file mode 100644\n--- a/tests/test_a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-assert True\n";
    assert_eq!(of(deleted).deleted_tests, ["tests/test_a.py"]);
    for weaker in [
        "-    assert f(1) == 1\n+    pass\n",
        "-    assert f(1) == 1\n+    pytest.skip('no')\n",
        "-    x = 1\n+    pytest.xfail('no')\n",
    ] {
        assert_eq!(
            of(&test_edit(weaker)).weakened_tests,
            ["tests/test_a.py"],
            "{weaker}"
        );
    }
    for as_strong in [
        "-    assert f(1) == 1\n+    assert f(1) == 1 and g()\n",
        "-    x = 1\n+    x = 2\n",
        "-    pytest.skip('no')\n+    assert f(1) == 1\n",
    ] {
        assert_eq!(
            of(&test_edit(as_strong)).weakened_tests,
            Vec::<String>::new(),
            "{as_strong}"
        );
    }
}

#[test]
fn settings_of_test_runners_are_named() {
    let patch = "--- a/sub/setup.cfg\n+++ b/sub/setup.cfg\n@@ -1 +1 @@\n-a\n+b\n";
    assert_eq!(of(patch).settings, ["sub/setup.cfg"]);
    assert_eq!(of(EDIT).settings, Vec::<String>::new());
}

#[test]
fn what_is_no_patch_has_a_size_too() {
    let measure = of("no\npatch\n");
    assert!(measure.lines >= 2 && !measure.only_tests, "{measure:?}");
}
