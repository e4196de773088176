//! How a conversation begins: the system prompt and the issue's message.

use std::path::{Path, PathBuf};

use cwm_runtime::source::{CallFormat, ChatMessage, Model, ToolDefinition};
use cwm_tools::call::Tool;
use cwm_tools::sandbox::policy::Network;
use cwm_tools::truncate;
use serde_json::{Map, Value, json};

use crate::prompts::{PromptError, Prompts, SystemPrompt, TestsBefore, TestsOutcome};
use crate::rollout::packed;
use crate::rollout::test_place;
use crate::rollout::tokens::TokenCounter;
use crate::rollout::types::{AttemptOptions, RolloutError, Task, Workbench};
use crate::suite::RunEnding;

/// What a cut text begins with, as the model was trained with.
const CUT: &str = "[...]";
/// What its own files tell may take one part in so many of the message.
const GUIDANCE_SHARE: usize = 4;
/// The issue's message may take one part in so many of the window.
const MESSAGE_SHARE: usize = 2;
/// A tool's result may take one part in so many of the window.
const RESULT_SHARE: usize = 4;
/// A token is seldom longer; longer texts are cut before they are counted.
const MOST_TOKEN_BYTES: usize = 16;
/// Names of failing tests that are told.
const MOST_FAILING: usize = 10;

/// The tokens that prompt and answers may have together.
pub(super) fn window(model: &dyn Model, options: &AttemptOptions) -> Result<usize, RolloutError> {
    let context = model.info()?.context.unwrap_or(usize::MAX);
    Ok(context.min(options.budget.context))
}

/// Whether of a result that is too long the end is left out, as CWM was trained with, and not the middle.
pub(super) fn cuts_right(format: CallFormat) -> bool {
    format == CallFormat::Tags
}

/// The most tokens of a tool's result.
pub(super) fn result_tokens(window: usize, options: &AttemptOptions) -> usize {
    options.budget.result_tokens.min(window / RESULT_SHARE)
}

/// A folder below the root, or the root itself, without a slash at its end.
pub(super) fn below(root: &Path, folder: &Path) -> PathBuf {
    root.components().chain(folder.components()).collect()
}

/// The first messages.
pub(super) fn messages(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    format: CallFormat,
    counter: &TokenCounter<'_>,
) -> Result<Vec<ChatMessage>, RolloutError> {
    let window = window(bench.model, options)?;
    let start = below(&bench.problem.root, &bench.copies.start);
    let system = bench.prompts.agentic_system(&SystemPrompt {
        reasoning: format == CallFormat::Tags,
        native: format == CallFormat::Native,
        network: bench.copies.walls.policy.network == Network::Host,
        directory: &start,
        turns: options.budget.turns,
        context: window,
        command_timeout: options.budget.command_timeout.as_secs(),
        result_tokens: result_tokens(window, options),
        cut_right: cuts_right(format),
        writes_test: options.task != Task::Repair,
    })?;
    let most = options.budget.prompt_tokens.min(window / MESSAGE_SHARE);
    let pack = match options.budget.pack_tokens.min(window / MESSAGE_SHARE) {
        0 => "",
        tokens => {
            let fingerprint = bench.model.info()?.fingerprint;
            packed::pack(bench.problem, tokens, fingerprint.as_deref(), counter)?
        }
    };
    Ok(vec![
        ChatMessage::new("system", system),
        ChatMessage::new("user", issue_message(bench, &options.task, pack, most, counter)?),
    ])
}

/// The user's message, of which only the issue and the repository's own words are cut.
fn issue_message(
    bench: &Workbench<'_>,
    task: &Task,
    pack: &str,
    most: usize,
    counter: &TokenCounter<'_>,
) -> Result<String, RolloutError> {
    let problem = bench.problem;
    let tests = tests_before(bench);
    let place = match task {
        Task::Test { .. } => test_place::of(bench)?,
        Task::Repair => None,
    };
    let mut share = most / GUIDANCE_SHARE;
    let mut guidance = Vec::new();
    for file in &problem.guidance {
        let text = cut_right(&file.text, share, counter);
        share = share.saturating_sub(counter.text(&text));
        if !text.is_empty() {
            guidance.push((file.path.clone(), text));
        }
    }
    let message = |pack: &str, issue: &str| {
        let prompts = bench.prompts;
        match task {
            Task::Repair => prompts.agentic_issue(pack, &problem.root, issue, &tests, &guidance),
            Task::Test { rivals } => prompts.agentic_test(pack, &problem.root, issue, rivals, place.as_ref()),
        }
    };
    let issue = problem.issue.trim();
    // Parts may have a token more or less than when they stand together: what is rendered is what counts.
    let mut room = most.saturating_sub(counter.text(&message("", "")?));
    loop {
        let issue = cut_left(issue, room, counter);
        let over = counter.text(&message("", &issue)?).saturating_sub(most);
        if over == 0 || room == 0 {
            // What was packed has a budget of its own.
            return Ok(message(pack, &issue)?);
        }
        room = room.saturating_sub(over);
    }
}

