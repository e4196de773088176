//! The text of what the engine samples: whole characters, and nothing of a stop string.

use std::sync::{Arc, Mutex};

use super::engine_tests::Setup;
use super::test_backend::{HistoryBackend, Record, VOCABULARY, cache, layout};
use super::*;
use crate::formats::{GgufVocabulary, TokenizerSource};
use crate::model::TokenId;
use crate::text::Tokenizer;

const PROMPT: [TokenId; 3] = [65, 66, 67];
const STOP_ID: TokenId = 299;

/// A token a byte, a few with several, a control token, and nothing for the rest.
fn tokenizer() -> Tokenizer {
    let mut tokens: Vec<String> = (0..256).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut token_types = vec![6; 256];
    for number in 256..VOCABULARY {
        tokens.push(match number {
            256 => "xE".to_owned(),
            257 => "NDy".to_owned(),
            _ => format!("[{number}]"),
        });
        token_types.push(if number == STOP_ID as usize { 3 } else { 1 });
    }
    let vocabulary = GgufVocabulary {
        model: "llama".to_owned(),
        scores: vec![0.0; tokens.len()],
        tokens,
        token_types,
        add_space_prefix: Some(false),
        ..GgufVocabulary::default()
    };
    Tokenizer::new(&TokenizerSource::Gguf(vocabulary)).unwrap()
}

/// The texts of the events of a sample that consists of these tokens, the last of them that of its end, and its end.
fn generate(tokens: Vec<TokenId>, stop: &[&str], max_tokens: usize) -> (Vec<String>, FinishReason) {
    let layout = layout(None);
    let record = Arc::new(Mutex::new(Record {
        script: Some((PROMPT.len(), tokens)),
        ..Record::default()
    }));
    let backend = HistoryBackend::new(layout.clone(), record);
    let engine = Engine::start(
        Box::new(backend),
        cache(&layout, 100),
        Some(Arc::new(tokenizer())),
        Setup::default().options,
    );
    let request = Request {
        prompt: PROMPT.to_vec(),
        samples: 1,
        sampling: SamplingParameters {
            temperature: 0.0,
            ..SamplingParameters::default()
        },
        max_tokens,
        stop_ids: vec![STOP_ID],
        stop_strings: stop.iter().map(|stop| (*stop).to_owned()).collect(),
        ..Request::default()
    };
    let mut texts = Vec::new();
    for event in engine.submit(request).unwrap() {
        match event {
            Event::Token { text, .. } => texts.push(text),
            Event::Finished { text, reason, .. } => {
                texts.push(text);
                return (texts, reason);
            }
        }
    }
    panic!("no end");
}

fn bytes(text: &str) -> Vec<TokenId> {
    text.bytes().map(TokenId::from).collect()
}

#[test]
fn characters_come_whole() {
    let (texts, reason) = generate(bytes("aé→b"), &[], 7);
    assert_eq!(texts, ["a", "", "é", "", "", "→", "b", ""]);
    assert_eq!(reason, FinishReason::Length);
}

#[test]
fn a_stop_string_ends_the_text_wherever_tokens_cut_it() {
    let (texts, reason) = generate(bytes("é → END tail"), &["→ END"], 50);
    assert_eq!(texts.concat(), "é ");
    // Two bytes, a space, three bytes, and " END".
    assert_eq!(texts.len(), 10 + 1);
    assert_eq!(reason, FinishReason::StopString("→ END".to_owned()));

    let tokens = [bytes("a"), vec![256, 257], bytes("b")].concat();
    let (texts, reason) = generate(tokens, &["END"], 50);
    assert_eq!(texts, ["a", "x", "", ""]);
    assert_eq!(reason, FinishReason::StopString("END".to_owned()));
}

#[test]
fn text_that_was_held_back_comes_with_the_end() {
    let (texts, reason) = generate(bytes("abcE"), &["bcd", "END"], 3);
    assert_eq!(texts, ["a", "", "", "bc"]);
    assert_eq!(reason, FinishReason::Length);

    let tokens = [bytes("abc"), vec![STOP_ID]].concat();
    let (texts, reason) = generate(tokens, &["cd"], 50);
    assert_eq!(texts, ["a", "b", "", "", "c"]);
    assert_eq!(reason, FinishReason::StopId(STOP_ID));
}

#[test]
fn half_a_character_at_the_end_is_shown_as_one_that_is_unknown() {
    let (texts, reason) = generate(bytes("a→"), &["zz"], 3);
    assert_eq!(texts, ["a", "", "", "\u{FFFD}"]);
    assert_eq!(reason, FinishReason::Length);
}
