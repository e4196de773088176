//! Conversations that go on, on a tiny model of CWM's form with Llama 3's vocabulary.

use super::*;
use crate::engine::SamplingParameters;
use crate::source::test_model::tiny_cwm;

fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        threads: Some(1),
        ..EmbeddedOptions::default()
    }
}

fn turn(messages: &[ChatMessage], seed: u64) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Chat {
            messages: messages.to_vec(),
            assistant_prefix: "<think>\n".to_owned(),
        },
        samples: 1,
        sampling: SamplingParameters {
            seed,
            ..SamplingParameters::default()
        },
        max_tokens: Some(70),
        stop: Vec::new(),
        logprobs: None,
        tools: Vec::new(),
    }
}

#[test]
fn each_turn_goes_on_from_the_last_ones_ids_and_finds_them_in_the_cache() {
    let folder = tiny_cwm();
    let model = EmbeddedModel::open(folder.path(), options()).unwrap();
    let mut messages = vec![
        ChatMessage::new("system", "You repair programs. ".repeat(20)),
        ChatMessage::new("user", "It <|eot_id|> fails."),
    ];
    let mut known: Vec<TokenId> = Vec::new();
    for number in 0..4 {
        let asked = turn(&messages, number);
        let prompt = model.encode(&asked.prompt, &[]).unwrap();
        assert_eq!(prompt.get(..known.len()), Some(known.as_slice()), "turn {number}");
        assert_eq!(model.count_prompt(&asked.prompt, &[]), Some(prompt.len()));
        let completion = model
            .generate(&asked, &mut |_| ControlFlow::Continue(()))
            .unwrap()
            .remove(0);
        assert_eq!(completion.usage.prompt_tokens, prompt.len());
        // All but the page that is not full.
        let cached = completion.usage.cached_tokens;
        assert!(
            cached + PAGE_TOKENS >= known.len(),
            "turn {number}: {cached} of {}",
            known.len()
        );

        let said = ChatMessage {
            sampled: Some(Sampled {
                start: "<think>\n".len(),
                tokens: completion.tokens.clone(),
            }),
            ..ChatMessage::new("assistant", format!("<think>\n{}", completion.text))
        };
        known = [prompt, completion.tokens, vec![128_009]].concat();
        messages.extend([said, ChatMessage::new("tool: bash", "<output>\n1\n</output>")]);
    }
    // Random weights say what no tokenizer would make of the text.
    let forgetful = messages.iter().cloned();
    let forgetful: Vec<ChatMessage> = forgetful
        .map(|message| ChatMessage {
            sampled: None,
            ..message
        })
        .collect();
    let again = model.encode(&turn(&forgetful, 0).prompt, &[]).unwrap();
    assert_ne!(again.get(..known.len()), Some(known.as_slice()));
}

#[test]
fn tools_for_a_format_without_a_place_for_them_are_refused() {
    let folder = tiny_cwm();
    let model = EmbeddedModel::open(folder.path(), options()).unwrap();
    assert_eq!(model.info().unwrap().calls, CallFormat::Tags);
    let tools = [ToolDefinition {
        name: "bash".to_owned(),
        description: String::new(),
        parameters: serde_json::json!({}),
    }];
    let prompt = turn(&[ChatMessage::new("user", "x")], 0).prompt;
    let said = model.encode(&prompt, &tools).unwrap_err().to_string();
    assert!(said.contains("system prompt"), "{said}");
    assert_eq!(model.count_prompt(&prompt, &tools), None);
}