fn tests_before(bench: &Workbench<'_>) -> Vec<TestsBefore> {
    let runs = &bench.problem.baseline;
    let before = |command: &crate::suite::TestCommand| {
        let run = runs.iter().find(|run| run.command == *command);
        let outcome = match run.map(|run| (&run.ending, run)) {
            None => TestsOutcome::Unknown,
            Some((RunEnding::Ran, run)) => TestsOutcome::Ran {
                passed: run.count(crate::suite::Status::passes),
                failed: run.count(crate::suite::Status::fails),
                failing: run.failing().take(MOST_FAILING).map(str::to_owned).collect(),
            },
            Some((RunEnding::TimedOut, _)) => TestsOutcome::TimedOut,
            Some((RunEnding::NotStarted { reason } | RunEnding::Stopped { reason }, _)) => {
                TestsOutcome::NotRun {
                    reason: reason.clone(),
                }
            }
        };
        TestsBefore {
            command: command.command.clone(),
            outcome,
        }
    };
    bench.problem.tests.iter().map(before).collect()
}

/// The end of a text that has at most so many tokens, behind a mark when it is not the whole.
fn cut_left(text: &str, most: usize, counter: &TokenCounter<'_>) -> String {
    let bytes = most
        .saturating_mul(MOST_TOKEN_BYTES)
        .saturating_add(MOST_TOKEN_BYTES);
    let near = text.ceil_char_boundary(text.len().saturating_sub(bytes));
    if near == 0 && counter.text(text) <= most {
        return text.to_owned();
    }
    let end = |from: usize| text.get(text.ceil_char_boundary(from)..).unwrap_or_default();
    // `exceeds` is taken to have too many tokens, `fits` has not.
    let (mut exceeds, mut fits) = (near, text.len());
    while fits - exceeds > 1 + text.len() / 4096 {
        let middle = exceeds + (fits - exceeds) / 2;
        if counter.text(&format!("{CUT}{}", end(middle))) <= most {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    format!("{CUT}{}", end(fits))
}

/// The beginning of a text that has at most so many tokens, before a mark when it is not the whole.
fn cut_right(text: &str, most: usize, counter: &TokenCounter<'_>) -> String {
    let bytes = most.saturating_mul(MOST_TOKEN_BYTES);
    let near = text.floor_char_boundary(bytes.min(text.len()));
    if near == text.len() && counter.text(text) <= most {
        return text.to_owned();
    }
    let near = text.get(..near).unwrap_or_default();
    let cut = truncate::right(near, most.saturating_sub(counter.text(CUT)), |part| {
        counter.text(part)
    });
    if cut.head.is_empty() {
        return String::new();
    }
    format!("{}{CUT}", cut.head)
}

/// The four tools for models that are told of them in their own format.
///
/// # Errors
///
/// When a template is wrong.
pub fn definitions(prompts: &Prompts) -> Result<Vec<ToolDefinition>, PromptError> {
    let mut definitions = Vec::new();
    for tool in Tool::ALL {
        let arguments: &[&str] = match tool {
            Tool::Bash => &["command"],
            Tool::Edit => &["path", "search", "replace"],
            Tool::Create => &["path", "content"],
            Tool::Submit => &["path"],
        };
        let mut properties = Map::new();
        for &argument in arguments {
            let description = prompts.tool_description(tool, Some(argument))?;
            properties.insert(
                argument.to_owned(),
                json!({"type": "string", "description": description}),
            );
        }
        definitions.push(ToolDefinition {
            name: tool.name().to_owned(),
            description: prompts.tool_description(tool, None)?,
            parameters: json!({
                "type": "object",
                "properties": Value::Object(properties),
                "required": arguments,
            }),
        });
    }
    Ok(definitions)
}
