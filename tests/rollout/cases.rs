//! Scripted conversations as folders: `script.jsonl` is what the model says, `case.json` how the attempt is made, and
//! `expected/` the conversation and the candidate that come of it.

use std::fs;
use std::path::Path;

use cwm::rollout::Budget;
use cwm_runtime::source::{CallFormat, ScriptAnswer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::harness::{Bench, Talker, fixtures, options};
use crate::copies::{assert_same, picture};

/// Set to 1 to write what is expected anew instead of comparing with it.
const UPDATE: &str = "CWM_UPDATE_SNAPSHOTS";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default = "tags")]
    format: CallFormat,
    #[serde(default)]
    server: bool,
    /// Values of the budget other than the usual ones.
    #[serde(default)]
    budget: Map<String, Value>,
}

fn tags() -> CallFormat {
    CallFormat::Tags
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*

        #[test]
        fn every_folder_is_a_case() {
            let mut folders: Vec<String> = fs::read_dir(fixtures())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name != "repository")
                .collect();
            folders.sort();
            let mut listed = vec![$(stringify!($name)),*];
            listed.sort_unstable();
            assert_eq!(folders, listed);
        }
    };
}

cases! {
    a_call_that_is_malformed_after_a_submission_is_said
    action_limit
    cut_answers
    cut_results
    cut_results_in_the_middle
    format_errors
    hostile
    lenient_forms
    loops
    native_errors
    native_server
    native_text
    not_submitted
    patch_that_is_no_text
    plain
    solved
    submission_that_does_not_apply
    submission_with_wrong_counts
    submitted_twice
    taken_out
    time_over
    tool_errors
    turns_used_up
    turns_used_up_after_a_submission
    window_full
}

/// What the model says in that case.
pub(super) fn script(name: &str) -> Vec<ScriptAnswer> {
    let script = fs::read_to_string(fixtures().join(name).join("script.jsonl")).unwrap();
    script
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn play(name: &str) {
    let folder = fixtures().join(name);
    let own = folder.join("repository");
    let files = if own.is_dir() {
        own
    } else {
        fixtures().join("repository")
    };
    let issue = fs::read_to_string(folder.join("issue.md"))
        .unwrap_or_else(|_| "`greet` shouts at nobody: `greet(\"\")` must say \"Hello, world!\".".to_owned());
    let case: Case = serde_json::from_str(&fs::read_to_string(folder.join("case.json")).unwrap()).unwrap();

    let bench = Bench::new(&files, &issue);
    let mut model = Talker::new(script(name), case.format);
    model.server = case.server;
    let mut options = options();
    options.budget = budget(case.budget);
    let before = picture(&bench.root);
    let candidate = bench.run(&model, &options, "journal").unwrap();
    assert_same(&picture(&bench.root), &before, "the user's tree");
    assert_eq!(model.script.remaining(), 0, "answers that nobody asked for");

    let told = json!({
        "ending": candidate.ending,
        "turns": candidate.turns,
        "answer": candidate.answer,
    });
    let told = format!("{told:#}\n");
    let expected = folder.join("expected");
    compare(
        &expected.join("conversation.txt"),
        bench.conversation("journal").as_bytes(),
    );
    compare(&expected.join("candidate.json"), told.as_bytes());
    compare(&expected.join("patch.diff"), &candidate.patch);
}

fn budget(changes: Map<String, Value>) -> Budget {
    let mut value = serde_json::to_value(Budget::default()).unwrap();
    value.as_object_mut().unwrap().extend(changes);
    serde_json::from_value(value).unwrap()
}

#[track_caller]
pub(super) fn compare(path: &Path, found: &[u8]) {
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, found).unwrap();
        return;
    }
    let expected =
        fs::read(path).unwrap_or_else(|error| panic!("{}: {error}; {UPDATE}=1 writes it", path.display()));
    assert!(
        found == expected,
        "{} differs; {UPDATE}=1 writes it anew.\n=== found\n{}\n=== expected\n{}",
        path.display(),
        String::from_utf8_lossy(found),
        String::from_utf8_lossy(&expected)
    );
}
