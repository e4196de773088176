//! What a run of `cwm fix` looks like, with a model that says what a script tells it.

use super::context::TestContext;

/// A repository with a bug and its test, and a script that mends it.
fn context() -> TestContext {
    let context = TestContext::new().with("TERM", "xterm");
    let write = |path: &str, text: &str| {
        let path = context.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("project/price.sh", "echo $(($1 + 1))\n");
    write("project/check.sh", "test \"$(bash price.sh 4)\" = 8\n");
    let edit = "<tool: edit>\nprice.sh\n<<<<<<< SEARCH\necho $(($1 + 1))\n=======\necho $(($1 * 2))\n>>>>>>> REPLACE\n</tool>";
    let diff = "<tool: bash>\ngit diff > /tmp/fix.diff\n</tool>";
    let submit = "<tool: submit>\n/tmp/fix.diff\n</tool>";
    let answers = [edit, diff, submit, "## Done"];
    let script: String = answers
        .iter()
        .map(|answer| {
            let text = format!("Hm.\n</think>\n{answer}");
            format!("{}\n", serde_json::json!({"text": text, "delay_ms": 300}))
        })
        .collect();
    write("script.jsonl", &script);
    let made = context.shell(
        "cd project && git init -q . && git add -A && git -c user.name=Ada -c user.email=ada@example.org commit -qm Begin",
    );
    assert_eq!(made.code, 0, "{made:?}");
    context
}

const FIX: &str = "$CWM fix project -m 'The price is wrong.' --test 'bash check.sh' --model script:script.jsonl \
                   --strategy agentic -n 1";

#[test]
fn the_patch_alone_is_on_stdout_and_the_story_on_stderr() {
    let outcome = context().shell(FIX);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(
        outcome.stdout.starts_with("diff --git a/price.sh b/price.sh\n"),
        "{outcome:?}"
    );
    assert!(!outcome.stderr.contains('\x1b'), "{outcome:?}");
    for words in [
        "tests before any change: bash check.sh: 1 failed in ",
        "attempt-1 finished after 4 turns, ",
        "attempt-1 was tried in a fresh copy: fixes 1, breaks none; verified\n",
        "Verified: the patch of attempt-1 makes 1 failing test pass and breaks none.\n",
        "\nTests\n  bash check.sh\n    before: 1 failed\n    after:  1 passed\n",
    ] {
        assert!(outcome.stderr.contains(words), "{words:?} in {}", outcome.stderr);
    }
    let outcome = context().shell(&format!("{FIX} --quiet"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
}

#[test]
fn a_terminal_sees_a_live_area_that_leaves_no_trace() {
    let context = context();
    std::fs::write(
        context.folder().join("run"),
        format!("stty cols 50 rows 20\n{FIX} > patch.diff\n"),
    )
    .unwrap();
    let outcome = context.shell("script -qec 'bash run' /dev/null < /dev/null");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let shown = &outcome.stdout;
    for words in [
        "1/128 thinking",
        "0/1 ended",
        "running the tests before any change",
    ] {
        assert!(shown.contains(words), "{words:?} in {shown:?}");
    }
    // The area is erased before the closing words, and never comes back.
    let (_, closing) = shown.split_once("Verified: ").unwrap();
    assert!(
        !closing.contains("\x1b[J") && !closing.contains("thinking"),
        "{closing:?}"
    );
    let patch = std::fs::read_to_string(context.folder().join("patch.diff")).unwrap();
    assert!(patch.starts_with("diff --git "), "{patch}");
}

#[test]
fn json_events_tell_the_run_from_its_begin_to_its_end_without_noise() {
    let outcome = context().shell(&format!("{FIX} --json"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    let events = outcome.events();
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    let at = |name: &str| {
        names
            .iter()
            .position(|known| *known == name)
            .unwrap_or(usize::MAX)
    };
    let order = [
        "fix.run",
        "fix.baseline",
        "fix.attempt",
        "fix.generation",
        "fix.tool",
        "fix.candidate",
        "fix.validation",
        "fix.result",
        "end",
    ];
    assert!(
        order.windows(2).all(|pair| at(pair[0]) < at(pair[1])),
        "{names:?}"
    );
    assert!(at("end") < usize::MAX, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "fix.generation").count(), 4);
}
