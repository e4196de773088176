//! The command's own text: long, of odd bytes, of many lines.

use super::harness::Inside;

#[test]
fn nul_in_the_text_is_left_out() {
    let mut inside = Inside::new();
    assert_eq!(inside.ok("echo a\0b"), "ab\n");
    inside.assert_usable();
}

#[test]
fn long_texts_and_many_lines() {
    let mut inside = Inside::new();
    let body: String = (0..20_000).map(|i| format!("line {i}\n")).collect();
    assert!(body.len() > 200_000);
    inside.ok(&format!("cat >file <<'EOF'\n{body}EOF\n"));
    assert_eq!(
        std::fs::read_to_string(inside.folder().join("file")).unwrap(),
        body
    );
    let many = "x=$((x+1))\n".repeat(100_000) + "echo $x";
    assert_eq!(inside.ok(&many), "100000\n");
    let done = inside.run(&("#".repeat(5_000_000) + "\necho after; exit_code() { return 3; }; exit_code"));
    assert_eq!(done.exited(3), "after\n");
    // Just about where the way of handing over changes.
    for length in 2040..2056 {
        let text = format!("echo '{}' | wc -c", "y".repeat(length - 14));
        assert_eq!(inside.ok(&text).trim(), (length - 13).to_string());
    }
}

#[test]
fn the_last_lines_end_does_not_matter() {
    let mut inside = Inside::new();
    for end in ["", "\n", "\n\n", " ", " # comment", ";", "\n# comment", "\t\n "] {
        assert_eq!(inside.ok(&format!("echo a{end}")), "a\n", "{end:?}");
        let long = format!("# {}\necho a{end}", "x".repeat(4000));
        assert_eq!(inside.ok(&long), "a\n", "{end:?}");
    }
    assert_eq!(inside.ok("echo a \\\n  b"), "a b\n");
    inside.ok("echo a\\");
    inside.run("");
    inside.run(" \n\t\n");
    inside.run("# only a comment");
    inside.run("\\");
    inside.assert_usable();
}

#[test]
fn carriage_returns_are_the_commands_own() {
    let mut inside = Inside::new();
    // As bash itself has it: the return belongs to the word.
    assert_eq!(inside.ok("echo a\r\necho b\r"), "a\r\nb\r\n");
    inside.run("if true\r\nthen echo x\r\nfi\r\n");
    inside.assert_usable();
}

#[test]
fn letters_of_all_scripts_and_quotes() {
    let mut inside = Inside::new();
    for word in [
        "ünïcödé",
        "日本語",
        "🦀",
        "'",
        "\"",
        "\\",
        "$",
        "`",
        "!",
        "a'b\"c`d$e\\f",
        "%s%n%d",
        "\u{7f}\u{1b}[0m\u{1}",
        "\u{fffd}",
    ] {
        let quoted = word.replace('\'', "'\\''");
        assert_eq!(inside.ok(&format!("printf %s '{quoted}'")), word);
    }
    // Bytes that are no text, made by the shell.
    inside.ok("name=$'\\xff\\xfe'; echo x >\"$name\"; cat \"$name\"; mkdir \"d$name\"; cd \"d$name\"");
    let here = inside.session.working_directory().to_owned();
    assert!(here.is_dir());
    assert_eq!(
        here.to_string_lossy()
            .chars()
            .filter(|&c| c == '\u{fffd}')
            .count(),
        2
    );
}
