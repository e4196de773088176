//! The words that a model reads. Every one of them comes from a template of the folder `prompts/`; this
//! module turns the tools' typed results into the templates' variables and renders them.
//!
//! In: results and errors of the tools, notices of the session. Out: text for a message. The templates are built
//! in; a folder may replace some or all of them. What a folder gets wrong (an unknown name, a syntax error, a
//! variable that does not exist) is an error when it is read, not in the middle of a run.

mod one_shot;
mod rollout;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

use cwm_tools::bytes_path;
use cwm_tools::call::CallError;
use cwm_tools::create::{CreateDone, CreateError};
use cwm_tools::edit::{EditDone, EditError};
use cwm_tools::files::FileError;
use cwm_tools::sandbox::policy::Limits;
use cwm_tools::sandbox::{Ending, KillReason};
use cwm_tools::session::CommandResult;
use cwm_tools::submit::{SubmitError, Submitted};
use cwm_tools::truncate::display_text;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use thiserror::Error;

pub use one_shot::{
    AnswerFormat, AskFor, OneShotRequest, ShownFile, ShownGuidance, TestFilePlace, TestsRequest,
};
pub use rollout::{ArgumentsError, Scarce, SystemPrompt, TestsBefore, TestsOutcome};

const EXTENSION: &str = ".jinja";

/// A built-in template and the variables that it may use.
struct BuiltIn {
    name: &'static str,
    source: &'static str,
    variables: &'static [&'static str],
}

macro_rules! built_in {
    ($($name:literal: [$($variable:literal),*],)*) => {
        &[$(BuiltIn {
            name: $name,
            source: include_str!(concat!("../prompts/", $name, ".jinja")),
            variables: &[$($variable),*],
        }),*]
    };
}

const BUILT_IN: &[BuiltIn] = built_in! {
    "tool_result": ["output", "remaining_turns", "remaining_tokens"],
    "truncated": ["omitted_lines", "omitted_bytes", "path", "first_bytes"],
    "session_ended": ["directory", "kind", "seconds", "code", "signal", "limit", "reason"],
    "edit_done": ["path", "first_line", "removed_lines", "added_lines", "total_lines", "lines"],
    "edit_no_match": ["path", "near_miss", "partial", "replacement_at", "nearest"],
    "edit_several_matches": ["path", "lines", "count"],
    "edit_no_change": ["path", "line"],
    "edit_ambiguous_divider": ["path", "lines"],
    "edit_syntax": ["kind", "searches", "replaces", "line", "count"],
    "create_done": ["path", "lines"],
    "create_missing_path": [],
    "file_error": ["path", "kind", "roots", "parent", "what", "limit", "offset", "message"],
    "submit_review": ["path", "patch"],
    "submit_failed": ["kind", "path", "lines", "first_line"],
    "format_error": ["tools", "kind", "count", "opening", "closing", "name", "tool"],
    "agentic_system": [
        "reasoning", "native", "network", "directory", "turns", "context", "command_timeout", "result_tokens",
        "cut_right", "writes_test"
    ],
    "agentic_issue": ["pack", "root", "issue", "tests", "guidance"],
    "agentic_test": ["pack", "root", "issue", "rivals", "file"],
    "last_turns": ["kind", "remaining_turns", "submitted"],
    "elided": ["tool", "lines", "bytes", "path", "first_bytes"],
    "repeated_call": ["count"],
    "session_restored": [],
    "answer_cut": ["limit", "reasoning"],
    "tool_failed": ["tool", "reason"],
    "patch_refused": ["reason"],
    "arguments_error": ["kind", "tool", "argument", "message"],
    "format_error_native": ["tools", "kind", "count", "opening", "closing", "name", "tool"],
    "tool_description": ["tool", "argument"],
    "one_shot_system": ["format", "explain"],
    "one_shot_example": ["part", "format", "explain"],
    "one_shot_request": ["files", "guidance", "issue", "failures", "format", "explain", "hint", "name", "path", "tests"],
    "one_shot_hidden": ["comment"],
    "one_shot_feedback": ["kind", "path", "failures", "format", "explain"],
    "one_shot_prefix": ["language", "path", "format", "explain"],
    "one_shot_compare": ["part", "files", "issue", "changes"],
    "one_shot_test_file": [
        "part", "path", "framework", "language", "head", "example", "files", "issue", "name", "rivals", "most"
    ],
    "one_shot_tests": ["part", "files", "tests", "issue", "name", "rivals", "most"],
};

