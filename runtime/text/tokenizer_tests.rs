//! Tokens are those of other programs, special tokens never come from text, and text comes back as it was.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::test_files::{
    Expected, corpus, fixture, hugging_face, json, llama3, qwen2, sentence_piece, sentence_piece_vocabulary,
    smollm2, tokenizer,
};
use super::{StreamDecoder, TextError, Tokenizer};
use crate::formats::{GgufVocabulary, TokenizerSource};
use crate::model::TokenId;

static SMOLLM2: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| Arc::new(tokenizer(&smollm2().tokenizer)));
static LLAMA3: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| Arc::new(llama3()));
static BYTES: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| Arc::new(hugging_face("bytes")));
static PIECES: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| Arc::new(hugging_face("pieces")));
static SENTENCE_PIECE: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| Arc::new(sentence_piece()));

/// Compares the tokens of every text of the corpus with those of another program.
fn same_ids(tokenizer: &Tokenizer, name: &str) {
    let corpus = corpus();
    let expected: Vec<Expected> = json(&format!("{name}.ids.json"));
    assert!(expected.len() >= 80);
    for expected in expected {
        let document = corpus
            .iter()
            .find(|document| document.name == expected.name)
            .unwrap();
        let ids = tokenizer
            .encode(&document.text)
            .unwrap_or_else(|error| panic!("{}: {error}", document.name));
        if let Some(expected) = &expected.ids {
            assert_eq!(&ids, expected, "{}: {:?}", document.name, document.text);
        }
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (ids.len(), digest),
            (expected.count, expected.sha256),
            "{}",
            document.name
        );
    }
}

#[test]
fn gguf_bpe_gives_the_ids_of_llama_cpp() {
    same_ids(&SMOLLM2, "smollm2");
}

#[test]
fn every_way_of_splitting_gives_the_ids_of_llama_cpp() {
    let file: serde_json::Value = json("bytes.tokenizer.json");
    let ids: HashMap<String, usize> = serde_json::from_value(file["model"]["vocab"].clone()).unwrap();
    let merges: Vec<(String, String)> = serde_json::from_value(file["model"]["merges"].clone()).unwrap();
    let mut tokens = vec![String::new(); ids.len()];
    for (text, id) in ids {
        tokens[id] = text;
    }
    let merges: Vec<String> = merges
        .iter()
        .map(|(left, right)| format!("{left} {right}"))
        .collect();
    for pre in [
        "default",
        "gpt-2",
        "llama-bpe",
        "qwen2",
        "smollm",
        "starcoder",
        "refact",
        "codeshell",
        "deepseek-coder",
    ] {
        let vocabulary = GgufVocabulary {
            model: "gpt2".to_owned(),
            pre: Some(pre.to_owned()),
            tokens: tokens.clone(),
            merges: merges.clone(),
            ..GgufVocabulary::default()
        };
        same_ids(
            &tokenizer(&TokenizerSource::Gguf(vocabulary)),
            &format!("pre-{pre}"),
        );
    }
}

#[test]
#[ignore = "needs the 0.5B model (scripts/fetch-models qwen-0.5b)"]
fn qwen_gives_the_ids_of_llama_cpp() {
    same_ids(&tokenizer(&qwen2().tokenizer), "qwen2");
}

#[test]
fn gguf_sentence_piece_gives_the_ids_of_sentencepiece() {
    same_ids(&SENTENCE_PIECE, "sentencepiece");
}

#[test]
fn llama_3_ranks_give_the_ids_of_tiktoken() {
    same_ids(&LLAMA3, "llama3");
}

#[test]
fn tokenizer_json_gives_the_ids_of_tokenizers() {
    same_ids(&BYTES, "bytes");
    same_ids(&PIECES, "pieces");
    same_ids(&hugging_face("unigram"), "unigram");
}

#[test]
fn texts_of_the_corpus_come_back() {
    for (tokenizer, name) in [
        (&*SMOLLM2, "smollm2"),
        (&LLAMA3, "llama3"),
        (&BYTES, "bytes"),
        (&PIECES, "pieces"),
        (&SENTENCE_PIECE, "sentencepiece"),
    ] {
        for document in corpus() {
            let ids = tokenizer.encode(&document.text).unwrap();
            // SmolLM2 has no tokens for some control characters, which it was never shown.
            let whole = document.name != "control characters" || name != "smollm2";
            assert_eq!(
                tokenizer.decode(&ids) == document.text,
                whole,
                "{name}: {}",
                document.name
            );
        }
    }
}

