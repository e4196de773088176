//! That a redacted model never sends a secret.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cwm_runtime::engine::{SamplingParameters, Usage};
use cwm_runtime::source::{CallFormat, Sampled, StopReason, ToolCall};
use proptest::prelude::*;

use super::tests::{redactor, with};
use super::*;

/// Remembers what it was asked, and says a word.
#[derive(Default)]
struct Ears(Mutex<Vec<GenerateRequest>>);

impl Model for Ears {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        Ok(ModelInfo {
            name: "ears".to_owned(),
            context: None,
            fingerprint: None,
            parameters: None,
            calls: CallFormat::Tags,
        })
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        Some(text.len())
    }

    fn count_prompt(&self, prompt: &Prompt, _tools: &[ToolDefinition]) -> Option<usize> {
        match prompt {
            Prompt::Chat { messages, .. } => Some(messages.iter().map(|message| message.content.len()).sum()),
            _ => None,
        }
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        _sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        self.0.lock().unwrap().push(request.clone());
        Ok(vec![Completion {
            text: "yes".to_owned(),
            tokens: Vec::new(),
            reason: StopReason::Stop,
            usage: Usage::default(),
            calls: Vec::new(),
        }])
    }
}

fn request(prompt: Prompt) -> GenerateRequest {
    GenerateRequest {
        prompt,
        samples: 1,
        sampling: SamplingParameters::default(),
        max_tokens: None,
        stop: Vec::new(),
        logprobs: None,
        tools: Vec::new(),
    }
}

#[test]
fn a_redacting_model_sends_no_secret_and_counts_what_it_sends() {
    let ears = Arc::new(Ears::default());
    let model = RedactingModel::new(ears.clone(), Arc::new(with(&[("DB_PASSWORD", "kumquat-orange")])));
    let mut said = ChatMessage::new("assistant", "<think>\nit is kumquat-orange");
    said.sampled = Some(Sampled {
        start: 8,
        tokens: vec![1, 2],
    });
    said.calls.push(ToolCall {
        id: "1".to_owned(),
        name: "bash".to_owned(),
        arguments: "{\"command\":\"echo kumquat-orange\"}".to_owned(),
    });
    let mut harmless = ChatMessage::new("assistant", "nothing");
    harmless.sampled = said.sampled.clone();
    let prompt = Prompt::Chat {
        messages: vec![
            ChatMessage::new("user", "DB: kumquat-orange"),
            said,
            ChatMessage::new("tool: bash", "kumquat-orange"),
            harmless,
        ],
        assistant_prefix: String::new(),
    };
    let answer = model
        .generate(&request(prompt.clone()), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(answer.first().unwrap().text, "yes");
    let heard = ears.0.lock().unwrap().pop().unwrap();
    assert!(!format!("{heard:?}").contains("kumquat"), "{heard:?}");
    let Prompt::Chat { messages, .. } = &heard.prompt else {
        panic!("{heard:?}");
    };
    assert_eq!(messages[0].content, "DB: [redacted: value of DB_PASSWORD]");
    assert_eq!(
        messages[1].calls[0].arguments,
        "{\"command\":\"echo [redacted: value of DB_PASSWORD]\"}"
    );
    assert_eq!(
        (messages[1].sampled.is_some(), messages[3].sampled.is_some()),
        (false, true)
    );
    assert_eq!(
        model.count_prompt(&prompt, &[]),
        ears.count_prompt(&heard.prompt, &[])
    );
    assert_eq!(
        model.count_tokens("kumquat-orange"),
        Some("[redacted: value of DB_PASSWORD]".len())
    );
    assert_eq!(model.info().unwrap().name, "ears");

    let refused = model.generate(&request(Prompt::Tokens(vec![1])), &mut |_| {
        ControlFlow::Continue(())
    });
    assert!(matches!(refused, Err(ModelError::Request(_))), "{refused:?}");
    assert!(ears.0.lock().unwrap().is_empty());
}

/// Texts that would be slow for a search that begins again at each place.
#[test]
fn hostile_texts_take_no_longer_than_others() {
    let patterns = [
        "ghp_",
        "eyJ-",
        "eyJa.",
        "eyJaaaaaaaaaaaaaaaaaaa.eyJa.",
        "-----BEGIN RSA PRIVATE KEY-----",
        "password=",
        "password='",
        "password=\"\\",
        "://",
        "a:b@",
        "://a:b",
        "Authorization: ",
        "token token=",
        "<password>",
        "\\",
        "=",
        " ",
        "sk-ant-",
        "é",
        "password: [",
        "-----BEGIN PRIVATE KEY-----\nA:",
        "Bearer ",
    ];
    let limit = Duration::from_secs(10);
    for pattern in patterns {
        let text = pattern.repeat(400_000 / pattern.len());
        let start = Instant::now();
        let redacted = redactor().redact(&text).len();
        assert!(
            start.elapsed() < limit,
            "{pattern:?} took {:?} ({redacted})",
            start.elapsed()
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_and_redacting_again_changes_nothing(text in "(\\PC|[\\n\"'\\\\=:@/.]|password|token|eyJ|sk-|://|-----BEGIN PRIVATE KEY-----){0,60}") {
        let once = redactor().redact(&text).into_owned();
        let twice = redactor().redact(&once).into_owned();
        prop_assert_eq!(&once, &twice);
    }

    #[test]
    fn a_planted_token_never_comes_through(
        before in "[a-z =:\"'\\n]{0,40}[ =:\"'\\n]",
        token in "ghp_[A-Za-z0-9]{30}[0-9][A-Z][a-z][0-9][A-Z][a-z]",
        after in "[ \"'\\n,;)][ -~]{0,40}",
    ) {
        let text = format!("{before}{token}{after}");
        let redacted = redactor().redact(&text).into_owned();
        prop_assert!(!redacted.contains(&token), "{redacted}");
        prop_assert!(redacted.contains("[redacted: GitHub token]"), "{redacted}");
    }

    #[test]
    fn a_variables_value_never_comes_through(
        before in "\\PC{0,40}", value in "[!-~]{12,40}", after in "\\PC{0,40}",
    ) {
        let redactor = with(&[("SOME_TOKEN", &value)]);
        prop_assume!(!random::is_placeholder(&value));
        let text = format!("{before}{value}{after}");
        prop_assert!(!redactor.redact(&text).contains(&value));
    }

    #[test]
    fn names_of_code_are_never_secrets(
        name in "(password|token|secret|api_key)",
        value in "[a-z]{2,9}(_[a-z]{2,9}){0,4}[0-9]?(\\.[a-z]{2,9}[0-9]?){0,2}",
        call in "(\\(\\)|\\[0\\]|;|,|)",
        join in "( = |=|: |, )",
    ) {
        let text = format!("{name}{join}{value}{call}\n");
        prop_assert_eq!(redactor().redact(&text), text.clone());
    }
}
