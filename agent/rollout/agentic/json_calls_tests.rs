//! Calls in JSON as models write them, and any others.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn bash(command: &str) -> Result<Call, JsonCallError> {
    Ok(Call {
        tool: Tool::Bash,
        content: command.to_owned(),
    })
}

#[test]
fn usual_forms_are_found() {
    for answer in [
        "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>",
        "I look.\n<tool_call>{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}",
        "<tool_call>\n{\"name\": \"bash\", \"arguments\": \"{\\\"command\\\": \\\"ls\\\"}\"}\n</tool_call>",
        "<tool_call>\n{\"name\": \"bash\", \"arguments\": \"ls\"}\n</tool_call>",
        "```json\n{\"name\": \"bash\", \"parameters\": {\"cmd\": \"ls\"}}\n```",
        "```\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n```\nThat lists the files.",
        "{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}",
        "So:\n{\"type\": \"function\", \"function\": {\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}}",
    ] {
        assert_eq!(find(answer), [bash("ls")], "{answer}");
    }
}

#[test]
fn what_no_meaning_is_lost_by_is_mended() {
    let answer = "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"cd a\n\tgrep -E '\\d+' b\\'s\"}}\n</tool_call>";
    assert_eq!(find(answer), [bash("cd a\n\tgrep -E '\\d+' b's")]);
}

#[test]
fn tags_within_strings_are_text() {
    let answer = "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"echo '<tool_call>{}</tool_call>'\"}}\n</tool_call>";
    assert_eq!(find(answer), [bash("echo '<tool_call>{}</tool_call>'")]);
}

#[test]
fn code_in_an_answer_is_no_call() {
    for answer in [
        "```python\nprint({\"name\": 1})\n```",
        "{\"name\": \"bash\"}",
        "The package has\n{\"name\": \"cwm\", \"version\": 1}",
        "Call `{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}` next.",
        "nothing",
        "",
    ] {
        assert_eq!(find(answer), [], "{answer}");
    }
}

#[test]
fn an_edit_has_the_tools_form() {
    let edit = |search: &str, replace: &str| {
        let arguments = json!({"path": " a.py ", "search": search, "replace": replace});
        from_parts("edit", arguments).unwrap().content
    };
    let expected = "a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE";
    assert_eq!(edit("old", "new"), expected);
    assert_eq!(edit("old\n", "new\n"), expected);
    assert_eq!(
        edit("old", ""),
        "a.py\n<<<<<<< SEARCH\nold\n=======\n>>>>>>> REPLACE"
    );
}

#[test]
fn what_is_wrong_is_said() {
    let missing = |tool, argument| {
        Err(JsonCallError::Arguments(ArgumentsError::Missing {
            tool,
            argument,
        }))
    };
    assert_eq!(
        from_parts("bash", json!({"command": 3})),
        missing(Tool::Bash, "command")
    );
    assert_eq!(
        from_parts("create", json!({"path": "", "content": ""})),
        missing(Tool::Create, "path")
    );
    assert_eq!(
        from_parts("edit", json!({"path": "a", "search": "x"})),
        missing(Tool::Edit, "replace")
    );
    let lines = ArgumentsError::SeveralLines {
        tool: Tool::Submit,
        argument: "path",
    };
    assert_eq!(
        from_parts("submit", json!({"path": "a\nb"})),
        Err(JsonCallError::Arguments(lines))
    );
    let unknown = CallError::Unknown {
        name: "browse".to_owned(),
    };
    assert_eq!(from_parts("browse", json!({})), Err(JsonCallError::Call(unknown)));
    for broken in [
        "<tool_call>\n{\"name\": \"bash\"",
        "<tool_call>\n[]\n</tool_call>",
        "<tool_call>",
    ] {
        let found = find(broken);
        let [Err(JsonCallError::Arguments(ArgumentsError::NotJson { .. }))] = found.as_slice() else {
            panic!("{broken}: {found:?}");
        };
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = format!("<tool_call>{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(find(&deep).len(), 1);
    assert!(find(&deep)[0].is_err());
}

#[test]
fn many_openings_take_no_long_time() {
    let started = std::time::Instant::now();
    assert!(!find(&"<tool_call>{".repeat(20_000)).is_empty());
    assert_eq!(find(&"\n{".repeat(20_000)), []);
    assert_eq!(find(&"{a}\n".repeat(20_000)), []);
    assert_eq!(find(&"x{".repeat(20_000)), []);
    assert_eq!(find(&"{}\n".repeat(100_000)), []);
    assert!(find(&"<tool_call>{}\n".repeat(100_000)).len() > 1);
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

/// Texts with what could be mistaken.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,8}",
        "\\PC{0,4}",
        proptest::sample::select(vec![
            "\n",
            "\r\n",
            "\t",
            "\"",
            "\\",
            "\\n",
            "{",
            "}",
            "</tool_call>",
            "<tool_call>",
            "```",
            "\u{1}",
            "'",
            "\\u12"
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_command_comes_through(command in text()) {
        prop_assume!(!command.trim().is_empty());
        let json = json!({"name": "bash", "arguments": {"command": command}}).to_string();
        for answer in [format!("<tool_call>\n{json}\n</tool_call>"), format!("Let me see.\n{json}")] {
            prop_assert_eq!(find(&answer), vec![bash(&command)]);
        }
    }

    #[test]
    fn raw_line_breaks_come_through(lines in proptest::collection::vec("[a-z ]{1,6}", 1..6)) {
        let command = lines.join("\n");
        prop_assume!(!command.trim().is_empty());
        let answer = format!("<tool_call>{{\"name\": \"bash\", \"arguments\": {{\"command\": \"{command}\"}}}}</tool_call>");
        prop_assert_eq!(find(&answer), vec![bash(&command)]);
    }

    #[test]
    fn no_text_breaks_the_search(answer in text(), name in "[a-z]{0,6}") {
        find(&answer);
        find(&format!("<tool_call>{answer}"));
        let _ = from_parts(&name, Value::String(answer));
    }
}
