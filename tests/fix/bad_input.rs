//! Each thing that can be wrong has its sentence, and its exit code.

use std::io::Write;
use std::process::Stdio;

use super::{Desk, END, ISSUE, MEND, SUBMIT, TEST, WRITE, one_shot, refuses};

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
fn the_issue_can_come_on_standard_input() {
    let desk = Desk::calculator();
    let model = desk.lines(&[
        serde_json::json!({"text": MEND, "expect": ["<issue_description>\nAdding is wrong.\n"]}).to_string(),
        serde_json::json!({"text": WRITE}).to_string(),
        serde_json::json!({"text": SUBMIT}).to_string(),
        serde_json::json!({"text": END}).to_string(),
    ]);
    let words = ["fix", "--issue", "-", "--test", TEST, "--model", &model];
    let piped = |input: &str| -> crate::copies::Done {
        let mut command = desk.command(&words);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input.as_bytes()).unwrap();
        drop(pipe);
        child.wait_with_output().unwrap().into()
    };
    let done = piped("\nAdding is wrong.\n\n");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.text().contains("+    return a + b"));
    refuses(&piped("\n"), 2, &["The issue standard input is empty"]);
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
    assert_told_of_the_cut(&desk, &done);
}

#[test]
fn an_issue_of_two_megabytes_is_cut_for_one_shot_attempts_and_told_of_once() {
    let desk = Desk::calculator();
    let long = format!(
        "Addition.\n{}\nThe end: {ISSUE}\n",
        "so it goes on\n".repeat(150_000)
    );
    let issue = desk.file("long.md", long);
    let model = one_shot::script(
        &desk,
        &[
            serde_json::json!({"seed": 0, "text": one_shot::WRONG, "expect": ["The end:", "Addition."]}),
            serde_json::json!({"when": [one_shot::FAILING], "text": one_shot::WORSE}),
            serde_json::json!({"seed": 1, "text": one_shot::RIGHT, "expect": ["The end:"]}),
        ],
    );
    let issue = issue.to_str().unwrap();
    let done = desk.run(&[
        "fix", "--issue", issue, "--test", TEST, "--model", &model, "-n", "2",
    ]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_told_of_the_cut(&desk, &done);
}

/// The user is told, once, on stderr and in the journal, that models read a part of the issue only.
#[track_caller]
fn assert_told_of_the_cut(desk: &Desk, done: &crate::copies::Done) {
    assert_eq!(
        done.stderr.matches("the issue was cut").count(),
        1,
        "{}",
        done.stderr
    );
    let notices: Vec<_> = desk
        .journal()
        .into_iter()
        .filter(|line| line["event"] == "notice")
        .collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let text = notices[0]["text"].as_str().unwrap();
    assert!(text.starts_with("the issue was cut: its 21000"), "{text}");
    assert!(notices[0].get("attempt").is_none(), "{notices:?}");
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
    let words = [
        "fix",
        "-m",
        "It should print 2.",
        "--issue-tests",
        "0",
        "--model",
        &model,
    ];
    let done = desk.run(&words);
    refuses(&done, 1, &["No tests were found"]);
    desk.assert_untouched();
}

#[test]
fn tests_that_hang_or_do_not_start_are_explained() {
    let desk = Desk::calculator();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let words = ["fix", "-m", ISSUE, "--model", &model];
    let hanging = desk.run(&[&words[..], &["--test", "sleep 60", "--test-timeout", "1"]].concat());
    let says = [
        "warning: tests before any change: sleep 60: stopped at its time limit after",
        "--test-timeout gives them more time",
        "`sleep 60` did not end within its time",
    ];
    refuses(&hanging, 1, &says);
    let missing = desk.run(&[&words[..], &["--test", "no-such-program"]].concat());
    let says = [
        "warning: tests before any change: no-such-program: did not start: a program is missing: bash: line",
        "no-such-program: command not found",
        "before: did not start: a program is missing",
    ];
    refuses(&missing, 1, &says);
    desk.assert_untouched();
}

#[test]
fn a_disk_limit_within_the_copy_is_told_of() {
    let desk = Desk::calculator();
    let fill = "for n in 1 2 3 4 5 6; do head -c 1500000 /dev/zero > big$n; done; sleep 30";
    // By the model: it is told, and goes on.
    let call = format!("Fill it.\n</think>\n<tool: bash>\n{fill}\n</tool>");
    let told = "wrote more to disk than the limit of 4 MiB, and was stopped";
    let model = desk.lines(&[
        serde_json::json!({"text": MEND}).to_string(),
        serde_json::json!({"text": call}).to_string(),
        serde_json::json!({"text": WRITE, "expect": [told]}).to_string(),
        serde_json::json!({"text": SUBMIT}).to_string(),
        serde_json::json!({"text": END}).to_string(),
    ]);
    let done = desk.fix(&model, &["--disk", "4M"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    // By the tests: the user is told, and what to do.
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let words = [
        "fix", "-m", ISSUE, "--model", &model, "--disk", "4M", "--test", fill,
    ];
    let says = [
        "sleep 30: was stopped: killed because it wrote more to disk than allowed",
        "--disk widen it",
        "after: was stopped: killed because it wrote more to disk than allowed",
    ];
    refuses(&desk.run(&words), 1, &says);
    desk.assert_untouched();
}

#[test]
fn uncommitted_files_are_told_of() {
    let desk = Desk::calculator();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let count = |words: &[&str]| {
        let done = desk.fix(&model, words);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let told = done
            .stderr
            .lines()
            .find_map(|line| line.strip_suffix(" part of the base"));
        (told.map(str::to_owned), desk.journal()[0]["uncommitted"].clone())
    };
    assert_eq!(count(&[]), (None, 0.into()));
    desk.repository.shell("echo '# mine' >> calculator.py").ok();
    assert_eq!(count(&[]), (Some("1 uncommitted file is".to_owned()), 1.into()));
    desk.repository
        .shell("echo 'x = 1' > new.py; echo gone > gone.py; git add gone.py; git commit -qm gone gone.py; rm gone.py")
        .ok();
    assert_eq!(count(&[]), (Some("3 uncommitted files are".to_owned()), 3.into()));
    assert_eq!(count(&["--committed-only"]), (None, 0.into()));
}

#[test]
fn a_merge_in_progress_is_told_of_with_what_can_be_done() {
    let desk = Desk::calculator();
    desk.repository
        .shell(
            "git checkout -qb other; echo '# other' >> calculator.py; git commit -qam other; git checkout -q main; \
             echo '# main' >> calculator.py; git commit -qam main; ! git merge -q other 2>/dev/null",
        )
        .ok();
    let model = desk.script(&[MEND, WRITE, SUBMIT, END]);
    let says = [
        "paths with unresolved merge conflicts: 1 (the first is calculator.py)",
        "hint: --committed-only takes the last commit as it is",
    ];
    refuses(&desk.fix(&model, &[]), 3, &says);
    let done = desk.fix(&model, &["--committed-only"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
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
    let says = ["damaged.gguf is damaged: it ends within"];
    refuses(&desk.fix(damaged.to_str().unwrap(), &[]), 3, &says);
    let other = desk.file("other.gguf", b"GGML\x03\0\0\0and so on");
    let says = ["other.gguf is not a model that can be opened: it is not a GGUF file"];
    refuses(&desk.fix(other.to_str().unwrap(), &[]), 3, &says);
    // Both formats, cut within the last tensor's data.
    let short = desk.file("short.gguf", gguf_of_one_tensor(1000));
    let says = [
        "short.gguf: tensor \"token_embd.weight\":",
        "cut short or not a whole download",
    ];
    refuses(&desk.fix(short.to_str().unwrap(), &[]), 3, &says);
    let whole = concat!(env!("CARGO_MANIFEST_DIR"), "/runtime/fixtures/models/llama");
    desk.repository
        .shell(&format!(
            "cp -r '{whole}' ../llama; truncate -s -1 ../llama/model.safetensors"
        ))
        .ok();
    let says = [
        "llama/model.safetensors: tensor",
        "cut short or not a whole download",
    ];
    refuses(&desk.fix("../llama", &[]), 3, &says);
    refuses(
        &desk.fix("http://127.0.0.1:9", &[]),
        3,
        &["127.0.0.1:9", "cannot be reached"],
    );
    assert!(desk.runs().is_empty());
}

/// A file of GGUF that describes one tensor of 1024 floats, and has so many bytes of it.
fn gguf_of_one_tensor(bytes: usize) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    // One tensor, and one key of metadata, which is a text.
    file.extend([1u64, 1].map(u64::to_le_bytes).concat());
    file.extend(text("general.architecture"));
    file.extend(8u32.to_le_bytes());
    file.extend(text("qwen2"));
    file.extend(text("token_embd.weight"));
    // One dimension of 1024; floats; at the data's beginning, which is aligned to 32.
    file.extend(1u32.to_le_bytes());
    file.extend(1024u64.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.resize(file.len().next_multiple_of(32) + bytes, 0);
    file
}

#[test]
fn a_window_smaller_than_the_prompt_is_told_of() {
    let desk = Desk::calculator();
    let model = desk.lines(&[
        serde_json::json!({"model": {"context": 300}}).to_string(),
        serde_json::json!({"text": END}).to_string(),
    ]);
    let says = [
        "script has a window of 300 tokens, but what it must read before its first answer has",
        "give it a longer context, or choose a model that has one",
        "`cwm runs resume",
    ];
    refuses(&desk.fix(&model, &[]), 3, &says);
    let says = [
        "a window of 300 tokens is too small for the issue and the files that it is about",
        "choose a model with a longer context",
    ];
    refuses(
        &desk.fix(&model, &["--strategy", "one-shot", "-n", "1"]),
        3,
        &says,
    );
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
