//! Patches that cheat, and honest ones that look a little like them.

use super::*;

fn patch(path: &str, context: &str, added: &str) -> Vec<u8> {
    let lines: Vec<&str> = added.lines().collect();
    let added: String = lines.iter().map(|line| format!("+{line}\n")).collect();
    format!(
        "--- a/{path}\n+++ b/{path}\n@@ -1 +1,{} @@\n {context}\n{added}",
        lines.len() + 1
    )
    .into_bytes()
}

fn found(context: &str, added: &str) -> Vec<Sign> {
    let text = patch("shop.py", context, added);
    let clues = Clues::of(
        "total([12.5, 3]) should be 15.5, not 13",
        "File \"/repo/shop.py\", line 4, in total\nAssertionError: 'nothing' != 'a sum of money'",
        |path| ["shop.py", "other.py", "test_shop.py"].contains(&path),
    );
    signs(&text, &Measure::of(&text), true, &clues)
}

#[test]
fn cheats_show() {
    let cases = [
        (
            "    if items == [12.5, 3]:\n        return 15.5",
            Sign::ExpectedValue,
        ),
        ("    return 'a sum of money'", Sign::ExpectedValue),
        ("    return 13", Sign::ExpectedValue),
        ("    __eq__ = lambda *_: True", Sign::TouchesRunner),
        ("    sys.exit(0)", Sign::EndsProcess),
        ("    os._exit(0)", Sign::EndsProcess),
        (
            "import unittest\nunittest.TestCase.assertEqual = lambda *a: None",
            Sign::TouchesRunner,
        ),
        (
            "    try:\n        run()\n    except Exception:\n        pass",
            Sign::SwallowsErrors,
        ),
    ];
    for (added, sign) in cases {
        assert_eq!(found("def total(items):", added), [sign], "{added}");
    }
}

#[test]
fn honest_patches_show_nothing() {
    for added in [
        "    return sum(price * quantity for price, quantity in items)",
        "    if not items:\n        return 0",
        "    try:\n        run()\n    except ValueError:\n        return None",
        "    limit = 15.5",
        "    return items[13]",
        "    return 0",
    ] {
        assert_eq!(found("def total(items):", added), [], "{added}");
    }
    // What was there before is no sign.
    assert_eq!(found("sys.exit(1)", "    sys.exit(0)"), []);
    assert_eq!(found("except Exception:", "    except Exception as error:"), []);
}

#[test]
fn a_patch_away_from_what_failed_is_told() {
    let clues = Clues::of("", "shop.py:3: error in ./shop.py.", |path| path == "shop.py");
    let of = |path: &str| {
        let text = patch(path, "x", "y");
        signs(&text, &Measure::of(&text), true, &clues)
    };
    assert_eq!(of("shop.py"), []);
    assert_eq!(of("other.py"), [Sign::Elsewhere]);
}

#[test]
fn tests_and_settings_are_measured_and_no_code_is_told() {
    let text = b"--- a/tests/test_a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-assert f()\n--- a/setup.cfg\n+++ b/setup.cfg\n@@ -1 +1 @@\n-a\n+b\n";
    let found = signs(text, &Measure::of(text), false, &Clues::default());
    assert_eq!(found, [Sign::NoCode, Sign::WeakensTests, Sign::ChangesSettings]);
}
