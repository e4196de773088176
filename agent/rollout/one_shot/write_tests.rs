//! Asks for tests of the issue: assertions in Python, each of which becomes a script that stands alone.
//!
//! Small models write single assertions far better than whole scripts; what is around them is ours.

use std::time::Instant;

use cwm_runtime::source::ChatMessage;
use cwm_tools::patch::is_test_path;

use super::assertions::{assertions, module, script};
use super::prompt::{self, Question, Window};
use super::say::{Stop, request, say};
use crate::prompts::TestsRequest;
use crate::rollout::journal::{AttemptLog, Generated, Record};
use crate::rollout::packed::ranking;
use crate::rollout::tokens::message_tokens;
use crate::rollout::types::{AttemptOptions, RolloutError, Task, Workbench, WrittenTest};
use crate::suite::TestRun;

/// So many assertions are asked for.
const ASKED_FOR: usize = 8;
/// The most tokens of an answer.
const MOST_ANSWER: usize = 400;

/// The tests that one sample writes; none where the issue is not about a file that can be imported, or where the user ends it.
///
/// # Errors
///
/// When the model fails for good, or the journal cannot be written.
pub fn write_tests(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
) -> Result<Vec<WrittenTest>, RolloutError> {
    let mut log = AttemptLog::new(bench.journal, &options.name);
    if let Some(tests) = log.written_tests() {
        return Ok(tests);
    }
    let Some(subject) = Subject::of(bench)? else {
        return Ok(Vec::new());
    };
    let (question, helpers) = question(bench, options, &subject)?;
    for message in &question.messages {
        log.note(Record::Message {
            attempt: options.name.clone(),
            tokens: message_tokens(bench.model, message),
            message: message.clone(),
        })?;
    }
    let started = Instant::now();
    let asked = request(&question, &question.messages, options.sampling.clone());
    let generated = log.generation(|| -> Result<Generated, Stop> { say(bench, options, started, &asked) });
    let generated = match generated {
        Ok(generated) => generated,
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Ended(_)) => return Ok(Vec::new()),
    };
    let tests: Vec<WrittenTest> = assertions(&format!("{}{}", generated.prefix, generated.text))
        .into_iter()
        .map(|assertion| WrittenTest {
            name: assertion.statement.clone(),
            asks: assertion.asks.clone(),
            script: script(&assertion, &subject.module, &subject.folder, &helpers),
        })
        .collect();
    log.end_with_tests(&tests)?;
    Ok(tests)
}

/// What is tested.
struct Subject {
    /// The function; empty when none is named.
    function: String,
    module: String,
    folder: String,
}

impl Subject {
    /// The function that the issue is most likely about, or the likeliest file that can be imported.
    fn of(bench: &Workbench<'_>) -> Result<Option<Subject>, RolloutError> {
        let ranking = ranking(bench.problem)?;
        let suspect = ranking.suspect();
        let named = suspect.as_ref().and_then(|(path, function)| {
            // A method is called on something.
            let plain = function.indent == 0;
            let name = if plain {
                function.name.clone()
            } else {
                String::new()
            };
            Some((name, module(path)?))
        });
        let likeliest = || {
            let mut modules = ranking
                .paths()
                .filter(|path| !is_test_path(path.as_bytes()))
                .filter_map(module);
            modules.next().map(|module| (String::new(), module))
        };
        Ok(named
            .or_else(likeliest)
            .map(|(function, (module, folder))| Subject {
                function,
                module,
                folder,
            }))
    }
}

/// The conversation: the files that matter and what is asked; and the imports of the tests that are shown, whose names an answer may use. Tests
/// are shown only where none fails: what a failing one asks for would be copied, and be no opinion of its own.
fn question(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    subject: &Subject,
) -> Result<(Question, Vec<String>), RolloutError> {
    let window = Window::of(bench, &options.budget)?;
    let shown = prompt::material(window, &options.budget, MOST_ANSWER)?;
    let nothing_fails = bench.problem.baseline.iter().all(TestRun::all_pass);
    let tests = if nothing_fails { shown.tests } else { Vec::new() };
    let helpers = tests
        .iter()
        .filter_map(|test| Some(module(&test.path)?.0))
        .collect();
    let request = TestsRequest {
        files: shown.files,
        tests,
        issue: shown.issue,
        name: subject.function.clone(),
        rivals: match &options.task {
            Task::Test { rivals } => rivals.clone(),
            Task::Repair => Vec::new(),
        },
        most: ASKED_FOR,
    };
    let prompts = bench.prompts;
    let messages = vec![
        ChatMessage::new("system", prompts.one_shot_tests("system", &request)?),
        ChatMessage::new("user", prompts.one_shot_tests("request", &request)?),
    ];
    let prefix = prompts.one_shot_tests("prefix", &request)?;
    let answer = MOST_ANSWER.min(window.context / 4);
    Ok((Question::plain(messages, prefix, answer), helpers))
}
