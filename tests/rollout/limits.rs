//! What an attempt may use, and how the model's tokens and windows are treated.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cwm::rollout::journal::Record;
use cwm::rollout::{Ending, RolloutError};
use cwm_runtime::source::{
    CallFormat, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt, Sampled,
    ScriptAnswer, ScriptModel, ToolDefinition, count_script_tokens,
};

use super::harness::{Bench, Talker, call, options, turn};

fn prompt(request: &GenerateRequest) -> &[cwm_runtime::source::ChatMessage] {
    match &request.prompt {
        Prompt::Chat { messages, .. } => messages,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_window_smaller_than_the_prompt_is_said() {
    let bench = Bench::shared();
    let failed = bench.run(&ScriptModel::new([], Some(600)), &options(), "journal");
    let Err(RolloutError::WindowTooSmall(sentence)) = failed else {
        panic!("{failed:?}");
    };
    assert!(
        sentence.starts_with("script has a window of 600 tokens, but what it must read"),
        "{sentence}"
    );
    assert!(sentence.contains("choose a model that has one"), "{sentence}");
}

#[test]
fn remaining_tokens_are_those_of_the_next_request() {
    let bench = Bench::shared();
    let model = ScriptModel::new(
        [call("bash", "ls"), call("bash", "seq 50"), turn("no call")],
        Some(20_000),
    );
    let mut options = options();
    options.budget.format_errors = 1;
    bench.run(&model, &options, "journal").unwrap();
    for request in &model.requests()[1..] {
        let last = prompt(request).last().unwrap();
        let (_, remaining) = last.content.split_once("* Remaining tokens: ").unwrap();
        let remaining: usize = remaining.split_once('\n').unwrap().0.parse().unwrap();
        let used = model.count_prompt(&request.prompt, &[]).unwrap();
        assert_eq!(remaining, 20_000 - used);
        assert_eq!(request.max_tokens, Some(20_000 - used));
    }
}

#[test]
fn the_request_never_passes_the_window() {
    let bench = Bench::shared();
    let mut answers: Vec<_> = (0..16)
        .map(|number| call("bash", &format!("seq {number}001 {number}330")))
        .collect();
    answers.push(turn("no call"));
    // The model itself refuses prompts beyond its window.
    let model = ScriptModel::new(answers, Some(4000));
    let mut options = options();
    options.budget.format_errors = 1;
    let candidate = bench.run(&model, &options, "journal").unwrap();
    assert_eq!((candidate.ending, candidate.turns), (Ending::NotSubmitted, 17));
    let records = bench.records("journal");
    let elisions: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Elision { elided, .. } => Some(elided),
            _ => None,
        })
        .collect();
    // In batches, not one by one.
    assert!((4..=10).contains(&elisions.len()), "{}", elisions.len());
    // Down to three fifths while there is enough that can go.
    assert!(elisions[0].tokens_after <= 2600, "{elisions:?}");
    assert!(
        elisions.iter().all(|elided| elided.tokens_before > 3000),
        "{elisions:?}"
    );
}

#[test]
fn the_runs_deadline_ends_an_attempt_with_what_it_has() {
    let bench = Bench::shared();
    let model = ScriptModel::new(
        [call("bash", "echo new > new.txt; sleep 1"), turn("not asked for")],
        None,
    );
    bench
        .control
        .set_deadline(Some(Instant::now() + Duration::from_millis(900)));
    let candidate = bench.run(&model, &options(), "journal").unwrap();
    assert_eq!(candidate.ending, Ending::Time);
    assert!(String::from_utf8_lossy(&candidate.patch).contains("+new"));
}

