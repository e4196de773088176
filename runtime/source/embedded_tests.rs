//! The embedded model on a real one: what it says does not depend on how it is asked.

use std::path::PathBuf;

use super::*;
use crate::engine::SamplingParameters;
use crate::source::ChatMessage;

/// The smallest real model, which `scripts/fetch-models` fetches once.
fn path() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fetch-models");
    let output = std::process::Command::new(script)
        .arg("smollm2")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        context: Some(256),
        ..EmbeddedOptions::default()
    }
}

fn chat(words: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Chat {
            messages: vec![ChatMessage::new("user", words)],
            assistant_prefix: String::new(),
        },
        samples: 1,
        sampling: SamplingParameters {
            temperature: 0.0,
            ..SamplingParameters::default()
        },
        max_tokens: Some(12),
        stop: Vec::new(),
        logprobs: None,
        tools: Vec::new(),
    }
}

fn answer(model: &EmbeddedModel, request: &GenerateRequest) -> (Vec<String>, Vec<Completion>) {
    let mut texts = vec![String::new(); request.samples];
    let completions = model.generate(request, &mut |piece| {
        texts[piece.sample].push_str(&piece.text);
        ControlFlow::Continue(())
    });
    (texts, completions.unwrap())
}

#[test]
fn a_real_model_answers_and_its_pieces_are_its_text() {
    let model = EmbeddedModel::open(&path(), options()).unwrap();
    assert_eq!(model.info().unwrap().context, Some(256));
    assert!(
        model
            .count_tokens("one two three")
            .is_some_and(|count| (3..=6).contains(&count))
    );

    let (texts, first) = answer(&model, &chat("What is the capital of France?"));
    assert!(first[0].text.contains("Paris"), "{first:?}");
    assert_eq!(texts[0], first[0].text);
    assert!(first[0].usage.prompt_tokens > 8 && first[0].usage.completion_tokens <= 12);
    // Asked again, the prompt is in the cache, and the answer is the same.
    let (_, again) = answer(&model, &chat("What is the capital of France?"));
    assert_eq!(
        (again[0].text.as_str(), &again[0].tokens),
        (first[0].text.as_str(), &first[0].tokens)
    );
    assert!(again[0].usage.cached_tokens > 0, "{again:?}");

    let several = GenerateRequest {
        samples: 3,
        stop: vec!["Paris".to_owned()],
        ..chat("What is the capital of France?")
    };
    let (_, completions) = answer(&model, &several);
    assert!(
        completions
            .iter()
            .all(|one| !one.text.contains("Paris") && one.reason == StopReason::Stop)
    );
}

#[test]
fn breaking_the_sink_gives_what_came_so_far() {
    let model = EmbeddedModel::open(&path(), options()).unwrap();
    let mut left = 3;
    let completions = model.generate(&chat("Count from one to twenty."), &mut |piece| {
        left -= usize::from(!piece.is_heartbeat());
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let completions = completions.unwrap();
    assert_eq!(completions[0].reason, StopReason::Cancelled);
    assert!((3..12).contains(&completions[0].tokens.len()), "{completions:?}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let long = EmbeddedOptions {
        context: Some(1 << 20),
        ..EmbeddedOptions::default()
    };
    let said = EmbeddedModel::open(&path(), long).unwrap_err().to_string();
    assert!(said.contains("1048576") && said.contains("at most"), "{said}");
    let model = EmbeddedModel::open(&path(), options()).unwrap();
    let refuse = |request: &GenerateRequest| {
        model
            .generate(request, &mut |_| ControlFlow::Continue(()))
            .unwrap_err()
            .to_string()
    };
    assert!(refuse(&chat(&"word ".repeat(400))).contains("context of 256"));
    let unknown = GenerateRequest {
        prompt: Prompt::Tokens(vec![u32::MAX]),
        ..chat("")
    };
    assert!(refuse(&unknown).contains("not in the model's vocabulary"));
}
