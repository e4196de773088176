//! Tests of packing.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn ranking(tree: &Path, issue: &str, failures: &[String]) -> Ranking {
    ranking_of(tree, Path::new("/home/me/project"), issue, failures)
}

fn ranking_of(tree: &Path, root: &Path, issue: &str, failures: &[String]) -> Ranking {
    Ranking::of(&RankRequest {
        tree,
        root,
        issue,
        failures,
        caches: None,
    })
    .unwrap()
}

fn packed(tree: &Path, issue: &str, failures: &str, budget: usize) -> Packed {
    ranking(tree, issue, &[failures.to_owned()]).cut(budget, &words)
}

fn paths(packed: &Packed) -> Vec<&str> {
    packed
        .excerpts
        .iter()
        .map(|excerpt| excerpt.path.as_str())
        .collect()
}

const FILES: &[(&str, &str)] = &[
    (
        "src/shop/price.py",
        "from .tax import rate\n\ndef total(items):\n    return sum(items) * rate()\n",
    ),
    ("src/shop/tax.py", "def rate():\n    return 2\n"),
    ("src/shop/__init__.py", "from .price import total\n"),
    (
        "src/other/unrelated.py",
        "def nothing():\n    return 'nothing at all'\n",
    ),
    (
        "tests/test_price.py",
        "from shop.price import total\n\ndef test_total():\n    assert total([1]) == 1\n",
    ),
    (
        "web/cart.ts",
        "import { price } from './price';\nexport function cart() { return price(); }\n",
    ),
    ("web/price.ts", "export function price() { return 1; }\n"),
    ("crate/src/lib.rs", "mod parser;\nuse crate::parser::read;\n"),
    ("crate/src/parser.rs", "pub fn read() {}\n"),
    ("package-lock.json", "{\"total\": 1}\n"),
    ("node_modules/shop/price.py", "def total(): pass\n"),
];

#[test]
fn every_way_to_name_a_file_finds_it() {
    let folder = tree(FILES);
    for (text, expected) in [
        ("see src/shop/tax.py for it", "src/shop/tax.py"),
        ("`shop/tax.py` is wrong", "src/shop/tax.py"),
        (
            "  File \"/home/me/project/src/shop/tax.py\", line 2, in rate",
            "src/shop/tax.py",
        ),
        (
            "  File \"/testbed/src/shop/tax.py\", line 2, in rate",
            "src/shop/tax.py",
        ),
        ("src\\shop\\tax.py:2: Error", "src/shop/tax.py"),
        ("C:\\work\\src\\shop\\tax.py:2", "src/shop/tax.py"),
        ("calling shop.tax.rate() fails", "src/shop/tax.py"),
        (
            "thread panicked at crate/src/parser.rs:1:5:",
            "crate/src/parser.rs",
        ),
        ("in crate::parser::read", "crate/src/parser.rs"),
        (
            "    at price (/home/me/project/web/price.ts:1:30)",
            "web/price.ts",
        ),
        ("`rate` gives 2", "src/shop/tax.py"),
    ] {
        let packed = packed(folder.path(), text, "", 1000);
        assert_eq!(
            paths(&packed).first(),
            Some(&expected),
            "{text}: {:?}",
            paths(&packed)
        );
    }
}

#[test]
fn what_failing_tests_import_comes_before_the_tests() {
    let folder = tree(FILES);
    let failure = "tests/test_price.py::test_total\ntests/test_price.py:4: assert 2 == 1";
    let found = packed(folder.path(), "The sum is wrong.", failure, 1000);
    let found = paths(&found);
    let at = |path: &str| found.iter().position(|found| *found == path);
    assert_eq!(found.first(), Some(&"src/shop/price.py"), "{found:?}");
    assert!(at("src/shop/price.py") < at("tests/test_price.py"), "{found:?}");
    assert!(
        at("tests/test_price.py").is_some() && at("src/shop/tax.py").is_some(),
        "{found:?}"
    );
    assert!(
        !found
            .iter()
            .any(|path| path.contains("node_modules") || path.contains("lock")),
        "{found:?}"
    );
}

