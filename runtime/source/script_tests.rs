//! The scripted model: what it says, and what it complains of.

use super::*;
use crate::engine::SamplingParameters;
use crate::source::ChatMessage;

fn request(prompt: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text(prompt.to_owned()),
        samples: 1,
        sampling: SamplingParameters::default(),
        max_tokens: None,
        stop: Vec::new(),
        logprobs: None,
        tools: Vec::new(),
    }
}

fn play(model: &ScriptModel, request: &GenerateRequest) -> Result<(Vec<String>, Vec<Completion>), String> {
    let mut pieces = Vec::new();
    let outcome = model.generate(request, &mut |piece| {
        pieces.push(piece.text);
        ControlFlow::Continue(())
    });
    outcome
        .map(|completions| (pieces, completions))
        .map_err(|error| error.to_string())
}

#[test]
fn answers_come_in_order_and_in_pieces_that_are_the_text() {
    let model = ScriptModel::new(["fn main() {}", "b é!\n", "c"].map(ScriptAnswer::new), None);
    let (pieces, completions) = play(&model, &request("one two")).unwrap();
    assert_eq!(pieces, ["fn ", "main", "(", ") ", "{", "}"]);
    let usage = Usage {
        prompt_tokens: 2,
        cached_tokens: 0,
        completion_tokens: 6,
    };
    assert_eq!(
        (completions[0].text.as_str(), completions[0].usage),
        ("fn main() {}", usage)
    );
    let two = GenerateRequest {
        samples: 2,
        ..request("x")
    };
    let (pieces, completions) = play(&model, &two).unwrap();
    assert_eq!(pieces, ["b ", "é", "!", "\n", "c"]);
    assert_eq!(
        completions
            .iter()
            .map(|one| one.text.as_str())
            .collect::<Vec<_>>(),
        ["b é!\n", "c"]
    );
    assert_eq!((model.remaining(), model.requests().len()), (0, 2));
    let said = play(&model, &request("more, please")).unwrap_err();
    assert!(
        said.contains("only 3 answers") && said.contains("more, please"),
        "{said}"
    );
}

#[test]
fn limits_and_stop_texts_cut_the_answer() {
    let cut = |stop: &[&str], most: Option<usize>, context: Option<usize>| {
        let model = ScriptModel::new([ScriptAnswer::new("a b c\nd e")], context);
        let asked = GenerateRequest {
            stop: stop.iter().map(|text| (*text).to_owned()).collect(),
            max_tokens: most,
            ..request("p q r")
        };
        play(&model, &asked).map(|(_, completions)| (completions[0].text.clone(), completions[0].reason))
    };
    let is = |text: &str, reason: StopReason| Ok((text.to_owned(), reason));
    assert_eq!(cut(&[], None, None), is("a b c\nd e", StopReason::Stop));
    assert_eq!(cut(&["e", "\nd", ""], None, None), is("a b c", StopReason::Stop));
    assert_eq!(cut(&[], Some(2), None), is("a b ", StopReason::Length));
    assert_eq!(cut(&["c"], Some(2), None), is("a b ", StopReason::Stop));
    assert_eq!(cut(&[], Some(6), Some(4)), is("a ", StopReason::Length));
    assert!(
        cut(&[], None, Some(3))
            .unwrap_err()
            .contains("the prompt has 3 tokens")
    );
}

#[test]
fn expectations_and_errors_are_loud() {
    let answers = [
        ScriptAnswer::new("yes").expecting("tests pass"),
        ScriptAnswer::new("no").expecting("tests pass"),
        ScriptAnswer {
            error: Some("out of memory".to_owned()),
            ..ScriptAnswer::new("")
        },
    ];
    let model = ScriptModel::new(answers, None);
    assert_eq!(
        play(&model, &request("all tests pass now")).unwrap().1[0].text,
        "yes"
    );
    let said = play(&model, &request("all tests fail now")).unwrap_err();
    assert!(said.contains("answer 2 expects `tests pass`"), "{said}");
    assert!(play(&model, &request("")).unwrap_err().contains("out of memory"));
}

