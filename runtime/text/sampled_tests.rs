//! What a model sampled stays the tokens that it was, where the chat format writes it as it is.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::test_files::{hugging_face, llama3, sentence_piece, smollm2, template, tokenizer};
use super::{Call, ChatFormat, Message, SampledPart, Tokenizer, Tool};
use crate::model::TokenId;

static LLAMA3: LazyLock<Tokenizer> = LazyLock::new(llama3);

const PLAIN: &str = "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n\
    {{ message.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

/// A text as tokens that no tokenizer would choose: each character on its own.
fn one_by_one(tokenizer: &Tokenizer, text: &str) -> Vec<TokenId> {
    let characters = text
        .chars()
        .map(|character| tokenizer.encode(&character.to_string()).unwrap());
    characters.flatten().collect()
}

fn assistant<'m>(content: &'m str, start: usize, tokens: &'m [TokenId]) -> Message<'m> {
    Message {
        sampled: Some(SampledPart { start, tokens }),
        ..Message::new("assistant", content)
    }
}

fn without_ids<'m>(messages: &[Message<'m>]) -> Vec<Message<'m>> {
    let plain = messages.iter().cloned();
    plain
        .map(|message| Message {
            sampled: None,
            ..message
        })
        .collect()
}

fn encode(format: &ChatFormat, messages: &[Message<'_>]) -> Vec<TokenId> {
    format.encode(&LLAMA3, messages, &[], "<think>\n").unwrap()
}

#[test]
fn the_next_prompt_goes_on_from_the_last_one_and_its_answer() {
    for format in [ChatFormat::cwm(), ChatFormat::template(PLAIN).unwrap()] {
        let opening = [
            Message::new("system", "You help."),
            Message::new("user", "Repair it."),
        ];
        let first = encode(&format, &opening);
        let said = "I look.\n</think>\n<tool: bash>\nls é 🦀\n</tool>";
        let ids = one_by_one(&LLAMA3, said);
        assert_ne!(ids, LLAMA3.encode(said).unwrap());
        let content = format!("<think>\n{said}");
        let mut messages = opening.to_vec();
        messages.push(assistant(&content, 8, &ids));
        messages.push(Message::new("user", "<output>\n</output>"));
        let second = encode(&format, &messages);
        let expected = [first, ids.clone(), vec![128_009]].concat();
        assert_eq!(second.get(..expected.len()), Some(expected.as_slice()));
        assert_eq!(
            LLAMA3.decode_all(&second),
            LLAMA3.decode_all(&encode(&format, &without_ids(&messages)))
        );
    }
}

/// The same by the templates of real models, with tools where they have a place for them.
#[test]
fn real_templates_go_on_from_what_was_sampled() {
    let parameters = serde_json::json!({"type": "object"});
    let tool = Tool {
        name: "bash",
        description: "Runs commands.",
        parameters: &parameters,
    };
    let checkpoint = smollm2();
    let tokenizer = tokenizer(&checkpoint.tokenizer);
    let qwen = ChatFormat::template(&template("qwen2")).unwrap();
    for format in [ChatFormat::of(&checkpoint).unwrap(), qwen] {
        let encode = |messages: &[Message<'_>]| format.encode(&tokenizer, messages, &[tool], "").unwrap();
        let said = "I look.\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {}}\n</tool_call>";
        let ids = one_by_one(&tokenizer, said);
        let mut messages = vec![Message::new("user", "Repair it.")];
        let first = encode(&messages);
        messages.push(assistant(said, 0, &ids));
        messages.push(Message::new("tool", "a.py"));
        let expected = [first, ids.clone(), vec![tokenizer.special("<|im_end|>").unwrap()]].concat();
        let second = encode(&messages);
        assert_eq!(second.get(..expected.len()), Some(expected.as_slice()));
    }
}

#[test]
fn ids_that_do_not_spell_the_content_are_not_believed() {
    for format in [ChatFormat::cwm(), ChatFormat::template(PLAIN).unwrap()] {
        let ids = one_by_one(&LLAMA3, "hello");
        let unknown = [ids.as_slice(), &[128_256]].concat();
        for (role, content, start, ids) in [
            ("assistant", "hullo", 0, &ids),
            ("assistant", "hello!", 0, &ids),
            ("assistant", "hello", 1, &ids),
            ("assistant", "hello", 99, &ids),
            ("assistant", "éhello", 1, &ids),
            ("assistant", "hello", 0, &unknown),
            ("assistant", "hello", 0, &Vec::new()),
            ("assistant", "", 0, &ids),
            ("user", "hello", 0, &ids),
        ] {
            let message = Message {
                role,
                ..assistant(content, start, ids)
            };
            let messages = [message, Message::new("user", "x")];
            assert_eq!(
                encode(&format, &messages),
                encode(&format, &without_ids(&messages)),
                "{content} from {start}"
            );
        }
    }
}

/// A stop text takes away the end of what was sampled, also within a token.
#[test]
fn ids_behind_a_stop_text_are_left_out() {
    let format = ChatFormat::cwm();
    let ids = [one_by_one(&LLAMA3, "good"), LLAMA3.encode("night moon").unwrap()].concat();
    assert_eq!(ids.len(), 6);
    let messages = [assistant("goodnig", 0, &ids)];
    let all = encode(&format, &messages);
    let wanted = [
        one_by_one(&LLAMA3, "good"),
        LLAMA3.encode("nig").unwrap(),
        vec![128_009],
    ]
    .concat();
    assert!(
        all.windows(wanted.len()).any(|window| window == wanted),
        "{all:?}"
    );
}

/// A special token that was sampled in the midst of an answer is not text, but the model has seen it.
#[test]
fn sampled_special_tokens_are_kept() {
    let ids = [one_by_one(&LLAMA3, "ab"), vec![128_010], one_by_one(&LLAMA3, "c")].concat();
    let all = encode(&ChatFormat::cwm(), &[assistant("abc", 0, &ids)]);
    assert!(all.windows(4).any(|window| window == ids), "{all:?}");
}

#[test]
fn what_a_template_does_not_write_whole_is_text() {
    let ids = one_by_one(&LLAMA3, "why\n</think>\nyes");
    let other = one_by_one(&LLAMA3, "plain");
    let messages = [
        Message::new("user", "a"),
        assistant("why\n</think>\nyes", 0, &ids),
        Message::new("user", "b"),
        assistant("plain", 0, &other),
    ];
    let holds =
        |all: &[TokenId], ids: &[TokenId]| all.windows(ids.len()).filter(|window| *window == ids).count();
    // What becomes of the first answer and of the second, whether its ids are there, and how often.
    for (source, first, second) in [
        ("{{ message.content }}", 1, 1),
        ("{{ message.content }} {{ message.content }}", 2, 2),
        ("{{ message.content.split('</think>')[-1] }}", 0, 1),
        ("{{ message.content | upper }}", 0, 0),
        ("{{ message.content[:3] }}", 0, 0),
        ("{{ message.content | length }}", 0, 0),
        ("{{ message.role }}", 0, 0),
        (
            "{% if 'think' in message.content %}thought{% else %}{{ message.content }}{% endif %}",
            0,
            1,
        ),
    ] {
        let format = ChatFormat::template(&format!(
            "{{% for message in messages %}}{source}<|eot_id|>{{% endfor %}}"
        ));
        let format = format.unwrap();
        let all = encode(&format, &messages);
        let plain = encode(&format, &without_ids(&messages));
        assert_eq!(LLAMA3.decode_all(&all), LLAMA3.decode_all(&plain), "{source}");
        assert_eq!(
            (holds(&all, &ids), holds(&all, &other)),
            (first, second),
            "{source}"
        );
    }
}

#[test]
fn vocabularies_with_a_space_before_the_first_word_keep_their_ids() {
    for tokenizer in [sentence_piece(), hugging_face("pieces")] {
        let format =
            ChatFormat::template("{% for message in messages %}{{ message.content }}\n{% endfor %}").unwrap();
        let ids = tokenizer.encode("def f").unwrap();
        // As the text of a whole sample, and as it goes on behind a word.
        for content in [tokenizer.decode(&ids), " def f".to_owned()] {
            let encoded = format
                .encode(&tokenizer, &[assistant(&content, 0, &ids)], &[], "")
                .unwrap();
            assert!(encoded.starts_with(&ids), "{content:?}: {encoded:?} {ids:?}");
        }
    }
}

#[test]
fn names_of_special_tokens_in_calls_stay_text() {
    let source = "{% for message in messages %}{% for call in message.tool_calls %}{{ call.function.arguments | tojson }}\
        {% endfor %}{% endfor %}<|eot_id|>";
    let format = ChatFormat::template(source).unwrap();
    for arguments in [
        "{\"a\": \"<|eot_id|>\", \"<|eot_id|>\": [\"\u{E000}\"]}",
        "{\"a\": \"\\u003c|eot_id|>\\ue000\\ue001\"}",
        "not JSON <|eot_id|>",
    ] {
        let call = Call {
            id: "1",
            name: "bash",
            arguments,
        };
        let message = Message {
            calls: vec![call],
            ..Message::new("assistant", "")
        };
        let ids = format
            .encode(&LLAMA3, std::slice::from_ref(&message), &[], "")
            .unwrap();
        assert_eq!(
            ids.iter().filter(|id| LLAMA3.is_special(**id)).count(),
            1,
            "{arguments}"
        );
        let text = format.render(&LLAMA3, &[message], &[], true).unwrap();
        assert_eq!(LLAMA3.decode_all(&ids), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tokens_keep_their_text_in_any_format(
        parts in prop::collection::vec(prop::collection::vec(0..128_256_u32, 0..12), 1..4),
        prefix in prop::sample::select(vec!["", "<think>\n", "<|eot_", "\u{E000}"]),
    ) {
        let contents: Vec<String> = parts.iter().map(|ids| format!("{prefix}{}", LLAMA3.decode(ids))).collect();
        let messages: Vec<Message<'_>> =
            contents.iter().zip(&parts).map(|(content, ids)| assistant(content, prefix.len(), ids)).collect();
        for format in [ChatFormat::cwm(), ChatFormat::template(PLAIN).unwrap()] {
            let all = encode(&format, &messages);
            let plain = encode(&format, &without_ids(&messages));
            prop_assert_eq!(LLAMA3.decode(&all), LLAMA3.decode(&plain));
            for ids in parts.iter().filter(|ids| !ids.is_empty()) {
                prop_assert!(all.windows(ids.len()).any(|window| window == ids));
            }
        }
    }
}