#[test]
fn of_a_long_file_the_functions_that_are_named_are_shown() {
    let mut text = String::from("import os\n\n");
    for number in 0..200 {
        text.push_str(&format!(
            "def function_{number}(a):\n    b = a + {number}\n    return b\n\n"
        ));
    }
    let folder = tree(&[("long.py", &text)]);
    let found = packed(folder.path(), "`function_77` adds", "long.py:403: in x", 40);
    let shown: String = found
        .excerpts
        .iter()
        .map(|excerpt| excerpt.text.as_str())
        .collect();
    assert!(
        shown.contains("def function_77(a):\n    b = a + 77\n    return b\n"),
        "{shown}"
    );
    assert!(
        shown.contains("def function_100(a):"),
        "line 403 is in it: {shown}"
    );
    assert!(shown.contains("import os"), "{shown}");
    let one = found
        .excerpts
        .iter()
        .find(|excerpt| excerpt.text.contains("function_77"))
        .unwrap();
    assert_eq!((one.first_line, one.file_lines), (3 + 77 * 4, 802));
}

#[test]
fn links_and_binaries_are_left_out() {
    let folder = tree(&[
        ("a.py", "def total(): pass\n"),
        ("b.py", "total\0"),
        ("c.py", "# Code generated by x. DO NOT EDIT.\ntotal\n"),
    ]);
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("total.py")).unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("total")).unwrap();
    let found = packed(folder.path(), "`total` total.py b.py c.py passwd", "", 1000);
    assert_eq!(paths(&found), ["a.py"]);
}

#[test]
fn huge_issues_and_odd_ones_do_no_harm() {
    let folder = tree(FILES);
    for issue in [
        "a.".repeat(1 << 20),
        ":::: ..: ../../../etc/passwd ./. /".to_owned(),
        "é.py:99999999999999999999999 \u{0}".to_owned(),
        "`".repeat(100_000),
    ] {
        let found = packed(folder.path(), &issue, &issue, 10_000);
        assert!(
            found
                .excerpts
                .iter()
                .all(|excerpt| folder.path().join(&excerpt.path).is_file())
        );
    }
    assert!(
        packed(folder.path(), "", "", 1000).excerpts.len() > 3,
        "a small tree is shown as it is"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn excerpts_are_lines_of_files_within_the_budget(
        texts in proptest::collection::vec("(def (alpha|beta|gamma)\\(x\\):\n    return (alpha|beta)\n|class Thing:\n|import m\\d\n|\n|é {0,4}x\r\n|fn f\\(\\) \\{\n|\\}\n|word word word word\n){0,40}", 1..5),
        issue in "(alpha|beta|m0.py:3|m1.py|`gamma`|f1.rs|Thing| ){0,8}",
        budget in 0_usize..200,
    ) {
        let files: Vec<(String, String)> = texts.iter().enumerate().map(|(number, text)| {
            (if number % 3 == 1 { format!("f{number}.rs") } else { format!("m{number}.py") }, text.clone())
        }).collect();
        let own: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let folder = tree(&own);
        let found = packed(folder.path(), &issue, "", budget);
        let again = packed(folder.path(), &issue, "", budget);
        prop_assert_eq!(&found, &again);
        prop_assert!(found.tokens <= budget);
        prop_assert_eq!(found.tokens, found.excerpts.iter().map(|excerpt| words(&excerpt.text)).sum::<usize>());
        for excerpt in &found.excerpts {
            let text = &files.iter().find(|(path, _)| *path == excerpt.path).unwrap().1;
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let count = excerpt.text.split_inclusive('\n').count();
            prop_assert_eq!(lines[excerpt.first_line - 1..excerpt.first_line - 1 + count].concat(), excerpt.text.clone());
            prop_assert_eq!(lines.len(), excerpt.file_lines);
        }
    }
}

#[test]
fn a_file_with_endless_imports_is_followed_only_so_far() {
    let many: Vec<String> = (0..1000).map(|number| format!("m{number}/__init__.py")).collect();
    let mut files: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "x = 1\n")).collect();
    let names: Vec<String> = (0..1000).map(|number| format!("m{number}")).collect();
    let text = format!("import {}\n", names.join(", "));
    files.push(("test_all.py", &text));
    let tree = tree(&files);
    let packed = packed(tree.path(), "test_all.py fails", "", 100_000);
    let found = paths(&packed).iter().filter(|path| path.starts_with('m')).count();
    assert!(found <= 500, "{found}");
}

