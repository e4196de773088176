//! Tools and calls are written as `transformers` writes them, and a turn of CWM is what its format says, token by token.

use serde::Deserialize;

use super::template::{Template, TemplateTokens, Written};
use super::test_files::{fixture, json, llama3, smollm2, template, tokenizer};
use super::{Call, ChatFormat, Message, SampledPart, Tool};
use crate::model::TokenId;

#[derive(Deserialize)]
struct Case {
    template: String,
    source: Option<String>,
    tools: Vec<Announced>,
    messages: Vec<Said>,
    text: String,
}

#[derive(Deserialize)]
struct Announced {
    name: String,
    description: String,
    parameters: serde_json::Value,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
    #[serde(default)]
    calls: Vec<Called>,
    call_id: Option<String>,
}

#[derive(Deserialize)]
struct Called {
    id: String,
    name: String,
    arguments: String,
}

impl Case {
    fn tools(&self) -> Vec<Tool<'_>> {
        let tools = self.tools.iter().map(|tool| Tool {
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.parameters,
        });
        tools.collect()
    }

    fn messages(&self) -> Vec<Message<'_>> {
        let messages = self.messages.iter().map(|message| Message {
            calls: message.calls.iter().map(Called::call).collect(),
            call_id: message.call_id.as_deref(),
            ..Message::new(&message.role, &message.content)
        });
        messages.collect()
    }
}

impl Called {
    fn call(&self) -> Call<'_> {
        Call {
            id: &self.id,
            name: &self.name,
            arguments: &self.arguments,
        }
    }
}

#[test]
fn tools_and_calls_are_written_as_transformers_writes_them() {
    let cases: Vec<Case> = json("tools.json");
    assert_eq!(cases.len(), 8);
    // Any vocabulary that has the template's special tokens.
    let vocabulary = tokenizer(&smollm2().tokenizer);
    let qwen = ChatFormat::template(&template("qwen2")).unwrap();
    for case in &cases {
        let (messages, tools) = (case.messages(), case.tools());
        if case.template == "qwen2" {
            let text = qwen.render(&vocabulary, &messages, &tools, true).unwrap();
            assert_eq!(text, case.text);
            let ids = qwen.encode(&vocabulary, &messages, &tools, "").unwrap();
            assert_eq!(vocabulary.decode_all(&ids), case.text);
        } else {
            let template = Template::new(case.source.as_deref().unwrap()).unwrap();
            let text = template.render(&Written {
                tokens: &TemplateTokens::new(),
                messages: &messages,
                tools: &tools,
                add_generation_prompt: true,
                text: &str::to_owned,
            });
            assert_eq!(text.unwrap(), case.text);
        }
    }
}

/// What the first turns of a run say; of an answer, what it began with and what was sampled.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Written(String),
    Sampled(String, String),
}

#[test]
fn a_turn_of_cwm_is_what_its_format_says_token_by_token() {
    let tokenizer = llama3();
    let turn: Vec<(String, Content)> = json("cwm-turn.json");
    let contents: Vec<(String, usize, Vec<TokenId>)> = turn
        .iter()
        .map(|(_, content)| match content {
            Content::Written(text) => (text.clone(), 0, Vec::new()),
            Content::Sampled(prefix, rest) => {
                let tokens = tokenizer.encode(rest).unwrap();
                (format!("{prefix}{rest}"), prefix.len(), tokens)
            }
        })
        .collect();
    let messages: Vec<Message<'_>> = turn
        .iter()
        .zip(&contents)
        .map(|((role, _), (content, start, tokens))| Message {
            sampled: (!tokens.is_empty()).then_some(SampledPart {
                start: *start,
                tokens,
            }),
            ..Message::new(role, content)
        })
        .collect();
    let ids = ChatFormat::cwm()
        .encode(&tokenizer, &messages, &[], "<think>\n")
        .unwrap();
    let lines = ids.iter().map(|id| {
        let text = tokenizer.token_bytes(*id).unwrap();
        let text = serde_json::to_string(&String::from_utf8_lossy(&text)).unwrap();
        format!("{id} {text}\n")
    });
    let found: String = lines.collect();
    let expected = String::from_utf8(fixture("cwm-turn.txt")).unwrap();
    for (number, (found, expected)) in (1..).zip(found.lines().zip(expected.lines())) {
        assert_eq!(found, expected, "line {number} of cwm-turn.txt");
    }
    assert_eq!(found, expected);
    // Special tokens are those of the format and no others.
    let special: Vec<TokenId> = ids.into_iter().filter(|id| tokenizer.is_special(*id)).collect();
    let header = [128_006, 128_007];
    let message = [&header[..], &[128_009]].concat();
    assert_eq!(
        special,
        [vec![128_000], message.repeat(6), header.to_vec()].concat()
    );
}
