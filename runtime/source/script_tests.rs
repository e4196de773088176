//! The scripted model: what it says, and what it complains of.

use super::*;
use crate::engine::SamplingParameters;

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
