//! Asks for tests of the issue: assertions in Python, each of which becomes a script that stands alone; for code in another language, whose tests
//! the repository's own framework runs, a file of a few short tests for it.
//!
//! Small models write single assertions far better than whole scripts; what is around them is ours.

use cwm_runtime::source::ChatMessage;
use cwm_tools::patch::is_test_path;

use super::assertions::{Assertion, assertions, code, module, script};
use super::prompt::{self, Question, Window};
use super::say::answer;
use crate::context::Definition;
use crate::prompts::{TestFilePlace, TestsRequest};
use crate::rollout::journal::{AttemptLog, Generated};
use crate::rollout::packed::ranking;
use crate::rollout::test_place;
use crate::rollout::types::{AttemptOptions, RolloutError, Task, TestFile, Workbench, WrittenTest};
use crate::suite::TestRun;

/// So many assertions are asked for.
const ASKED_FOR: usize = 8;
/// The most tokens of an answer.
const MOST_ANSWER: usize = 400;
/// The same of a file of tests, and how many tests are asked for there: each takes several lines.
const MOST_FILE: usize = 800;
const MOST_IN_FILE: usize = 5;

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
    let tests = match test_place::of(bench)? {
        Some(place) => from_file(bench, options, &mut log, &place)?,
        None => from_assertions(bench, options, &mut log)?,
    };
    let Some(tests) = tests else {
        return Ok(Vec::new());
    };
    log.end_with_tests(&tests)?;
    Ok(tests)
}

/// Assertions, each as a script; none where there is nothing to ask, or the user ends it.
fn from_assertions(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    log: &mut AttemptLog<'_>,
) -> Result<Option<Vec<WrittenTest>>, RolloutError> {
    let Some(subject) = Subject::of(bench)? else {
        return Ok(None);
    };
    let (question, helpers) = question(bench, options, &subject)?;
    let Some(Generated { prefix, text, .. }) = answer(bench, options, log, &question)? else {
        return Ok(None);
    };
    let answer = format!("{prefix}{text}");
    let test = |assertion: Assertion| WrittenTest {
        script: script(&assertion, &subject.module, &subject.folder, &helpers),
        name: assertion.statement,
        asks: assertion.asks,
        file: None,
    };
    Ok(Some(assertions(&answer).into_iter().map(test).collect()))
}

/// A file of tests; none where the user ends it.
fn from_file(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    log: &mut AttemptLog<'_>,
    place: &TestFilePlace,
) -> Result<Option<Vec<WrittenTest>>, RolloutError> {
    let question = file_question(bench, options, place)?;
    let Some(answer) = answer(bench, options, log, &question)? else {
        return Ok(None);
    };
    let text = file_text(&answer, &place.head);
    let text = text.trim();
    let test = (!text.is_empty()).then(|| WrittenTest {
        name: format!("{} of {}", place.path, options.name),
        asks: String::new(),
        script: format!("{text}\n"),
        file: Some(TestFile {
            path: place.path.clone(),
            apart: true,
        }),
    });
    Ok(Some(test.into_iter().collect()))
}

/// The file of an answer, which goes on where its beginning ends, or begins anew.
fn file_text(answer: &Generated, head: &str) -> String {
    let Generated { prefix, text, .. } = answer;
    let begun = text.trim_start();
    let again = !head.is_empty() && begun.starts_with(head.trim_end());
    if begun.starts_with("```") {
        code(begun).to_owned()
    } else if again {
        code(&format!("```\n{begun}")).to_owned()
    } else {
        code(&format!("{prefix}{text}")).to_owned()
    }
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
        let named = suspect
            .as_ref()
            .and_then(|(path, function)| Some((name_to_call(function), module(path)?)));
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

/// What a function is called by alone; empty for a method, which is called on something.
fn name_to_call(function: &Definition) -> String {
    if function.indent == 0 {
        function.name.clone()
    } else {
        String::new()
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
        rivals: rivals(options),
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

/// The diffs that tests are to tell apart, if that is what they are for.
fn rivals(options: &AttemptOptions) -> Vec<String> {
    match &options.task {
        Task::Test { rivals } => rivals.clone(),
        Task::Repair => Vec::new(),
    }
}

/// The conversation that asks for a file: the code that matters, a test that is there, and what is asked.
fn file_question(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    place: &TestFilePlace,
) -> Result<Question, RolloutError> {
    let window = Window::of(bench, &options.budget)?;
    let example = place
        .example
        .as_ref()
        .map_or(0, |example| window.count(&example.text));
    let most = MOST_FILE.min(window.context / 4);
    let mut shown = prompt::material(window, &options.budget, most + example)?;
    let suspect = ranking(bench.problem)?.suspect();
    let name = suspect.filter(|(path, _)| shown.files.iter().any(|file| file.path == *path));
    let request = TestsRequest {
        files: std::mem::take(&mut shown.files),
        tests: Vec::new(),
        issue: shown.issue,
        name: name.map_or_else(String::new, |(_, function)| name_to_call(&function)),
        rivals: rivals(options),
        most: MOST_IN_FILE,
    };
    let part = |part: &str| bench.prompts.one_shot_test_file(part, &request, place);
    let messages = vec![
        ChatMessage::new("system", part("system")?),
        ChatMessage::new("user", part("request")?),
    ];
    Ok(Question::plain(messages, part("prefix")?, most))
}
