//! What a model reads in the turn loop besides the tools' own results.

use std::path::Path;

use cwm_tools::bytes_path;
use cwm_tools::call::{CallError, Tool};
use minijinja::{Value, context};

use super::{KeptAt, PromptError, Prompts, TestFilePlace, kept_at, variables};

/// What the system prompt of the turn loop tells.
#[derive(Debug, Clone, Copy)]
pub struct SystemPrompt<'a> {
    /// The model is to reason between tags before it answers.
    pub reasoning: bool,
    /// The tools are announced in the model's own format, so that the text need not say how they are called.
    pub native: bool,
    /// Commands reach the machine's network.
    pub network: bool,
    /// Where commands start.
    pub directory: &'a Path,
    /// Turns that there are.
    pub turns: usize,
    /// Tokens of the context.
    pub context: usize,
    /// How long a command may run, in seconds.
    pub command_timeout: u64,
    /// The most tokens of a tool's result.
    pub result_tokens: usize,
    /// Of a longer one the end is left out, and not the middle.
    pub cut_right: bool,
    /// A test is asked for, and no repair.
    pub writes_test: bool,
}

/// A test command and what it said before any change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestsBefore {
    /// The command.
    pub command: String,
    /// What became of it.
    pub outcome: TestsOutcome,
}

/// What a test command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestsOutcome {
    /// Tests ran.
    Ran {
        /// How many passed.
        passed: usize,
        /// How many failed.
        failed: usize,
        /// Names of the first that failed.
        failing: Vec<String>,
    },
    /// It was not run.
    Unknown,
    /// It did not end in time.
    TimedOut,
    /// It could not run to its end.
    NotRun {
        /// Why.
        reason: String,
    },
}

/// What is nearly used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// Turns; so many are left.
    Turns(usize),
    /// The context's tokens.
    Tokens,
    /// The attempt's time.
    Time,
}

/// What is wrong with the arguments of a call in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentsError {
    /// It is no JSON.
    NotJson {
        /// The tool, where its name could be read.
        tool: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// An argument is missing, or no text.
    Missing {
        /// The tool.
        tool: Tool,
        /// The argument.
        argument: &'static str,
    },
    /// A path has several lines.
    SeveralLines {
        /// The tool.
        tool: Tool,
        /// The argument.
        argument: &'static str,
    },
}

impl Prompts {
    /// The system prompt of the turn loop.
    pub fn agentic_system(&self, about: &SystemPrompt<'_>) -> Result<String, PromptError> {
        let SystemPrompt {
            reasoning,
            native,
            network,
            turns,
            context,
            command_timeout,
            result_tokens,
            cut_right,
            writes_test,
            ..
        } = about;
        let directory = shown(about.directory);
        self.render(
            "agentic_system",
            context! {
                reasoning, native, network, directory, turns, context, command_timeout, result_tokens, cut_right,
                writes_test
            },
        )
    }

    /// The user's first message in the turn loop: what was packed of the repository, if anything, the issue, how the repository at `root` is tested, and what its own files
    /// (pairs of path and text) tell.
    pub fn agentic_issue(
        &self,
        pack: &str,
        root: &Path,
        issue: &str,
        tests: &[TestsBefore],
        guidance: &[(String, String)],
    ) -> Result<String, PromptError> {
        let tests: Vec<Value> = tests.iter().map(tests_before).collect();
        let guidance: Vec<Value> = guidance
            .iter()
            .map(|(path, text)| {
                // A file must not end its own frame and speak on outside of it.
                let text = text.replace("</repository_file", "<\\/repository_file");
                context! { path, text }
            })
            .collect();
        let root = shown(root);
        self.render("agentic_issue", context! { pack, root, issue, tests, guidance })
    }

    /// The same where no repair is asked for but a test that shows the issue; with two diffs in `rivals`, one that tells them apart. It is a file
    /// of the repository's framework where there is a place for it, else a script.
    pub fn agentic_test(
        &self,
        pack: &str,
        root: &Path,
        issue: &str,
        rivals: &[String],
        place: Option<&TestFilePlace>,
    ) -> Result<String, PromptError> {
        let root = shown(root);
        let rivals = rivals.to_vec();
        let file = place.map(|place| {
            let TestFilePlace {
                path,
                framework,
                command,
                ..
            } = place;
            let example = place.example.as_ref().map_or("", |example| example.path.as_str());
            context! { path, framework, example, command }
        });
        self.render("agentic_test", context! { pack, root, issue, rivals, file })
    }

