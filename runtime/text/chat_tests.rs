//! Conversations are written as `transformers` writes them, and what users write stays text.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde::Deserialize;

use super::template::{Template, TemplateTokens, Written};
use super::test_files::{hugging_face, json, llama3, smollm2, template, tokenizer};
use super::{ChatFormat, Message, TextError, Tokenizer};
use crate::formats::TokenizerSource;
use crate::model::{Architecture, TokenId};

static LLAMA3: LazyLock<Tokenizer> = LazyLock::new(llama3);
static SMOLLM2: LazyLock<(Tokenizer, ChatFormat)> = LazyLock::new(|| {
    let checkpoint = smollm2();
    (
        tokenizer(&checkpoint.tokenizer),
        ChatFormat::of(&checkpoint).unwrap(),
    )
});

#[derive(Deserialize)]
struct Tokens {
    bos_token: String,
    eos_token: String,
}

#[derive(Deserialize)]
struct Rendered {
    template: String,
    messages: Vec<(String, String)>,
    add_generation_prompt: bool,
    text: String,
}

fn rendered(template: &str) -> Vec<Rendered> {
    let all: Vec<Rendered> = json("rendered.json");
    let of: Vec<Rendered> = all.into_iter().filter(|one| one.template == template).collect();
    assert!(of.len() >= 12);
    of
}

fn pairs(messages: &[(String, String)]) -> Vec<Message<'_>> {
    messages
        .iter()
        .map(|(role, content)| Message::new(role, content))
        .collect()
}

fn of<'m>(messages: &[(&'m str, &'m str)]) -> Vec<Message<'m>> {
    messages
        .iter()
        .map(|(role, content)| Message::new(role, content))
        .collect()
}

/// A conversation without tools, as it is written for people.
fn written<'w>(
    tokens: &'w TemplateTokens,
    messages: &'w [Message<'w>],
    add_generation_prompt: bool,
) -> Written<'w> {
    Written {
        tokens,
        messages,
        tools: &[],
        add_generation_prompt,
        text: &str::to_owned,
    }
}

#[test]
fn templates_write_what_transformers_writes() {
    let all: Vec<(String, String, Tokens)> = json("templates.json");
    assert_eq!(all.len(), 5);
    for (name, source, tokens) in all {
        let template = Template::new(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tokens = TemplateTokens::from([("bos_token", tokens.bos_token), ("eos_token", tokens.eos_token)]);
        for expected in rendered(&name) {
            let messages = pairs(&expected.messages);
            let text = template.render(&written(&tokens, &messages, expected.add_generation_prompt));
            assert_eq!(
                text.unwrap_or_else(|error| panic!("{name}: {error}")),
                expected.text,
                "{name}: {:?}",
                expected.messages
            );
        }
    }
}

#[test]
fn cwm_is_written_as_its_template_writes_it() {
    let format = ChatFormat::cwm();
    for expected in rendered("cwm") {
        let text = format
            .render(
                &LLAMA3,
                &pairs(&expected.messages),
                &[],
                expected.add_generation_prompt,
            )
            .unwrap();
        assert_eq!(text, expected.text, "{:?}", expected.messages);
    }
}

#[test]
fn tokens_of_a_conversation_are_those_of_its_text() {
    let template = ChatFormat::template(&template("cwm")).unwrap();
    for expected in rendered("cwm").iter().filter(|one| one.add_generation_prompt) {
        let messages = pairs(&expected.messages);
        let ids = ChatFormat::cwm()
            .encode(&LLAMA3, &messages, &[], "<think>\n")
            .unwrap();
        assert_eq!(LLAMA3.decode_all(&ids), format!("{}<think>\n", expected.text));
        assert_eq!(
            ids,
            template.encode(&LLAMA3, &messages, &[], "<think>\n").unwrap()
        );
    }
    let (tokenizer, format) = &*SMOLLM2;
    for expected in rendered("smollm2").iter().filter(|one| one.add_generation_prompt) {
        let ids = format
            .encode(tokenizer, &pairs(&expected.messages), &[], "")
            .unwrap();
        // SmolLM2 has no tokens for some control characters.
        let kept = |text: &str| text.replace(['\u{1c}', '\u{1f}'], "");
        assert_eq!(kept(&tokenizer.decode_all(&ids)), kept(&expected.text));
    }
}

#[test]
fn cwm_conversations_have_the_ids_of_its_format() {
    let messages = of(&[
        ("system", " You help. "),
        ("user", "hi\n"),
        ("tool: bash", " out \n"),
    ]);
    let ids = ChatFormat::cwm()
        .encode(&LLAMA3, &messages, &[], "<think>\n")
        .unwrap();
    let text = |text: &str| LLAMA3.encode(text).unwrap();
    let header = |role: &str| [vec![128_006], text(role), vec![128_007]].concat();
    let expected = [
        vec![128_000],
        header("system"),
        text("\n\nYou help."),
        vec![128_009],
        header("user"),
        text("\n\nhi"),
        vec![128_009],
        header("tool: bash"),
        text("\n\n out \n"),
        vec![128_009],
        header("assistant"),
        text("\n\n<think>\n"),
    ];
    assert_eq!(ids, expected.concat());
}

#[test]
fn roles_and_templates_that_do_not_fit_are_refused() {
    let cwm = ChatFormat::cwm();
    for role in ["ipython", "tool:", "tool: ", "", "User"] {
        assert!(
            matches!(
                cwm.encode(&LLAMA3, &of(&[(role, "x")]), &[], ""),
                Err(TextError::Role(_))
            ),
            "{role}"
        );
    }
    let smol = &SMOLLM2.0;
    assert!(matches!(
        cwm.encode(smol, &of(&[("user", "x")]), &[], ""),
        Err(TextError::MissingToken("<|begin_of_text|>"))
    ));
    let mut checkpoint = smollm2();
    checkpoint.chat_template = None;
    assert!(matches!(ChatFormat::of(&checkpoint), Err(TextError::NoTemplate)));
    checkpoint.spec.architecture = Architecture::Cwm;
    let text = ChatFormat::of(&checkpoint)
        .unwrap()
        .render(&LLAMA3, &of(&[("user", " x ")]), &[], false)
        .unwrap();
    assert_eq!(
        text,
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nx<|eot_id|>"
    );
    let error = ChatFormat::template("{% for %}").unwrap_err().to_string();
    assert!(
        error.starts_with("the chat template is not valid Jinja"),
        "{error}"
    );
    let strict = ChatFormat::template("{{ raise_exception('roles must alternate') }}").unwrap();
    let error = strict
        .encode(smol, &of(&[("user", "x")]), &[], "")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the chat template refuses this conversation: roles must alternate"
    );
}

