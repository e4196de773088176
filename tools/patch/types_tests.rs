//! Which paths are tests.

use super::*;

#[test]
fn tests_are_told_by_the_habits_of_languages() {
    for path in [
        "tests/a.py",
        "a/test_url.py",
        "conftest.py",
        "url_test.go",
        "url.spec.ts",
        "src/UrlTest.java",
        "src/UrlTests.kt",
        "src/UrlTests.cs",
        "Sources/UrlTests.swift",
        "Url.Tests/Url.cs",
        "app/src/androidTest/Url.kt",
    ] {
        assert!(is_test_path(path.as_bytes()), "{path}");
    }
    for path in [
        "src/Latest.java",
        "src/Contests.cs",
        "src/UrlTest.rs",
        "latest/url.py",
        "src/Tester.java",
        "attest.py",
    ] {
        assert!(!is_test_path(path.as_bytes()), "{path}");
    }
}
