//! Files of which one test keeps the others from being built: each is tried without the others, and what can be built is kept.

use std::collections::BTreeMap;
use std::ops::Range;

use super::IssueTest;
use super::file::Results;
use crate::context::{Kind, definitions, language};

/// So many tests of a file are tried alone at most: each is built by itself.
const MOST_PARTS: usize = 8;

/// A file of tests as several, each with one of its tests; nothing where it has no two of them, or counts as a whole.
pub(super) fn parts(test: &IssueTest) -> Vec<IssueTest> {
    let Some(file) = test.written.file.as_ref().filter(|file| file.apart) else {
        return Vec::new();
    };
    let text = &test.written.script;
    let functions = functions(&file.path, text);
    if functions.len() < 2 {
        return Vec::new();
    }
    let part = |kept: &Range<usize>| with_text(test, without(text, &functions, std::slice::from_ref(kept)));
    functions.iter().take(MOST_PARTS).map(part).collect()
}

/// The file with those of its parts that were built, and what their tests did; none where no part was. `heard` is of each part, in their order.
pub(super) fn built(test: &IssueTest, heard: &[Option<Results>]) -> Option<(IssueTest, Results)> {
    let file = test.written.file.as_ref()?;
    let text = &test.written.script;
    let functions = functions(&file.path, text);
    let mut kept = Vec::new();
    let mut all = BTreeMap::new();
    for (function, results) in functions.iter().zip(heard) {
        if let Some(Results::Ran(results)) = results {
            kept.push(function.clone());
            all.extend(results.clone());
        }
    }
    let whole = with_text(test, without(text, &functions, &kept));
    (!kept.is_empty()).then_some((whole, Results::Ran(all)))
}

fn with_text(test: &IssueTest, text: String) -> IssueTest {
    let mut test = test.clone();
    test.written.script = text;
    test
}

/// The lines of each test function of a text, in their order.
fn functions(path: &str, text: &str) -> Vec<Range<usize>> {
    let Some(language) = language(path) else {
        return Vec::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |definition: &crate::context::Definition| {
        let before = lines.get(definition.start..definition.header).unwrap_or_default();
        let attribute = before
            .iter()
            .any(|line| line.contains("#[") && line.contains("test"));
        definition.kind == Kind::Function && (attribute || definition.name.to_lowercase().starts_with("test"))
    };
    let found = definitions(text, &language).into_iter().filter(is_test);
    found.map(|definition| definition.start..definition.end).collect()
}

/// A text without the functions but for those that are kept.
fn without(text: &str, functions: &[Range<usize>], kept: &[Range<usize>]) -> String {
    let left_out = |at: usize| {
        let within = |range: &&Range<usize>| range.contains(&at);
        functions.iter().any(|range| range.contains(&at)) && kept.iter().find(within).is_none()
    };
    let lines = text.lines().enumerate().filter(|(at, _)| !left_out(*at));
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{TestFile, WrittenTest};

    fn file(path: &str, text: &str, apart: bool) -> IssueTest {
        IssueTest::new(WrittenTest {
            name: path.to_owned(),
            asks: String::new(),
            script: text.to_owned(),
            file: Some(TestFile {
                path: path.to_owned(),
                apart,
            }),
        })
    }

    fn texts(tests: &[IssueTest]) -> Vec<&str> {
        tests.iter().map(|test| test.written.script.as_str()).collect()
    }

    const RUST: &str = "use a::*;\n\nfn helper() {}\n\n#[test]\nfn one() {\n    helper();\n}\n\n#[test]\nfn two() {\n    missing();\n}\n";

    #[test]
    fn each_test_stands_alone_with_what_is_around_it() {
        let parts_of = |path: &str, text: &str| {
            let parts = parts(&file(path, text, true));
            texts(&parts).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = [
            "use a::*;\n\nfn helper() {}\n\n#[test]\nfn one() {\n    helper();\n}\n\n",
            "use a::*;\n\nfn helper() {}\n\n\n#[test]\nfn two() {\n    missing();\n}\n",
        ];
        assert_eq!(parts_of("tests/issue.rs", RUST), expected);
        let go = "package a\n\nfunc TestOne(t *testing.T) {\n}\n\nfunc TestTwo(t *testing.T) {\n}\n";
        let expected = [
            "package a\n\nfunc TestOne(t *testing.T) {\n}\n\n",
            "package a\n\n\nfunc TestTwo(t *testing.T) {\n}\n",
        ];
        assert_eq!(parts_of("a/issue_test.go", go), expected);
        // One test is what it is, and so is a file that counts as a whole.
        assert!(parts_of("tests/issue.rs", "#[test]\nfn one() {}\n").is_empty());
        assert!(parts(&file("tests/issue.rs", RUST, false)).is_empty());
    }

    #[test]
    fn what_can_be_built_is_one_file_again() {
        let whole = file(
            "tests/issue.rs",
            &format!("{RUST}\n#[test]\nfn three() {{}}\n"),
            true,
        );
        let ran = |name: &str, passed| Some(Results::Ran(BTreeMap::from([(name.to_owned(), passed)])));
        let heard = [ran("one", false), Some(Results::Nothing), ran("three", true)];
        let (kept, results) = built(&whole, &heard).unwrap();
        assert_eq!(
            kept.written.script,
            "use a::*;\n\nfn helper() {}\n\n#[test]\nfn one() {\n    helper();\n}\n\n\n#[test]\nfn three() {}\n"
        );
        let expected = [("one".to_owned(), false), ("three".to_owned(), true)];
        assert_eq!(results, Results::Ran(BTreeMap::from(expected)));
        assert!(built(&whole, &[None, Some(Results::Nothing), None]).is_none());
    }
}