/// A file inside that keeps an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptAt<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// When it does not hold the whole: how many bytes of the beginning it holds.
    pub first_bytes: Option<u64>,
}

/// What a command said, as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandText {
    /// All of it.
    pub text: String,
    /// Where in it the line begins that stands for what the session did not pass on.
    pub gap: Option<usize>,
    /// How many bytes at its end say why the session ended.
    pub closing: usize,
}

/// What is wrong with a template.
#[derive(Debug, Error)]
pub enum PromptError {
    /// A folder of templates cannot be read.
    #[error("cannot read the prompt templates at {}: {source}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is no template's.
    #[error("{} is no prompt template; remove it or name it one of: {}", path.display(), known.join(", "))]
    UnknownTemplate {
        /// The file.
        path: PathBuf,
        /// The names there are.
        known: Vec<String>,
    },
    /// A template that cannot be read as one.
    #[error("prompt template {template}, line {line}: {message}")]
    Syntax {
        /// Its file name.
        template: String,
        /// Where the mistake is.
        line: usize,
        /// What it is.
        message: String,
    },
    /// A template uses variables that it is not given.
    #[error("prompt template {template} uses the unknown variable {}; it may use: {}", unknown.join(", "), known.join(", "))]
    UnknownVariable {
        /// Its file name.
        template: String,
        /// The variables that do not exist.
        unknown: Vec<String>,
        /// Those that do.
        known: Vec<String>,
    },
    /// A template failed on the values that it was given.
    #[error("prompt template {template}, line {line}: cannot be rendered: {message}")]
    Render {
        /// Its file name.
        template: String,
        /// Where it failed.
        line: usize,
        /// Why.
        message: String,
    },
}

/// Why a session of the shell ended. A fresh one takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// A command ran too long.
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The shell itself exited.
    Exited {
        /// With this code.
        code: i32,
    },
    /// The shell was killed.
    Killed {
        /// By this signal.
        signal: i32,
    },
    /// The memory limit was reached.
    OutOfMemory {
        /// The limit.
        bytes: u64,
    },
    /// The limit on what may be written was reached.
    DiskFull {
        /// The limit.
        bytes: u64,
    },
    /// The limit on processes was reached.
    TooManyProcesses {
        /// The limit.
        processes: u64,
    },
    /// The sandbox itself failed and was made anew.
    Restarted {
        /// What failed.
        reason: String,
    },
}

impl SessionEnd {
    /// Why a command's end was the session's end too; `None` when the session lives on.
    pub fn of(ending: &Ending, limits: &Limits, seconds: u64) -> Option<SessionEnd> {
        Some(match ending {
            Ending::Exited(_) => return None,
            Ending::ShellExited(code) => SessionEnd::Exited { code: *code },
            Ending::Signalled(signal) => SessionEnd::Killed { signal: *signal },
            Ending::Killed(KillReason::Timeout) => SessionEnd::TimedOut { seconds },
            Ending::Killed(KillReason::Memory) => SessionEnd::OutOfMemory { bytes: limits.memory },
            Ending::Killed(KillReason::Disk) => SessionEnd::DiskFull { bytes: limits.disk },
            Ending::Killed(KillReason::Processes) => SessionEnd::TooManyProcesses {
                processes: limits.processes.into(),
            },
            Ending::Killed(KillReason::Cancelled) | Ending::NotStarted { .. } => SessionEnd::Restarted {
                reason: ending.to_string(),
            },
        })
    }
}

/// The templates, ready to render.
#[derive(Debug)]
pub struct Prompts {
    environment: Environment<'static>,
}

