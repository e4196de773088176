//! What is unusual: new folders, links, other line ends, no tests, no room, and the user's word to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cwm::rollout::journal::{Journal, NoObserver};
use cwm::rollout::{Ending, RolloutError};
use cwm_runtime::source::{ScriptAnswer, ScriptModel};

use super::harness::{Scene, after, prompt, script};

const FILES: &str = "mkdir sub; printf 'one\\r\\ntwo\\r\\n' > sub/a.txt; printf 'x = 1' > sub/b.py; ln -s /etc/passwd link; ln -s sub/b.py near.py";

#[test]
fn files_keep_their_line_ends_and_new_ones_get_their_folders() {
    let scene = Scene::new(FILES, "Change sub/a.txt and sub/b.py.", &[]);
    let (candidate, model) = scene.attempt(&["\
sub/a.txt
<<<<<<< SEARCH
two
=======
two
three
>>>>>>> REPLACE

sub/b.py
<<<<<<< SEARCH
x = 1
=======
x = 2
>>>>>>> REPLACE

new/it's/c.py
<<<<<<< SEARCH
=======
y = 1
>>>>>>> REPLACE
"]);
    assert_eq!(
        candidate.ending,
        Ending::Finished,
        "without tests the edits are the candidate"
    );
    assert!(prompt(&model, 0).contains("sub/a.txt"));
    assert_eq!(after(&scene, &candidate, "sub/a.txt"), "one\r\ntwo\r\nthree\r\n");
    assert_eq!(after(&scene, &candidate, "sub/b.py"), "x = 2");
    assert_eq!(after(&scene, &candidate, "new/it's/c.py"), "y = 1\n");
}

#[test]
fn answers_that_reach_out_of_the_repository_change_nothing() {
    let mut scene = Scene::new(FILES, "Change link.", &[]);
    scene.options.budget.rounds = 1;
    let block = |path: &str, search: &str| {
        format!("{path}\n<<<<<<< SEARCH\n{search}=======\nevil\n>>>>>>> REPLACE\n")
    };
    let before = std::fs::read("/etc/passwd").unwrap();
    let first = String::from_utf8_lossy(&before)
        .lines()
        .next()
        .unwrap()
        .to_owned()
        + "\n";
    for answer in [
        block("link", &first),
        block("/etc/passwd", &first),
        block("../outside.txt", ""),
        block(".git/hooks/pre-commit", ""),
        block("link/x", ""),
    ] {
        let (candidate, _) = scene.attempt(&[&answer, &answer, &answer]);
        assert_eq!(
            (candidate.ending, candidate.patch),
            (Ending::NoAnswer, Vec::new()),
            "{answer}"
        );
    }
    assert_eq!(std::fs::read("/etc/passwd").unwrap(), before);
}

#[test]
fn commands_that_start_in_a_folder_change_the_same_files() {
    let mut scene = Scene::new(FILES, "Change sub/b.py.", &[]);
    scene.copies.start = PathBuf::from("sub");
    let (candidate, _) = scene.attempt(&["sub/b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE"]);
    assert_eq!(after(&scene, &candidate, "sub/b.py"), "x = 2");
}

#[test]
fn a_window_that_is_too_small_is_said() {
    let mut scene = Scene::new(FILES, "Change sub/b.py.", &[]);
    scene.options.budget.context = 300;
    let journal = Journal::create(&scene.journal_path(), Arc::new(NoObserver)).unwrap();
    let error = scene.attempt_with(&script(&["x"]), &journal).unwrap_err();
    assert!(matches!(error, RolloutError::WindowTooSmall(_)), "{error}");
    assert!(error.to_string().contains("300 tokens"), "{error}");
}

#[test]
fn a_file_that_no_answer_has_room_for_is_not_asked_for_as_a_whole() {
    let lines = "for i in $(seq 60); do printf 'def f%s():\\n    return %s\\n' $i $i; done > a.py";
    let mut scene = Scene::new(lines, "`f7` in a.py returns 7, not 8.", &[]);
    scene.options.budget.rounds = 1;
    for (context, whole) in [(8192, true), (2048, false)] {
        scene.options.budget.context = context;
        let (_, model) = scene.attempt(&["I do not know."; 3]);
        let asked = prompt(&model, 0);
        assert!(asked.contains("return 7"), "{asked}");
        assert_eq!(
            asked.contains("the whole fixed file"),
            whole,
            "{context}: {asked}"
        );
    }
}

#[test]
fn long_issues_and_outputs_are_cut_to_fit() {
    let files = format!(
        "{FILES}; seq 1 3000 | sed 's/.*/value_& = &/' > long.py; printf 'seq 1 5000; echo the very end; exit 1' > test.sh"
    );
    let mut issue = "The value_2999 of long.py is wrong.\n".to_owned();
    issue.push_str(&"It really is. ".repeat(5000));
    let mut scene = Scene::new(&files, &issue, &["sh test.sh"]);
    scene.options.budget.context = 3000;
    scene.options.budget.rounds = 2;
    let answer = "long.py\n<<<<<<< SEARCH\nvalue_2999 = 2999\n=======\nvalue_2999 = 0\n>>>>>>> REPLACE";
    let model = ScriptModel::new(
        [
            ScriptAnswer::new(answer),
            ScriptAnswer::new(answer.replace("= 0", "= 1")),
        ],
        Some(3000),
    );
    let journal = Journal::create(&scene.journal_path(), Arc::new(NoObserver)).unwrap();
    let candidate = scene.attempt_with(&model, &journal).unwrap();
    assert_eq!((candidate.ending, candidate.turns), (Ending::Turns, 2));
    assert!(
        prompt(&model, 0).contains("the very end"),
        "{}",
        prompt(&model, 0)
    );
    assert!(
        prompt(&model, 0).contains("The value_2999"),
        "{}",
        prompt(&model, 0)
    );
}

#[test]
fn the_users_word_and_the_time_end_it_before_the_next_step() {
    let mut scene = Scene::new(FILES, "Change sub/b.py.", &[]);
    scene.control.finish();
    let (candidate, model) = scene.attempt(&["x"]);
    assert_eq!((candidate.ending, model.remaining()), (Ending::Interrupted, 1));
    scene.control = cwm::rollout::Control::default();
    scene.options.budget.time = Some(Duration::ZERO);
    let (candidate, model) = scene.attempt(&["x"]);
    assert_eq!((candidate.ending, model.remaining()), (Ending::Time, 1));
}

#[test]
fn after_a_failure_of_the_model_the_attempt_goes_on_where_it_was() {
    let scene = Scene::new(FILES, "Change sub/b.py.", &["false"]);
    let wrong = "sub/b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE";
    let model = ScriptModel::new(
        [
            ScriptAnswer::new("no edits"),
            ScriptAnswer {
                error: Some("the server is gone".to_owned()),
                ..ScriptAnswer::new("")
            },
        ],
        None,
    );
    let path = scene.journal_path();
    let journal = Journal::create(&path, Arc::new(NoObserver)).unwrap();
    let error = scene.attempt_with(&model, &journal).unwrap_err();
    assert!(error.to_string().contains("the server is gone"), "{error}");
    let journal = Journal::resume(&path, Arc::new(NoObserver)).unwrap();
    let candidate = scene
        .attempt_with(&script(&[wrong, &wrong.replace("= 2", "= 3")]), &journal)
        .unwrap();
    assert_eq!((candidate.ending.clone(), candidate.turns), (Ending::Turns, 2));
    assert_eq!(
        after(&scene, &candidate, "sub/b.py"),
        "x = 2",
        "the first of equals is kept"
    );
}
