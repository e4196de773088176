//! What tests of this room read: committed fixtures, made by `scripts/make-text-fixtures`, and real vocabularies.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Tokenizer;
use crate::formats::{Checkpoint, GgufVocabulary, OpenOptions, TokenizerSource};
use crate::model::TokenId;
use crate::test_models::model;

/// A text of the corpus.
#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) text: String,
}

/// What another program makes of a text: all ids of short texts, and the SHA-256 of the ids as little-endian `u32`.
#[derive(Deserialize)]
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) count: usize,
    pub(super) sha256: String,
    #[serde(default)]
    pub(super) ids: Option<Vec<TokenId>>,
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/text")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A model's chat template, by the name that the fixtures give it.
pub(super) fn template(name: &str) -> String {
    let all: Vec<(String, String, serde_json::Value)> = json("templates.json");
    all.into_iter().find(|one| one.0 == name).unwrap().1
}

pub(super) fn corpus() -> Vec<Document> {
    json("corpus.json")
}

pub(super) fn smollm2() -> Checkpoint {
    open("smollm2-135m-instruct-q4_1.gguf", "smollm2")
}

pub(super) fn qwen2() -> Checkpoint {
    open("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen-0.5b")
}

fn open(file: &str, name: &str) -> Checkpoint {
    Checkpoint::open(&model(file, name), &OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn llama3() -> Tokenizer {
    let file = std::fs::read(model("llama3-tokenizer.model", "llama3-tokenizer")).unwrap();
    tokenizer(&TokenizerSource::Tiktoken(file))
}

pub(super) fn hugging_face(name: &str) -> Tokenizer {
    let source = TokenizerSource::HuggingFace {
        tokenizer: fixture(&format!("{name}.tokenizer.json")),
        config: None,
    };
    tokenizer(&source)
}

/// The vocabulary that the sentencepiece package made, as a GGUF file has it.
pub(super) fn sentence_piece_vocabulary() -> GgufVocabulary {
    let pieces: Vec<(String, f32, i32)> = json("sentencepiece.vocabulary.json");
    GgufVocabulary {
        model: "llama".to_owned(),
        tokens: pieces.iter().map(|(text, _, _)| text.clone()).collect(),
        scores: pieces.iter().map(|(_, score, _)| *score).collect(),
        token_types: pieces.iter().map(|(_, _, kind)| *kind).collect(),
        bos: Some(1),
        eos: Some(2),
        unknown: Some(0),
        ..GgufVocabulary::default()
    }
}

pub(super) fn sentence_piece() -> Tokenizer {
    tokenizer(&TokenizerSource::Gguf(sentence_piece_vocabulary()))
}

pub(super) fn tokenizer(source: &TokenizerSource) -> Tokenizer {
    Tokenizer::new(source).unwrap_or_else(|error| panic!("{error}"))
}