#[test]
fn a_sink_that_breaks_ends_the_answer() {
    let model = ScriptModel::new(["one two three", "never"].map(ScriptAnswer::new), None);
    let two = GenerateRequest {
        samples: 2,
        ..request("x")
    };
    let mut left = 2;
    let completions = model.generate(&two, &mut |_| {
        left -= 1;
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let completions = completions.unwrap();
    assert_eq!(completions.len(), 1);
    assert_eq!(
        (completions[0].text.as_str(), completions[0].reason),
        ("one two ", StopReason::Cancelled)
    );
}

#[test]
fn a_script_is_a_file_of_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.jsonl");
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        ScriptModel::read(&path)
    };
    let model =
        write("{\"text\": \"a\", \"reason\": \"length\"}\n\n{\"text\": \"b\", \"expect\": [\"x\"]}\n")
            .unwrap();
    assert_eq!(
        play(&model, &request("")).unwrap().1[0].reason,
        StopReason::Length
    );
    assert_eq!(play(&model, &request("x")).unwrap().1[0].text, "b");
    let said = write("{\"text\": \"a\"}\n{\"txt\": 1}").unwrap_err().to_string();
    assert!(said.contains("line 2") && said.contains("script.jsonl"), "{said}");
    let said = ScriptModel::read(&folder.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(said.contains("cannot be read"), "{said}");
}

#[test]
fn rules_answer_what_was_said_last_and_any_number_of_times() {
    let model = ScriptModel::new(
        [
            ScriptAnswer::new("both").when("tests").when("failed"),
            ScriptAnswer::new("tests").when("tests"),
            ScriptAnswer::new("in line"),
        ],
        None,
    );
    let chat = |last: &str| GenerateRequest {
        prompt: Prompt::Chat {
            messages: vec![
                ChatMessage::new("user", "2 tests failed"),
                ChatMessage::new("user", last),
            ],
            assistant_prefix: "tests failed".to_owned(),
        },
        ..request("")
    };
    let said = |last: &str| play(&model, &chat(last)).map(|(_, completions)| completions[0].text.clone());
    assert_eq!(said("no tests, none failed").unwrap(), "both");
    assert_eq!(said("the tests pass").unwrap(), "tests");
    assert_eq!(said("no tests, none failed").unwrap(), "both");
    assert_eq!(model.remaining(), 1);
    assert_eq!(said("something else").unwrap(), "in line");
    let error = said("something else").unwrap_err();
    assert!(
        error.contains("only 1 answers, none of its 2 rules fits") && error.contains("something else"),
        "{error}"
    );
    // Of a raw prompt the end counts.
    let raw = |text: &str| play(&model, &request(text)).map(|(_, completions)| completions[0].text.clone());
    assert_eq!(raw("the tests").unwrap(), "tests");
    assert!(raw(&format!("the tests{}", " ".repeat(2000))).is_err());
}

#[test]
fn rules_for_seeds_tell_samples_apart_whoever_asks_first() {
    let rules = || {
        [
            ScriptAnswer::new("b").for_seed(8),
            ScriptAnswer::new("c").for_seed(9).when("again"),
            ScriptAnswer::new("a").when(""),
        ]
    };
    let asked = |seed: u64, samples: usize, prompt: &str| {
        let mut asked = request(prompt);
        (asked.sampling.seed, asked.samples) = (seed, samples);
        asked
    };
    let texts = |model: &ScriptModel, asked: &GenerateRequest| -> Vec<String> {
        let completions = play(model, asked).unwrap().1;
        completions.into_iter().map(|one| one.text).collect()
    };
    let model = ScriptModel::new(rules(), None);
    assert_eq!(texts(&model, &asked(7, 3, "again")), ["a", "b", "c"]);
    assert_eq!(texts(&model, &asked(7, 3, "once")), ["a", "b", "a"]);
    assert_eq!(texts(&model, &asked(9, 1, "again")), ["c"]);
    assert_eq!(texts(&model, &asked(u64::MAX, 2, "")), ["a", "a"]);
}

#[test]
fn calls_come_with_the_text_and_count() {
    let call = ToolCall {
        id: "1".to_owned(),
        name: "bash".to_owned(),
        arguments: "{\"command\": \"ls\"}".to_owned(),
    };
    let answer = ScriptAnswer {
        calls: vec![call.clone()],
        ..ScriptAnswer::new("I look.")
    };
    let model = ScriptModel::new([answer.clone(), answer], None);
    let tools = vec![ToolDefinition {
        name: "bash".to_owned(),
        description: "Runs a command.".to_owned(),
        parameters: serde_json::json!({}),
    }];
    let mut message = ChatMessage::new("assistant", "x");
    message.calls = vec![call.clone()];
    let asked = GenerateRequest {
        prompt: Prompt::Chat {
            messages: vec![message],
            assistant_prefix: String::new(),
        },
        tools,
        ..request("")
    };
    let completion = play(&model, &asked).unwrap().1.remove(0);
    assert_eq!(
        (completion.calls, completion.usage.completion_tokens),
        (vec![call], 13)
    );
    assert_eq!(
        model.count_prompt(&asked.prompt, &asked.tools),
        Some(completion.usage.prompt_tokens)
    );
    assert!(completion.usage.prompt_tokens > model.count_prompt(&asked.prompt, &[]).unwrap());
    // An answer that is cut has not come to its calls.
    let cut = GenerateRequest {
        max_tokens: Some(1),
        ..asked
    };
    assert_eq!(play(&model, &cut).unwrap().1[0].calls, []);
}

#[test]
fn a_slow_answer_can_be_cancelled_before_its_first_word() {
    let slow = ScriptAnswer {
        delay_ms: u64::MAX,
        ..ScriptAnswer::new("never")
    };
    let model = ScriptModel::new([slow], None);
    let mut asked = 0;
    let completions = model.generate(&request("x"), &mut |piece| {
        assert!(piece.is_heartbeat());
        asked += 1;
        if asked == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let completions = completions.unwrap();
    assert_eq!(
        (completions[0].text.as_str(), completions[0].reason),
        ("", StopReason::Cancelled)
    );
    let late = ScriptAnswer {
        delay_ms: 30,
        ..ScriptAnswer::new("late")
    };
    let model = ScriptModel::new([late], None);
    let begun = Instant::now();
    assert_eq!(play(&model, &request("x")).unwrap().1[0].text, "late");
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[test]
fn the_first_line_may_say_what_the_model_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.jsonl");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        ScriptModel::read(&path)
    };
    let model = read(
        "\n{\"model\": {\"name\": \"m\", \"context\": 64, \"calls\": \"native\", \"parameters\": 7, \"fingerprint\": \"f\"}}\n\
         {\"text\": \"a\", \"calls\": [{\"id\": \"1\", \"name\": \"bash\", \"arguments\": \"{}\"}]}\n\
         {\"text\": \"b\", \"when\": [\"x\"], \"seed\": 1, \"delay_ms\": 0}",
    );
    let model = model.unwrap();
    let info = ModelInfo {
        name: "m".to_owned(),
        context: Some(64),
        fingerprint: Some("f".to_owned()),
        parameters: Some(7),
        calls: CallFormat::Native,
    };
    assert_eq!((model.info().unwrap(), model.remaining()), (info, 1));
    let usual = read("{\"model\": {}}").unwrap().info().unwrap();
    assert_eq!(
        (usual.name.as_str(), usual.context, usual.calls),
        ("script", None, CallFormat::Tags)
    );
    for (text, words) in [
        ("{\"model\": {\"size\": 1}}", ["line 1", "size"]),
        ("{\"model\": {\"calls\": \"json\"}}", ["line 1", "native"]),
        ("\n{\"text\": \"a\"}\n{\"model\": {}}", ["line 3", "first line"]),
        ("{\"when\": \"x\"}", ["line 1", "sequence"]),
        ("{\"calls\": [{\"name\": \"bash\"}]}", ["line 1", "id"]),
        ("[", ["line 1", "EOF"]),
    ] {
        let said = read(text).unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}
