//! Each thing that can be wrong has its sentence, and its exit code.

use super::{Desk, END, ISSUE, MEND, SUBMIT, TEST, WRITE};

/// The command ends with this code, has printed nothing, and its message says all of these.
#[track_caller]
fn refuses(done: &crate::copies::Done, code: i32, says: &[&str]) {
    assert_eq!((done.code, done.text().as_str()), (code, ""), "{}", done.stderr);
    let flat = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in says {
        assert!(flat.contains(words), "`{words}` is not in: {flat}");
    }
}

#[test]
fn there_must_be_a_repository_with_a_commit() {
    let desk = Desk::calculator();
    let model = desk.script(&[END]);
    let elsewhere = desk.repository.context.folder().to_str().unwrap().to_owned();
    refuses(&desk.fix(&model, &[&elsewhere]), 3, &["git repository"]);
    refuses(&desk.fix(&model, &["/nonexistent"]), 3, &["/nonexistent"]);
    desk.repository.shell("git init -q ../empty").ok();
    refuses(&desk.fix(&model, &["../empty"]), 3, &["no commit"]);
    assert!(desk.runs().is_empty());
}

#[test]
fn there_must_be_an_issue() {
    let desk = Desk::calculator();
    refuses(&desk.run(&["fix"]), 2, &["no issue", "--issue"]);
    refuses(&desk.run(&["fix", "-m", " \n"]), 2, &["is empty"]);
    let empty = desk.file("empty.md", "");
    refuses(
        &desk.run(&["fix", "--issue", empty.to_str().unwrap()]),
        2,
        &["empty.md is empty"],
    );
    refuses(
        &desk.run(&["fix", "--issue", "missing.md"]),
        2,
        &["missing.md cannot be read"],
    );
}

#[test]
fn an_issue_of_two_megabytes_is_cut_to_its_end() {
    let desk = Desk::calculator();
    let long = format!("{}\nThe end: {ISSUE}\n", "so it goes on\n".repeat(150_000));
    let issue = desk.file("long.md", long);
    let model = desk.lines(&[
        serde_json::json!({"text": MEND, "expect": ["The end:", "[...]"]}).to_string(),
        serde_json::json!({"text": WRITE}).to_string(),
        serde_json::json!({"text": SUBMIT}).to_string(),
        serde_json::json!({"text": END}).to_string(),
    ]);
    let words = [
        "fix",
        "--issue",
        issue.to_str().unwrap(),
        "--test",
        TEST,
        "--model",
        &model,
    ];
    let done = desk.run(&words);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn a_repository_without_tests_is_told_of() {
    let desk = Desk::new("echo 'print(1)' > program.py");
    let model = desk.script(&[
        "It prints the wrong number.\n</think>\n<tool: bash>\necho 'print(2)' > program.py\n</tool>",
        WRITE,
        SUBMIT,
        END,
    ]);
    let done = desk.run(&["fix", "-m", "It should print 2.", "--model", &model]);
    refuses(&done, 1, &["No tests were found"]);
    desk.assert_untouched();
}

#[test]
fn tests_that_hang_or_do_not_start_are_explained() {
    let desk = Desk::calculator();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let words = ["fix", "-m", ISSUE, "--model", &model];
    let hanging = desk.run(&[&words[..], &["--test", "sleep 60", "--test-timeout", "1"]].concat());
    refuses(&hanging, 1, &["sleep 60"]);
    let missing = desk.run(&[&words[..], &["--test", "no-such-program"]].concat());
    refuses(&missing, 1, &["no-such-program"]);
    desk.assert_untouched();
}

#[test]
fn a_missing_or_damaged_model_is_told_of_before_anything_is_run() {
    let desk = Desk::calculator();
    refuses(
        &desk.fix("nothing-like-it", &[]),
        2,
        &["no model `nothing-like-it`"],
    );
    let damaged = desk.file("damaged.gguf", b"GGUF\x03\0\0\0");
    refuses(&desk.fix(damaged.to_str().unwrap(), &[]), 3, &["damaged.gguf"]);
    refuses(
        &desk.fix("http://127.0.0.1:9", &[]),
        3,
        &["127.0.0.1:9", "cannot be reached"],
    );
    assert!(desk.runs().is_empty());
}

#[test]
fn a_window_smaller_than_the_prompt_is_told_of() {
    let desk = Desk::calculator();
    let model = desk.lines(&[
        serde_json::json!({"model": {"context": 300}}).to_string(),
        serde_json::json!({"text": END}).to_string(),
    ]);
    refuses(&desk.fix(&model, &[]), 3, &["window"]);
    let model = desk.script(&[END]);
    refuses(&desk.fix(&model, &["--temperature", "-1"]), 2, &["temperature"]);
}

#[test]
fn a_full_disk_is_told_of_and_leaves_the_run_resumable() {
    let desk = Desk::calculator();
    let long = format!("{}\n</think>\n<tool: bash>\ntrue\n</tool>", "x".repeat(400_000));
    let model = desk.script(&[&long, &long, &long, &long, &long, &long, &long, &long, END]);
    // A state folder of two megabytes, in a mount namespace of its own.
    let script = format!(
        "mkdir -p $HOME/.local/state && mount -t tmpfs -o size=2m none $HOME/.local/state && \
         {} fix -m '{ISSUE}' --test true --model '{model}'; code=$?; ls -a $HOME/.local/state/cwm/runs/*; exit $code",
        crate::cli::context::binary()
    );
    let mut command = desk.repository.context.command("unshare");
    command.args(["--user", "--map-root-user", "--mount", "bash", "-c", &script]);
    command.current_dir(&desk.repository.root);
    let done: crate::copies::Done = command.output().unwrap().into();
    assert_eq!(done.code, 3, "{}\n{}", done.text(), done.stderr);
    assert!(done.stderr.contains("No space left"), "{}", done.stderr);
    assert!(done.stderr.contains("runs resume"), "{}", done.stderr);
    assert!(done.text().contains("resumable"), "{}", done.text());
    desk.assert_untouched();
}