impl Prompts {
    /// The templates that come with the program.
    pub fn built_in() -> Result<Prompts, PromptError> {
        let mut prompts = Prompts {
            environment: environment()?,
        };
        for template in BUILT_IN {
            prompts.add(template, template.source.to_owned())?;
        }
        Ok(prompts)
    }

    /// The built-in templates, but for those that the folder holds.
    pub fn from_folder(folder: &Path) -> Result<Prompts, PromptError> {
        let unreadable = |path: &Path| {
            let path = path.to_path_buf();
            move |source| PromptError::Unreadable { path, source }
        };
        let mut prompts = Prompts::built_in()?;
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            let file_name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if file_name == "README.md" {
                continue;
            }
            let template = BUILT_IN
                .iter()
                .find(|template| file_name.strip_suffix(EXTENSION) == Some(template.name))
                .ok_or_else(|| PromptError::UnknownTemplate {
                    path: path.clone(),
                    known: known_files(),
                })?;
            let source = fs::read_to_string(&path).map_err(unreadable(&path))?;
            prompts.add(template, source)?;
        }
        Ok(prompts)
    }

    fn add(&mut self, template: &BuiltIn, source: String) -> Result<(), PromptError> {
        let file = || format!("{}{EXTENSION}", template.name);
        self.environment
            .add_template_owned(template.name, source)
            .map_err(|error| syntax_error(&file(), &error))?;
        let used = self
            .environment
            .get_template(template.name)
            .map(|added| added.undeclared_variables(false));
        let mut unknown: Vec<String> = used.unwrap_or_default().into_iter().collect();
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        unknown
            .retain(|name| !template.variables.contains(&name.as_str()) && !globals.contains(&name.as_str()));
        unknown.sort();
        if unknown.is_empty() {
            return Ok(());
        }
        let known = template.variables.iter().map(|&name| name.to_owned()).collect();
        Err(PromptError::UnknownVariable {
            template: file(),
            unknown,
            known,
        })
    }

    fn render(&self, name: &str, variables: Value) -> Result<String, PromptError> {
        let rendered = self
            .environment
            .get_template(name)
            .and_then(|template| template.render(variables));
        let mut text = rendered.map_err(|error| PromptError::Render {
            template: format!("{}{EXTENSION}", error.name().unwrap_or(name)),
            line: error.line().unwrap_or(0),
            message: message(&error),
        })?;
        // A template that ends with a tag on its own line leaves the newline before it.
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }

    /// A tool's result as it stands in a message, with what is left of the budget. One newline at the
    /// output's end is dropped, for the frame brings its own.
    pub fn tool_result(
        &self,
        output: &str,
        remaining_turns: u64,
        remaining_tokens: u64,
    ) -> Result<String, PromptError> {
        let output = output.strip_suffix('\n').unwrap_or(output);
        self.render(
            "tool_result",
            context! { output, remaining_turns, remaining_tokens },
        )
    }

    /// What `bash` says: the command's output, head and tail when it is long, and why the session ended if it did. `limits` and
    /// `seconds` are those that the command ran under; `start` is where a fresh session starts.
    pub fn bash_result(
        &self,
        result: &CommandResult,
        limits: &Limits,
        seconds: u64,
        start: &Path,
    ) -> Result<CommandText, PromptError> {
        let output = &result.output;
        let (mut text, mut gap, mut closing) = (String::new(), None, 0);
        if let Some(end) = result
            .lost_before
            .as_ref()
            .and_then(|ending| SessionEnd::of(ending, limits, seconds))
        {
            text += &self.session_ended(&end, start)?;
            text.push('\n');
        }
        text += &display_text(&output.head);
        if output.omitted_bytes > 0 {
            end_line(&mut text);
            gap = Some(text.len());
            let kept = result.kept_output.as_ref();
            let kept = kept.map(|kept| KeptAt {
                path: &kept.path,
                first_bytes: (kept.bytes < output.total_bytes).then_some(kept.bytes),
            });
            text += &self.truncated(output.omitted_bytes, output.omitted_lines, kept)?;
            text.push('\n');
            text += &display_text(&output.tail);
        }
        if let Some(end) = SessionEnd::of(&result.ending, limits, seconds) {
            end_line(&mut text);
            let why = self.session_ended(&end, start)?;
            closing = why.len();
            text += &why;
        }
        Ok(CommandText { text, gap, closing })
    }

    /// What `edit` says.
    pub fn edit_result(&self, result: &Result<EditDone, EditError>) -> Result<String, PromptError> {
        match result {
            Ok(done) => self.render("edit_done", variables::edit_done(done)),
            Err(EditError::Syntax(error)) => self.render("edit_syntax", variables::edit_syntax(error)),
            Err(EditError::File(error)) => self.file_error(error),
            Err(EditError::Failed { path, failure }) => {
                let (template, variables) = variables::edit_failure(path, failure);
                self.render(template, variables)
            }
        }
    }

    /// What `create` says.
    pub fn create_result(&self, result: &Result<CreateDone, CreateError>) -> Result<String, PromptError> {
        match result {
            Ok(CreateDone { path, lines }) => self.render("create_done", context! { path, lines }),
            Err(CreateError::MissingPath) => self.render("create_missing_path", context! {}),
            Err(CreateError::File(error)) => self.file_error(error),
        }
    }

    /// What `submit` says.
    pub fn submit_result(&self, result: &Result<Submitted, SubmitError>) -> Result<String, PromptError> {
        let variables = match result {
            Ok(Submitted { path, bytes }) => {
                let patch = display_text(bytes.strip_suffix(b"\n").unwrap_or(bytes));
                return self.render("submit_review", context! { path, patch });
            }
            Err(SubmitError::File(error)) => return self.file_error(error),
            Err(SubmitError::MissingPath) => context! { kind => "missing_path" },
            Err(SubmitError::MoreThanPath { lines }) => context! { kind => "more_than_path", lines },
            Err(SubmitError::Empty { path }) => context! { kind => "empty", path },
            Err(SubmitError::NotADiff { path, first_line }) => {
                context! { kind => "not_a_diff", path, first_line }
            }
        };
        self.render("submit_failed", variables)
    }

    /// What is wrong with the form of a turn; sent as a user message.
    pub fn format_error(&self, error: &CallError) -> Result<String, PromptError> {
        self.render("format_error", variables::call_error(error))
    }

    /// Why the session ended, and that a fresh one started in `directory`.
    pub fn session_ended(&self, end: &SessionEnd, directory: &Path) -> Result<String, PromptError> {
        let directory = bytes_path::display(bytes_path::to_bytes(directory));
        self.render(
            "session_ended",
            context! { directory, ..variables::session_end(end) },
        )
    }

    /// The line in place of what is left out of output that is too long, and where the output is kept.
    pub fn truncated(
        &self,
        omitted_bytes: u64,
        omitted_lines: u64,
        kept: Option<KeptAt<'_>>,
    ) -> Result<String, PromptError> {
        let place = kept_at(kept);
        self.render("truncated", context! { omitted_bytes, omitted_lines, ..place })
    }

    fn file_error(&self, error: &FileError) -> Result<String, PromptError> {
        self.render("file_error", variables::file_error(error))
    }
}

/// Where an output is kept.
fn kept_at(kept: Option<KeptAt<'_>>) -> Value {
    let path = kept.map(|kept| bytes_path::display(bytes_path::to_bytes(kept.path)));
    let first_bytes = kept.and_then(|kept| kept.first_bytes);
    context! { path, first_bytes }
}

/// What follows shall stand on a line of its own.
fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

fn environment() -> Result<Environment<'static>, PromptError> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(syntax.map_err(|error| syntax_error("every template", &error))?);
    Ok(environment)
}

fn syntax_error(template: &str, error: &minijinja::Error) -> PromptError {
    let line = error.line().unwrap_or(0);
    PromptError::Syntax {
        template: template.to_owned(),
        line,
        message: message(error),
    }
}

fn known_files() -> Vec<String> {
    BUILT_IN
        .iter()
        .map(|template| format!("{}{EXTENSION}", template.name))
        .collect()
}

/// The error's own words; its template and line are told beside them.
fn message(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
#[path = "prompts_tests.rs"]
mod tests;
