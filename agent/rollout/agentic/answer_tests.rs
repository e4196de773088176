//! What is read from answers.

use cwm_runtime::engine::Usage;
use cwm_runtime::source::ToolCall;
use cwm_tools::call::Tool;

use super::*;

fn generated(text: &str, reason: StopReason) -> Generated {
    Generated {
        text: text.to_owned(),
        prefix: String::new(),
        tokens: Vec::new(),
        calls: Vec::new(),
        reason,
        usage: Usage::default(),
        seed: 0,
        seconds: 0.0,
    }
}

fn stopped(text: &str, format: CallFormat) -> Turn {
    read(&generated(text, StopReason::Stop), format, false)
}

fn bash(content: &str) -> Turn {
    Turn::Call(Call {
        tool: Tool::Bash,
        content: content.to_owned(),
    })
}

#[test]
fn only_behind_the_reasoning_are_calls_looked_for() {
    let text = "<tool: bash>\nrm -rf .\n</tool>\n</think>\n<tool: bash>\nls\n</tool>";
    assert_eq!(stopped(text, CallFormat::Tags), bash("ls"));
    let none = "<tool: bash>\nrm -rf .\n</tool>\n</think>\nDone.";
    assert_eq!(
        stopped(none, CallFormat::Tags),
        Turn::Wrong(Wrong::Form(CallError::None))
    );
    let open = "<tool: bash>\nls\n</tool>";
    assert_eq!(
        stopped(open, CallFormat::Tags),
        Turn::Wrong(Wrong::Form(CallError::MissingEnd))
    );
}

#[test]
fn a_closing_tag_in_the_wrong_place_is_read_where_nothing_is_lost() {
    let tags = |answer: &str| stopped(&format!("</think>\n{answer}"), CallFormat::Tags);
    assert_eq!(tags("<tool: bash>\nls"), bash("ls"));
    assert_eq!(tags("<tool: bash>\nls</tool>"), bash("ls"));
    assert_eq!(tags("<tool: bash>ls</tool>"), bash("ls"));
    // Two readings: refused.
    for answer in [
        "<tool: bash>\nls</tool> and then\n",
        "<tool: bash>\necho '</tool>'",
        "<tool: bash>ls</tool>\n<tool: bash>pwd</tool>",
        "Call <tool: bash>ls</tool> to see.",
        "ls\n</tool>",
    ] {
        assert!(matches!(tags(answer), Turn::Wrong(Wrong::Form(_))), "{answer}");
    }
}

#[test]
fn a_cut_answer_counts_only_when_its_call_is_whole() {
    let read = |text: &str| read(&generated(text, StopReason::Length), CallFormat::Tags, false);
    assert_eq!(read("</think>\n<tool: bash>\nls\n</tool>\nmore"), bash("ls"));
    assert_eq!(
        read("</think>\n<tool: bash>\nrm -rf /tmp/a"),
        Turn::Wrong(Wrong::Cut)
    );
    assert_eq!(read("thinking"), Turn::Wrong(Wrong::Cut));
}

#[test]
fn after_a_submission_an_answer_without_a_call_is_the_final_one() {
    let ended = |text: &str, reason| read(&generated(text, reason), CallFormat::Tags, true);
    let read = |text: &str| ended(text, StopReason::Stop);
    assert_eq!(read("</think>\n## Done"), Turn::Final("## Done".to_owned()));
    assert_eq!(read("## Done"), Turn::Final("## Done".to_owned()));
    assert_eq!(read("</think>\n<tool: bash>\nls\n</tool>"), bash("ls"));
    for wrong in [
        "</think>\n<tool: bash>\n<tool: bash>\n</tool>",
        "</think>\n<tool: bash>\nls\n</tool>\n<tool: bash>\npwd\n</tool>",
        "</think>\n<tool: python>\n1\n</tool>",
        "I submit again:\n<tool: submit>\n/tmp/fix.patch\n</tool>",
    ] {
        assert!(matches!(read(wrong), Turn::Wrong(Wrong::Form(_))), "{wrong}");
    }
    // A summary that is cut is one; thoughts that are cut may have been about to go on.
    let cut = |text: &str| ended(text, StopReason::Length);
    assert_eq!(cut("</think>\n## Do"), Turn::Final("## Do".to_owned()));
    assert_eq!(cut("Or is the pat"), Turn::Wrong(Wrong::Cut));
    assert_eq!(cut("</think>\n<tool: submit>\n/tmp/fi"), Turn::Wrong(Wrong::Cut));
}

#[test]
fn reasoning_is_left_out_where_there_is_some() {
    let call = "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>";
    for before in [
        "",
        "<think>\nhm </tool_call>\n</think>\n",
        "hm <tool_call>\n</think>\n",
        "I look.\n",
    ] {
        assert_eq!(
            stopped(&format!("{before}{call}"), CallFormat::Native),
            bash("ls"),
            "{before}"
        );
    }
    // Within a call it is text.
    let text =
        "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"echo </think>\"}}\n</tool_call>";
    assert_eq!(stopped(text, CallFormat::Native), bash("echo </think>"));
}

#[test]
fn a_servers_calls_count_before_its_text() {
    let mut answer = generated("<tool: bash>\npwd\n</tool>", StopReason::Stop);
    let call = ToolCall {
        id: "1".to_owned(),
        name: "bash".to_owned(),
        arguments: "{\"command\": \"ls\"}".to_owned(),
    };
    answer.calls = vec![call.clone()];
    assert_eq!(read(&answer, CallFormat::Native, false), bash("ls"));
    answer.calls = vec![call.clone(), call];
    let several = Turn::Wrong(Wrong::Form(CallError::Several(2)));
    assert_eq!(read(&answer, CallFormat::Native, false), several);
}