    /// That the end is near; `submitted` tells whether there is a patch already.
    pub fn last_turns(&self, scarce: Scarce, submitted: bool) -> Result<String, PromptError> {
        let (kind, remaining_turns) = match scarce {
            Scarce::Turns(left) => ("turns", left),
            Scarce::Tokens => ("tokens", 0),
            Scarce::Time => ("time", 0),
        };
        self.render("last_turns", context! { kind, remaining_turns, submitted })
    }

    /// What stands in place of a tool's result of so many lines and bytes that was taken out of the conversation, and where it is kept.
    pub fn elided(
        &self,
        tool: Tool,
        lines: u64,
        bytes: u64,
        kept: Option<KeptAt<'_>>,
    ) -> Result<String, PromptError> {
        let (tool, place) = (tool.name(), kept_at(kept));
        self.render("elided", context! { tool, lines, bytes, ..place })
    }

    /// That the same call was made so many times in a row.
    pub fn repeated_call(&self, count: usize) -> Result<String, PromptError> {
        self.render("repeated_call", context! { count })
    }

    /// That the attempt goes on in a fresh copy in which calls had other results.
    pub fn session_restored(&self) -> Result<String, PromptError> {
        self.render("session_restored", context! {})
    }

    /// That an answer was cut at `limit` tokens.
    pub fn answer_cut(&self, limit: usize, reasoning: bool) -> Result<String, PromptError> {
        self.render("answer_cut", context! { limit, reasoning })
    }

    /// That a tool could not act at all.
    pub fn tool_failed(&self, tool: Tool, reason: &str) -> Result<String, PromptError> {
        let reason = reason.trim_end_matches('.');
        self.render("tool_failed", context! { tool => tool.name(), reason })
    }

    /// That a patch that was handed in does not fit the repository.
    pub fn patch_refused(&self, reason: &str) -> Result<String, PromptError> {
        let reason = reason.trim_end_matches('.');
        self.render("patch_refused", context! { reason })
    }

    /// What is wrong with the arguments of a call in JSON.
    pub fn arguments_error(&self, error: &ArgumentsError) -> Result<String, PromptError> {
        let variables = match error {
            ArgumentsError::NotJson { tool, message } => context! { kind => "json", tool, message },
            ArgumentsError::Missing { tool, argument } => {
                context! { kind => "missing", tool => tool.name(), argument => *argument }
            }
            ArgumentsError::SeveralLines { tool, argument } => {
                context! { kind => "several_lines", tool => tool.name(), argument => *argument }
            }
        };
        self.render("arguments_error", variables)
    }

    /// As [`Prompts::format_error`], for models that call tools in a format of their own.
    pub fn format_error_native(&self, error: &CallError) -> Result<String, PromptError> {
        self.render("format_error_native", variables::call_error(error))
    }

    /// What a tool does, or what an argument of it is, for definitions in a model's own format.
    pub fn tool_description(&self, tool: Tool, argument: Option<&str>) -> Result<String, PromptError> {
        self.render("tool_description", context! { tool => tool.name(), argument })
    }
}

fn shown(path: &Path) -> String {
    bytes_path::display(bytes_path::to_bytes(path))
}

fn tests_before(tests: &TestsBefore) -> Value {
    let command = &tests.command;
    match &tests.outcome {
        TestsOutcome::Ran {
            passed,
            failed,
            failing,
        } => {
            let more = failed.saturating_sub(failing.len());
            context! { kind => "ran", command, passed, failed, failing, more }
        }
        TestsOutcome::Unknown => context! { kind => "unknown", command },
        TestsOutcome::TimedOut => context! { kind => "timed_out", command },
        TestsOutcome::NotRun { reason } => context! { kind => "not_run", command, reason },
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
