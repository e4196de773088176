//! Calls in answers: what is one, what is none, and what is refused.

use proptest::prelude::*;

use super::*;

fn call(tool: Tool, content: &str) -> Result<Call, CallError> {
    Ok(Call {
        tool,
        content: content.to_owned(),
    })
}

#[test]
fn one_call_is_read_wherever_it_stands() {
    assert_eq!(parse("<tool: bash>\nls -la\n</tool>"), call(Tool::Bash, "ls -la"));
    assert_eq!(
        parse("I look first.\n\n<tool: bash>\nls\n\n</tool>\nDone."),
        call(Tool::Bash, "ls\n")
    );
    assert_eq!(
        parse("<tool: create>\na.py\nx\n</tool>\n\n"),
        call(Tool::Create, "a.py\nx")
    );
    assert_eq!(
        parse("<tool: submit>\nfix.patch\n</tool>"),
        call(Tool::Submit, "fix.patch")
    );
    assert_eq!(parse("<tool: edit>\nf\n  x\n</tool>"), call(Tool::Edit, "f\n  x"));
}

#[test]
fn form_that_loses_no_meaning_is_forgiven() {
    assert_eq!(parse("<tool:bash>\nls\n</tool>"), call(Tool::Bash, "ls"));
    assert_eq!(parse("<tool:  bash> \nls\n</tool> "), call(Tool::Bash, "ls"));
    assert_eq!(parse("<tool: bash>\r\nls\n</tool>\r\n"), call(Tool::Bash, "ls"));
    // Mentions within a line are text.
    assert_eq!(
        parse("I use <tool: bash> now.\n<tool: bash>\nls\n</tool>"),
        call(Tool::Bash, "ls")
    );
    let script = "cat > a <<'E'\n \"</tool>\" <tool: edit>\nE";
    assert_eq!(
        parse(&format!("<tool: bash>\n{script}\n</tool>")),
        call(Tool::Bash, script)
    );
}

#[test]
fn each_departure_has_its_error() {
    assert_eq!(parse("All done.\n## Summary"), Err(CallError::None));
    assert_eq!(parse(""), Err(CallError::None));
    let two = "<tool: bash>\nls\n</tool>\n<tool: bash>\npwd\n</tool>";
    assert_eq!(parse(two), Err(CallError::Several(2)));
    assert_eq!(
        parse("<tool: bash>\nls"),
        Err(CallError::Unbalanced {
            opening: 1,
            closing: 0
        })
    );
    assert_eq!(
        parse("<tool: bash>\nls</tool>"),
        Err(CallError::Unbalanced {
            opening: 1,
            closing: 0
        })
    );
    assert_eq!(
        parse("ls\n</tool>"),
        Err(CallError::Unbalanced {
            opening: 0,
            closing: 1
        })
    );
    assert_eq!(
        parse("</tool>\n<tool: bash>\nls"),
        Err(CallError::Unbalanced {
            opening: 1,
            closing: 1
        })
    );
    let heredoc = "<tool: bash>\ncat <<E\n</tool>\nE\n</tool>";
    assert_eq!(
        parse(heredoc),
        Err(CallError::Unbalanced {
            opening: 1,
            closing: 2
        })
    );
    assert_eq!(
        parse("<tool: python>\n1\n</tool>"),
        Err(CallError::Unknown {
            name: "python".to_owned()
        })
    );
    assert_eq!(
        parse("<tool: Bash>\n1\n</tool>"),
        Err(CallError::Unknown {
            name: "Bash".to_owned()
        })
    );
    for empty in [
        "<tool: bash>\n</tool>",
        "<tool: bash>\n\n</tool>",
        "<tool: bash>\n \t\n\n</tool>",
    ] {
        assert_eq!(
            parse(empty),
            Err(CallError::Empty {
                tool: "bash".to_owned()
            })
        );
    }
}

#[test]
fn the_answer_follows_the_one_end_of_reasoning() {
    assert_eq!(
        answer_after_reasoning("<think>\nhm\n</think>\nanswer"),
        Ok("\nanswer")
    );
    assert_eq!(answer_after_reasoning("hm</think>"), Ok(""));
    assert_eq!(answer_after_reasoning("<think>\nhm"), Err(CallError::MissingEnd));
    assert_eq!(
        answer_after_reasoning("a</think>b</think>c</think>"),
        Err(CallError::RepeatedEnd(3))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn never_panics(parts in proptest::collection::vec(
        prop_oneof![
            Just("<tool: bash>".to_owned()), Just("<tool: ".to_owned()), Just(">".to_owned()),
            Just("</tool>".to_owned()), Just("\n".to_owned()), Just("\r\n".to_owned()),
            Just("</think>".to_owned()), "\\PC{0,8}", ".{0,8}",
        ], 0..24)) {
        let text = parts.concat();
        let _ = parse(&text);
        let _ = answer_after_reasoning(&text);
    }

    /// Whatever has no tag at a line's beginning comes through to the byte.
    #[test]
    fn content_survives(content in "(\\PC|\n|\t){1,80}", before in "\\PC{0,30}", after in "\\PC{0,30}") {
        prop_assume!(!content.trim().is_empty());
        let is_tag = |line: &str| line.starts_with("<tool:") || line.starts_with("</tool>");
        prop_assume!(![&before, &content, &after].iter().any(|text| text.lines().any(is_tag)));
        let text = format!("{before}\n<tool: create>\n{content}\n</tool>\n{after}");
        prop_assert_eq!(parse(&text), call(Tool::Create, &content));
    }
}