#[test]
fn special_tokens_have_the_ids_of_their_makers() {
    for (name, id) in [
        ("<|begin_of_text|>", 128_000),
        ("<|end_of_text|>", 128_001),
        ("<|reserved_special_token_0|>", 128_002),
        ("<|pad|>", 128_004),
        ("<|finetune_right_pad_id|>", 128_004),
        ("<|start_header_id|>", 128_006),
        ("<|end_header_id|>", 128_007),
        ("<|eom_id|>", 128_008),
        ("<|eot_id|>", 128_009),
        ("<|reserved_special_token_2|>", 128_012),
        ("<|frame_sep|>", 128_100),
        ("<|reserved_special_token_90|>", 128_100),
        ("<|trace_context_start|>", 128_107),
        ("<|reasoning_thinking_end|>", 128_121),
        ("<|reserved_special_token_245|>", 128_255),
    ] {
        assert_eq!(LLAMA3.special(name), Some(id), "{name}");
    }
    assert_eq!(LLAMA3.special("<|reserved_special_token_246|>"), None);
    assert_eq!(LLAMA3.special("the"), None);
    assert_eq!(
        (
            LLAMA3.vocabulary(),
            LLAMA3.begin_of_text(),
            LLAMA3.adds_begin_of_text()
        ),
        (128_256, Some(128_000), true)
    );
    assert_eq!(
        (SMOLLM2.begin_of_text(), SMOLLM2.adds_begin_of_text()),
        (Some(1), false)
    );
    assert_eq!(SMOLLM2.special("<|im_end|>"), Some(2));
    // The post-processor of the file adds it.
    assert!(BYTES.adds_begin_of_text() && BYTES.begin_of_text() == BYTES.special("<|begin_of_text|>"));
    assert!(SENTENCE_PIECE.adds_begin_of_text());
}

