//! Which lines of a file are tests.

use super::*;

fn found(path: &str, text: &str) -> String {
    let lines = tests_within(path.as_bytes(), text.as_bytes());
    let lines: Vec<_> = lines
        .iter()
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    lines.join("\n")
}

const MODULE: &str =
    "#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {\n        assert_eq!(f(), \"{\".len());\n    }\n}";

#[test]
fn tests_in_rust_files_are_found_to_their_ends() {
    for (text, tests) in [
        ("fn f() {}\n", ""),
        (
            "#[cfg(test)]\nmod tests;\nfn f() {}\n",
            "#[cfg(test)]\nmod tests;",
        ),
        (
            "#[cfg(all(test, unix))]\n#[path = \"a.rs\"]\nmod a;\nfn f() {}\n",
            "#[cfg(all(test, unix))]\n#[path = \"a.rs\"]\nmod a;",
        ),
        (
            "#[cfg(test)] mod tests { fn a() {} }\nfn f() {}\n",
            "#[cfg(test)] mod tests { fn a() {} }",
        ),
        (
            "#[cfg(test)]\nmod a {\n    fn a() {\n        b(\"}\");\n    }\n}\nfn f() {}\n",
            "#[cfg(test)]\nmod a {\n    fn a() {\n        b(\"}\");\n    }\n}",
        ),
        (
            "impl A {\n    #[tokio::test]\n    async fn a() {\n    }\n    fn b() {}\n}\n",
            "    #[tokio::test]\n    async fn a() {\n    }",
        ),
        (
            "/// Adds.\n/// ```\n/// add(1)\n/// ```\n/// More.\nfn f() {}",
            "/// ```\n/// add(1)\n/// ```",
        ),
    ] {
        assert_eq!(found("src/a.rs", text), tests);
    }
    // A brace that is miscounted makes the region too large, never too small.
    let text = format!("fn f() {{}}\n{MODULE}\nfn g() {{}}\n");
    assert_eq!(found("src/a.rs", &text), format!("{MODULE}\nfn g() {{}}\n"));
    assert_eq!(found("src/a.c", &text), "");
    assert_eq!(
        found("a.rs", "#![cfg(test)]\nfn a() {}\nfn b() {}"),
        "#![cfg(test)]\nfn a() {}\nfn b() {}"
    );
}

#[test]
fn examples_are_found_with_what_they_print() {
    let text = "def f():\n    \"\"\"Adds.\n\n    >>> f()\n    3\n\n    More.\n    \"\"\"\n    return 3\n";
    assert_eq!(found("a.py", text), "    >>> f()\n    3");
    assert_eq!(found("a.py", "x = a >> b\n"), "");
    assert_eq!(found("a.c", text), "");
}