#[test]
fn an_answer_ends_with_the_attempts_time() {
    /// Says one word again and again, slowly.
    struct Slow;
    impl Model for Slow {
        fn info(&self) -> Result<ModelInfo, ModelError> {
            ScriptModel::new([], None).info()
        }
        fn count_tokens(&self, text: &str) -> Option<usize> {
            Some(count_script_tokens(text))
        }
        fn count_prompt(&self, _: &Prompt, _: &[ToolDefinition]) -> Option<usize> {
            Some(1000)
        }
        fn generate(
            &self,
            _: &GenerateRequest,
            sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
        ) -> Result<Vec<Completion>, ModelError> {
            while sink(Piece::heartbeat()).is_continue() {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(Vec::new())
        }
    }
    let bench = Bench::shared();
    let mut options = options();
    options.budget.time = Some(Duration::from_millis(300));
    let candidate = bench.run(&Slow, &options, "journal").unwrap();
    assert_eq!((candidate.ending, candidate.turns), (Ending::Time, 1));
}

#[test]
fn answers_stay_in_the_history_as_the_tokens_that_were_sampled() {
    let bench = Bench::shared();
    let mut model = Talker::new([call("bash", "ls"), turn("done")], CallFormat::Tags);
    model.tokens = true;
    let mut options = options();
    options.budget.format_errors = 1;
    bench.run(&model, &options, "journal").unwrap();
    let requests = model.script.requests();
    let Prompt::Chat {
        messages,
        assistant_prefix,
    } = &requests[1].prompt
    else {
        panic!("{requests:?}");
    };
    assert_eq!(assistant_prefix, "<think>\n");
    let answer = &messages[2];
    let Some(Sampled { start, tokens }) = &answer.sampled else {
        panic!("{answer:?}");
    };
    let text = call("bash", "ls").text;
    assert_eq!(
        (*start, &answer.content[*start..]),
        ("<think>\n".len(), text.as_str())
    );
    assert_eq!(tokens.len(), count_script_tokens(&text));
}

/// A server that does not tell its window, and refuses what does not fit.
struct Picky {
    talker: Talker,
    window: usize,
}

impl Model for Picky {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        self.talker.info()
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        self.talker.count_tokens(text)
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        self.talker.count_prompt(prompt, tools)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let used = self
            .talker
            .script
            .count_prompt(&request.prompt, &request.tools)
            .unwrap();
        let asked = used + request.max_tokens.unwrap_or(0);
        if asked > self.window {
            return Err(ModelError::ServerContext {
                url: "http://localhost".to_owned(),
                allowed: Some(self.window),
                asked: Some(asked),
                message: "too long".to_owned(),
            });
        }
        self.talker.generate(request, sink)
    }
}

#[test]
fn a_server_that_counts_nothing_and_has_a_small_window_is_coped_with() {
    let bench = Bench::shared();
    let mut answers: Vec<_> = (0..20)
        .map(|number| call("bash", &format!("seq {number}001 {number}330")))
        .collect();
    answers.push(turn("no call"));
    let mut talker = Talker::new(answers, CallFormat::Tags);
    talker.counts = false;
    let model = Picky { talker, window: 5000 };
    let mut options = options();
    options.budget.format_errors = 1;
    let candidate = bench.run(&model, &options, "journal").unwrap();
    assert_eq!((candidate.ending, candidate.turns), (Ending::NotSubmitted, 21));
}

#[test]
fn an_answer_that_broke_off_is_asked_for_once_more() {
    struct Breaks(ScriptModel, std::sync::atomic::AtomicUsize);
    impl Model for Breaks {
        fn info(&self) -> Result<ModelInfo, ModelError> {
            self.0.info()
        }
        fn count_tokens(&self, text: &str) -> Option<usize> {
            self.0.count_tokens(text)
        }
        fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
            self.0.count_prompt(prompt, tools)
        }
        fn generate(
            &self,
            request: &GenerateRequest,
            sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
        ) -> Result<Vec<Completion>, ModelError> {
            if self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                return Err(ModelError::EndedEarly {
                    url: "http://localhost".to_owned(),
                    characters: 7,
                    why: "the connection broke".to_owned(),
                });
            }
            self.0.generate(request, sink)
        }
    }
    let bench = Bench::shared();
    let model = Breaks(ScriptModel::new([ScriptAnswer::new("no")], None), 0.into());
    let mut options = options();
    options.budget.format_errors = 1;
    let candidate = bench.run(&model, &options, "journal").unwrap();
    assert_eq!(candidate.ending, Ending::FormatErrors);
}
