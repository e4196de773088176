//! How tests are asked for where they go in the repository's own framework.

use std::path::Path;

use super::*;

fn shown(path: &str, text: &str) -> ShownFile {
    ShownFile {
        path: path.to_owned(),
        language: "rust".to_owned(),
        text: text.to_owned(),
        first_line: 1,
        last_line: 1,
        file_lines: 1,
        whole: true,
        is_test: false,
        hidden: false,
    }
}

fn place(example: bool) -> TestFilePlace {
    TestFilePlace {
        path: "tests/issue.rs".to_owned(),
        framework: "cargo test".to_owned(),
        language: "rust".to_owned(),
        head: "use tiny::*;\n".to_owned(),
        example: example.then(|| shown("tests/old.rs", "#[test]\nfn old() {}")),
        command: "cargo test --test issue".to_owned(),
    }
}

fn request(rivals: &[&str]) -> TestsRequest {
    TestsRequest {
        files: vec![shown("src/lib.rs", "pub fn add() {}")],
        issue: "It subtracts.".to_owned(),
        name: "add".to_owned(),
        rivals: rivals.iter().map(|rival| (*rival).to_owned()).collect(),
        most: 5,
        ..TestsRequest::default()
    }
}

#[test]
fn a_small_model_is_shown_a_test_and_begins_with_what_is_known() {
    let prompts = Prompts::built_in().unwrap();
    let part = |part: &str| {
        prompts
            .one_shot_test_file(part, &request(&[]), &place(true))
            .unwrap()
    };
    assert_eq!(
        part("system"),
        "You write tests for cargo test. Answer with one test file, whole, in one code block."
    );
    assert_eq!(
        part("request"),
        "src/lib.rs:\n```rust\npub fn add() {}\n```\n\n\
         tests/old.rs shows how tests look here:\n```rust\n#[test]\nfn old() {}\n```\n\n\
         It subtracts.\n\n\
         The code is wrong, so do not go by what it does. Write the file tests/issue.rs with tests for cargo test of what `add` should do by its description \
         and the issue: first the examples given there, then other cases whose results are certain. At most 5 tests, each with one short assertion and \
         independent of the others. Use only what the code above defines, and repeat no test that is shown."
    );
    assert_eq!(part("prefix"), "```rust\nuse tiny::*;\n");
    let request = request(&["-1", "+2"]);
    let text = prompts
        .one_shot_test_file("request", &request, &place(false))
        .unwrap();
    assert!(!text.contains("shows how tests look"), "{text}");
    assert!(
        text.contains("```diff\n-1\n```") && text.contains("for which these two give different results"),
        "{text}"
    );
}

#[test]
fn a_model_that_works_in_turns_is_told_where_and_how_it_is_run() {
    let prompts = Prompts::built_in().unwrap();
    let root = Path::new("/repo");
    let say = |rivals: &[String], place: Option<&TestFilePlace>| {
        prompts
            .agentic_test("", root, "It subtracts.", rivals, place)
            .unwrap()
    };
    let text = say(&["-1".to_owned(), "+2".to_owned()], Some(&place(true)));
    for words in [
        "the file /repo/tests/issue.rs, which cargo test runs, in the way of tests/old.rs.",
        "for example with `cargo test --test issue`",
        "and want what is right by the issue:\n\n```diff\n-1\n```",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Issue reproduced"), "{text}");
    // A script prints what scripts print.
    let text = say(&[], None);
    assert!(
        text.contains("</issue_description>\n\nWrite the test that tells whether it is solved: the file /repo/test_issue.py"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "neither of the others.\n\nHand in a patch that adds this file and changes nothing else."
        ),
        "{text}"
    );
}