#[test]
fn tokens_are_decoded_to_their_bytes() {
    let one = |tokenizer: &Tokenizer, text: &str| {
        let ids = tokenizer.encode(text).unwrap();
        ids.iter()
            .map(|&id| tokenizer.token_bytes(id).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(one(&LLAMA3, " hello\n").concat(), b" hello\n");
    // A character that no token has whole is spelled in bytes.
    let spelled = one(&SENTENCE_PIECE, "\u{10FFFF}");
    assert_eq!(
        spelled,
        [b" ".to_vec(), vec![0xF4], vec![0x8F], vec![0xBF], vec![0xBF]]
    );
    assert_eq!(LLAMA3.token_bytes(128_256), None);
    let ids = [128_000, 15339, 128_009];
    assert_eq!(
        (LLAMA3.decode(&ids).as_str(), LLAMA3.decode_all(&ids).as_str()),
        ("hello", "<|begin_of_text|>hello<|eot_id|>")
    );
}

#[test]
fn the_space_before_a_text_is_not_part_of_it_but_one_between_words_is() {
    let ids = SENTENCE_PIECE.encode("if if").unwrap();
    assert_eq!(SENTENCE_PIECE.decode(&ids), "if if");
    let last = *ids.last().unwrap();
    let continued = |before: &[TokenId]| StreamDecoder::after(SENTENCE_PIECE.clone(), before).push(last);
    assert_eq!(continued(&ids[..ids.len() - 1]), " if");
    assert_eq!(continued(&[1]), "if");
    assert_eq!(StreamDecoder::new(SENTENCE_PIECE.clone()).push(last), "if");
}

fn any_text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "<|eot_id|>",
        "<|begin_of_text|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "</s>",
        "<s>",
        "<unk>",
        "<0x0A>",
        "<|",
        "|>",
        "<tool_call>",
        "  ",
        "\n\n",
        "\r\n",
        "'s",
        "▁",
    ]);
    let part = prop_oneof![
        special.prop_map(str::to_owned),
        any::<String>(),
        "[ \t\r\n]{0,9}",
        "[a-z0-9_({=]{0,9}"
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn tokenizers() -> [&'static Arc<Tokenizer>; 5] {
    [&SMOLLM2, &LLAMA3, &BYTES, &PIECES, &SENTENCE_PIECE]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn text_comes_back_and_never_becomes_a_special_token(text in any_text()) {
        for tokenizer in tokenizers() {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert!(!ids.iter().any(|&id| tokenizer.is_special(id)), "{ids:?}");
            // SentencePiece writes spaces as ▁, so that it cannot tell them from that character; SmolLM2 lacks tokens for the bytes
            // of rare characters.
            let ambiguous = text.contains('▁') && !tokenizer.encode("▁").unwrap().is_empty() && tokenizer.decode(&tokenizer.encode("▁").unwrap()) != "▁";
            if !ambiguous && !Arc::ptr_eq(tokenizer, &SMOLLM2) {
                prop_assert_eq!(&tokenizer.decode(&ids), &text);
            }
        }
    }

    #[test]
    fn pieces_of_a_stream_are_the_text_of_the_whole(ids in prop::collection::vec(0u32..1_000_000, 0..60), split in any::<bool>()) {
        for tokenizer in tokenizers() {
            // Ids of single bytes are the lowest in most vocabularies; ids beyond the vocabulary are left out of the text.
            let range = if split { 256 } else { 100 + tokenizer.vocabulary() as u32 };
            let ids: Vec<TokenId> = ids.iter().map(|id| id % range).collect();
            let mut stream = StreamDecoder::new(tokenizer.clone());
            let mut streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
            streamed.push_str(&stream.finish());
            prop_assert_eq!(&streamed, &tokenizer.decode(&ids));
            if !Arc::ptr_eq(tokenizer, &PIECES) && !Arc::ptr_eq(tokenizer, &SENTENCE_PIECE) {
                let shown = ids.iter().filter(|&&id| !tokenizer.is_special(id));
                let bytes: Vec<u8> = shown.filter_map(|&id| tokenizer.token_bytes(id)).flatten().collect();
                prop_assert_eq!(&streamed, &String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn damaged_files_are_errors_and_nothing_worse(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        for name in ["bytes.tokenizer.json", "unigram.tokenizer.json"] {
            let mut file = fixture(name);
            let place = at.index(file.len());
            file[place] = byte;
            let source = |file: Vec<u8>| TokenizerSource::HuggingFace { tokenizer: file, config: None };
            if let Ok(tokenizer) = Tokenizer::new(&source(file.clone())) {
                // Whatever the change made of it, texts are encoded or refused.
                let _ = tokenizer.encode("def f(x): return '<|eot_id|>'").map(|ids| tokenizer.decode(&ids));
            }
            file.truncate(cut.index(file.len()));
            prop_assert!(Tokenizer::new(&source(file)).is_err());
        }
    }
}

fn byte_level() -> GgufVocabulary {
    let mut tokens: Vec<String> = (0..=u8::MAX)
        .map(|byte| super::bytes::byte_to_char(byte).to_string())
        .collect();
    tokens.extend(["ab", "<|eot_id|>", "Ġab", "<tool>"].map(str::to_owned));
    let mut token_types = vec![1; tokens.len()];
    (token_types[257], token_types[259]) = (3, 4);
    GgufVocabulary {
        model: "gpt2".to_owned(),
        pre: Some("llama-bpe".to_owned()),
        tokens,
        token_types,
        merges: vec!["a b".to_owned(), "Ġ ab".to_owned()],
        bos: Some(257),
        ..GgufVocabulary::default()
    }
}

#[test]
fn user_defined_tokens_come_from_text_and_control_tokens_do_not() {
    let tokenizer = tokenizer(&TokenizerSource::Gguf(byte_level()));
    let ids = tokenizer.encode("ab ab<tool><|eot_id|>").unwrap();
    assert_eq!(ids[..3], [256, 258, 259]);
    assert_eq!(ids.len(), 3 + "<|eot_id|>".len());
    assert_eq!(tokenizer.decode(&ids), "ab ab<tool><|eot_id|>");
    assert_eq!(tokenizer.special("<tool>"), Some(259));
    assert!(tokenizer.adds_begin_of_text());
}

#[test]
fn a_merge_or_a_type_cannot_make_text_end_a_turn() {
    let mut hostile = byte_level();
    hostile
        .tokens
        .extend(["<|".to_owned(), "<|e".to_owned(), "x".repeat(3)]);
    hostile.token_types.extend([1, 3, 1]);
    hostile.merges.extend(["< |".to_owned(), "<| e".to_owned()]);
    let tokenizer = tokenizer(&TokenizerSource::Gguf(hostile));
    assert!(!tokenizer.encode("<|eot_id|>").unwrap().contains(&261));
    let mut renamed = byte_level();
    renamed.token_types[257] = 4;
    let tokenizer = self::tokenizer(&TokenizerSource::Gguf(renamed));
    assert!(!tokenizer.encode("<|eot_id|>").unwrap().contains(&257));
}

#[test]
fn hostile_vocabularies_are_refused_with_their_reason() {
    let refused = |change: &dyn Fn(&mut GgufVocabulary), reason: &str| {
        let mut vocabulary = byte_level();
        change(&mut vocabulary);
        let error = Tokenizer::new(&TokenizerSource::Gguf(vocabulary))
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    };
    refused(&|it| it.merges.push("zz q".to_owned()), "merge 2 names \"zz\"");
    refused(
        &|it| it.merges.push("nospace".to_owned()),
        "merge 2 (\"nospace\")",
    );
    refused(&|it| it.merges.push(String::new()), "merge 2");
    refused(&|it| it.tokens[5] = "ab".to_owned(), "token 256");
    refused(&|it| it.token_types.truncate(3), "3 token types");
    refused(&|it| it.token_types[9] = 77, "unknown type 77");
    refused(&|it| it.bos = Some(1_000_000_000), "bos_token_id is 1000000000");
    refused(&|it| it.pre = Some("klingon".to_owned()), "\"klingon\"");
    refused(&|it| it.model = "rwkv".to_owned(), "\"rwkv\"");
    refused(&|it| it.tokens.clear(), "token types");
    refused(
        &|it| (it.tokens, it.token_types, it.merges) = (vec![], vec![], vec![]),
        "single bytes",
    );
    let mut pieces = sentence_piece_vocabulary();
    pieces.scores[300] = f32::NAN;
    assert!(
        Tokenizer::new(&TokenizerSource::Gguf(pieces))
            .unwrap_err()
            .to_string()
            .contains("token 300")
    );
    assert!(matches!(
        Tokenizer::new(&TokenizerSource::None),
        Err(TextError::NoVocabulary)
    ));
}

#[test]
fn hostile_tokenizer_files_are_refused_with_their_reason() {
    let refused = |file: &str, reason: &str| {
        let source = TokenizerSource::HuggingFace {
            tokenizer: file.as_bytes().to_vec(),
            config: None,
        };
        let error = Tokenizer::new(&source).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    let model = |vocab: &str, merges: &str| {
        format!(
            r#"{{"version":"1.0","model":{{"type":"BPE","vocab":{vocab},"merges":{merges}}},"added_tokens":[]}}"#
        )
    };
    refused("{", "tokenizer.json cannot be read");
    refused(&model(r#"{"a":1000000000}"#, "[]"), "go up to 1000000000");
    refused(&model(r#"{"a":99999999999999999}"#, "[]"), "go up to");
    refused(&model(r#"{"a":0,"b":0}"#, "[]"), "another token has already");
    refused(
        &model(r#"{"a":0,"b":1}"#, r#"[["a","b"]]"#),
        "tokenizer.json cannot be read",
    );
    refused(
        r#"{"model":{"type":"WordPiece","vocab":{"a":0}}}"#,
        "\"WordPiece\"",
    );
    refused(&"[".repeat(100_000), "tokenizer.json cannot be read");
    let ranks = |file: &str| {
        Tokenizer::new(&TokenizerSource::Tiktoken(file.as_bytes().to_vec()))
            .unwrap_err()
            .to_string()
    };
    assert!(ranks("YQ== 0\nYg== 7\n").contains("the rank should be 1"));
    assert!(ranks("YQ== 0\n!!!! 1\n").contains("line 2"));
    assert!(ranks("YQ== 0\n").contains("no token for the byte 0"));
    assert!(ranks("").contains("no token for the byte 0"));
}

#[test]
fn a_run_of_spaces_beyond_reason_is_refused_and_a_long_one_is_not() {
    assert!(matches!(
        LLAMA3.encode(&" ".repeat(5 << 20)),
        Err(TextError::Encode(_))
    ));
    let long = format!("x{}y", " ".repeat(200_000));
    assert_eq!(LLAMA3.decode(&LLAMA3.encode(&long).unwrap()), long);
    let letters = "ab".repeat(50_000);
    assert_eq!(
        SENTENCE_PIECE.decode(&SENTENCE_PIECE.encode(&letters).unwrap()),
        letters
    );
}

#[test]
fn pieces_named_like_special_tokens_are_spelled_out() {
    let unigram = hugging_face("unigram");
    let end = unigram.special("</s>").unwrap();
    let ids = unigram.encode("a </s> b").unwrap();
    assert!(
        !ids.contains(&end) && unigram.decode(&ids).contains("s>"),
        "{ids:?}"
    );
}

#[test]
fn the_configuration_beside_tokenizer_json_has_the_last_word_on_the_begin_of_text() {
    let with = |config: &str| {
        let config = Some(config.as_bytes().to_vec());
        Tokenizer::new(&TokenizerSource::HuggingFace {
            tokenizer: fixture("bytes.tokenizer.json"),
            config,
        })
    };
    let tokenizer = with(r#"{"bos_token": {"content": "<|end_header_id|>"}, "eos_token": "<|eot_id|>", "add_bos_token": false}"#).unwrap();
    assert_eq!(tokenizer.begin_of_text(), tokenizer.special("<|end_header_id|>"));
    assert_eq!(tokenizer.end_of_text(), tokenizer.special("<|eot_id|>"));
    assert!(tokenizer.end_of_text().is_some() && !tokenizer.adds_begin_of_text());
    let error = with("[1").unwrap_err().to_string();
    assert!(
        error.starts_with("tokenizer_config.json cannot be read"),
        "{error}"
    );
}