#[test]
fn the_function_of_the_title_is_suspected_before_one_that_the_text_names_more_often() {
    let folder = tree(&[
        (
            "parse.py",
            "class Parser:\n    def parse(self, text):\n        return text\n\ndef parse(form, text):\n    return Parser(form).parse(text)\n\n\
             def compile(form):\n    return Parser(form)\n",
        ),
        (
            "test_parse.py",
            "import parse\n\ndef test():\n    assert parse.compile('a').parse('a')\n",
        ),
    ]);
    let issue = "`compile` makes the wrong parser.\n\n`parse.parse` is right, `parse.compile` is not:\n\n\
                 >>> parse.compile('a').parse('a')\n>>> parse.parse('a', 'a')\n";
    let failures = ["parse.py: parse(form) parse.parse".to_owned()];
    let ranking = ranking(folder.path(), issue, &failures);
    let (path, function) = ranking.suspect().unwrap();
    assert_eq!((path.as_str(), function.name.as_str()), ("parse.py", "compile"));
}

#[test]
fn words_of_the_title_speak_for_what_uses_them_and_for_what_is_named_after_them() {
    let folder = tree(&[
        (
            "table.py",
            "class ColumnTable:\n    def render(self):\n        return self.rows\n\ndef lost(text):\n    return text.width\n",
        ),
        (
            "printer.py",
            "def emit(printer, row):\n    return printer.emit(row)\n",
        ),
        ("other.py", "x = 1\n"),
    ]);
    let issue = "Widths of columns are lost\n\nThe printer emits each row.\n";
    let ranking = ranking(folder.path(), issue, &[]);
    let value = |reasons: &[Reason], signal: &str| {
        let found = reasons.iter().find(|reason| reason.signal == signal);
        found.map_or(0.0, |reason| reason.value)
    };
    let table = ranking.explain("table.py").unwrap();
    let printer = ranking.explain("printer.py").unwrap();
    let used = "uses words of the issue's title";
    assert!(value(&table.reasons, used) > 0.0, "{table:?}");
    assert_eq!(value(&printer.reasons, used), 0.0, "{printer:?}");
    assert!(
        value(&printer.reasons, "uses words of the issue") > 0.0,
        "{printer:?}"
    );
    let part = |name: &str| table.parts.iter().find(|part| part.name == name).unwrap();
    assert!(value(&part("lost").reasons, used) > 0.0, "{table:?}");
    assert!(
        value(&part("lost").reasons, "has words of the title in its name") > 0.0,
        "{table:?}"
    );
    assert!(table.rank < printer.rank, "{table:?} {printer:?}");
}

/// Commits all of a folder.
fn commit(tree: &Path, message: &str) {
    let git = |words: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
            .args(words)
            .current_dir(tree)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    if !tree.join(".git").exists() {
        git(&["init", "-q"]);
    }
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", message]);
}

#[test]
fn messages_of_commits_that_are_like_the_issue_speak_for_what_they_changed() {
    let folder = tree(&[
        ("grid.py", "def lay(cells):\n    return cells\n"),
        ("cache.py", "def keep(value):\n    return value\n"),
        ("tests/test_grid.py", "from grid import lay\n"),
        ("NEWS.md", "nothing\n"),
    ]);
    commit(folder.path(), "All there is");
    let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).unwrap();
    write("grid.py", "def lay(cells):\n    return list(cells)\n");
    write("tests/test_grid.py", "from grid import lay\nlay([])\n");
    write("NEWS.md", "news\n");
    commit(
        folder.path(),
        "Columns keep their widths when a spreadsheet is printed",
    );
    write("cache.py", "def keep(value):\n    return [value]\n");
    commit(folder.path(), "Remember more");
    let issue = "Printing a spreadsheet loses the widths of its columns\n";
    let ranking = ranking_of(folder.path(), folder.path(), issue, &[]);
    let value = |path: &str| {
        let explanation = ranking.explain(path).unwrap();
        let mut reasons = explanation.reasons.iter();
        let found = reasons.find(|reason| reason.signal == "was changed with messages like the issue");
        found.map_or(0.0, |reason| reason.value)
    };
    assert!(value("grid.py") > 0.0);
    for path in ["cache.py", "tests/test_grid.py", "NEWS.md"] {
        assert_eq!(value(path), 0.0, "{path}");
    }
}