#[test]
fn templates_without_end_are_refused() {
    for endless in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 99999999999 }}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ] {
        let format = ChatFormat::template(endless).unwrap();
        assert!(
            matches!(
                format.encode(&LLAMA3, &of(&[("user", "x")]), &[], ""),
                Err(TextError::Template(_))
            ),
            "{endless}"
        );
    }
}

#[test]
fn white_space_that_special_tokens_swallow_is_not_encoded() {
    let mut file: serde_json::Value = json("bytes.tokenizer.json");
    for token in file["added_tokens"].as_array_mut().unwrap() {
        if token["content"] == "<|end_header_id|>" {
            token["rstrip"] = true.into();
        }
    }
    let file = serde_json::to_vec(&file).unwrap();
    let swallowing = tokenizer(&TokenizerSource::HuggingFace {
        tokenizer: file,
        config: None,
    });
    let format =
        ChatFormat::template("{{ messages[0].role }}<|end_header_id|>{{ messages[0].content }}").unwrap();
    let encode = |tokenizer: &Tokenizer| {
        let ids = format
            .encode(tokenizer, &of(&[("user", " \n x ")]), &[], "")
            .unwrap();
        tokenizer.decode_all(&ids)
    };
    assert_eq!(encode(&swallowing), "user<|end_header_id|>x ");
    assert_eq!(encode(&hugging_face("bytes")), "user<|end_header_id|> \n x ");
}

fn count(ids: &[TokenId], tokenizer: &Tokenizer) -> usize {
    ids.iter().filter(|&&id| tokenizer.is_special(id)).count()
}

fn hostile() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "<|im_start|>",
        "<|im_end|>",
        "<|eot_id|>",
        "<|",
        "|>",
        "im_end",
        "<|im_",
        "end|>",
        "<",
        ">",
        "\u{E000}",
        "\u{E001}",
        "\u{F8FF}",
        " ",
        "\n",
        "x",
        "é",
        "<<|im_end|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
    ]);
    prop::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn contents_stay_text_and_come_back_whole(first in hostile(), second in hostile(), prefix in hostile()) {
        // The template that keeps contents apart the least: one right behind the other.
        let bare = "{% for message in messages %}{{ message.content }}{% endfor %}{{ bos_token }}";
        let format = ChatFormat::template(bare).unwrap();
        let messages = of(&[("system", &first), ("user", &second)]);
        let ids = format.encode(&LLAMA3, &messages, &[], &prefix).unwrap();
        prop_assert_eq!(count(&ids, &LLAMA3), 1);
        prop_assert_eq!(LLAMA3.decode_all(&ids), format!("{first}{second}<|begin_of_text|>{prefix}"));

        let (tokenizer, format) = &*SMOLLM2;
        let ids = format.encode(tokenizer, &messages, &[], &prefix).unwrap();
        prop_assert_eq!(count(&ids, tokenizer), 5);
        let text = format.render(tokenizer, &messages, &[], true).unwrap();
        prop_assert_eq!(tokenizer.decode_all(&ids), text + &prefix);

        let ids = ChatFormat::cwm().encode(&LLAMA3, &messages, &[], &prefix).unwrap();
        prop_assert_eq!(count(&ids, &LLAMA3), 9);
        let text = ChatFormat::cwm().render(&LLAMA3, &messages, &[], true).unwrap();
        prop_assert_eq!(LLAMA3.decode_all(&ids), text + &prefix);

        // A template that strips contents strips broken ones too.
        let stripping = ChatFormat::template(&template("cwm")).unwrap();
        prop_assert_eq!(stripping.encode(&LLAMA3, &messages, &[], &prefix).unwrap(), ids);
    }
}
