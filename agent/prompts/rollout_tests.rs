//! What models read in the turn loop, compared with the expected messages.

use std::fmt::Write as _;

use super::*;

#[test]
fn every_remark_reads_as_written_down() {
    let prompts = Prompts::built_in().unwrap();
    let mut all = String::new();
    let mut say = |name: &str, text: Result<String, PromptError>| {
        let text = text.unwrap();
        assert!(
            !text.starts_with('\n') && !text.ends_with('\n'),
            "{name}: {text:?}"
        );
        writeln!(all, "--- {name}\n{text}").unwrap();
    };
    for submitted in [false, true] {
        for scarce in [Scarce::Turns(3), Scarce::Turns(1), Scarce::Tokens, Scarce::Time] {
            say("last_turns", prompts.last_turns(scarce, submitted));
        }
    }
    let kept = |first_bytes| KeptAt {
        path: Path::new("/tmp/a.txt"),
        first_bytes,
    };
    say("elided", prompts.elided(Tool::Edit, 2, 4, Some(kept(None))));
    say("elided", prompts.elided(Tool::Bash, 20, 40, Some(kept(Some(30)))));
    say("elided", prompts.elided(Tool::Edit, 2, 4, None));
    say("elided", prompts.elided(Tool::Bash, 2, 4, None));
    say("repeated_call", prompts.repeated_call(3));
    say("session_restored", prompts.session_restored());
    say("answer_cut", prompts.answer_cut(512, true));
    say("answer_cut", prompts.answer_cut(512, false));
    say("tool_failed", prompts.tool_failed(Tool::Edit, "it was stopped."));
    say(
        "patch_refused",
        prompts.patch_refused("a.py: hunk 1 does not apply"),
    );
    let tool = Tool::Edit;
    for error in [
        ArgumentsError::NotJson {
            tool: None,
            message: "a comma is missing".to_owned(),
        },
        ArgumentsError::NotJson {
            tool: Some("bash".to_owned()),
            message: "a comma is missing".to_owned(),
        },
        ArgumentsError::Missing {
            tool,
            argument: "search",
        },
        ArgumentsError::SeveralLines {
            tool,
            argument: "path",
        },
    ] {
        say("arguments_error", prompts.arguments_error(&error));
    }
    for error in [
        CallError::None,
        CallError::Several(2),
        CallError::Unknown {
            name: "browse".to_owned(),
        },
        CallError::Empty {
            tool: "bash".to_owned(),
        },
        CallError::MissingEnd,
    ] {
        say("format_error_native", prompts.format_error_native(&error));
    }
    let expected = include_str!("expected_rollout.txt");
    assert!(all == expected, "the messages read now:\n{all}");
}
