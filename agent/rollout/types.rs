//! What attempts are given and what they yield.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::{Model, ModelError};
use cwm_tools::isolated::{IsolatedCopy, IsolatedError, Walls};
use cwm_tools::sandbox::SandboxError;
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::Snapshot;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::journal::{Journal, JournalError};
use crate::context::Ranking;
use crate::prompts::{PromptError, Prompts};
use crate::suite::{TestCommand, TestRun};

/// What is to be solved; the same for every attempt of a run.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The issue, as the user gave it.
    pub issue: String,
    /// Where attempts see the repository.
    pub root: PathBuf,
    /// The snapshot's tree on the host, read only.
    pub tree: PathBuf,
    /// How the repository is tested, from `start`.
    pub tests: Vec<TestCommand>,
    /// What each of these commands said before anything was changed.
    pub baseline: Vec<TestRun>,
    /// What the repository's own files tell those who work on it.
    pub guidance: Vec<Guidance>,
    /// The folder in which what is known of repositories is kept between runs.
    pub caches: Option<PathBuf>,
    /// Which files matter to the issue, once an attempt has asked.
    pub ranking: OnceLock<Ranking>,
    /// What of the repository agentic attempts read before they begin, once one has asked.
    pub pack: OnceLock<String>,
}

/// A file of the repository that tells contributors how to work: `AGENTS.md` and its like. Data, not the user's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guidance {
    /// The file, relative to the root.
    pub path: String,
    /// What it says, cut when long.
    pub text: String,
}

/// Makes the copies that attempts work on.
#[derive(Debug, Clone)]
pub struct Copies {
    /// What they are copies of.
    pub snapshot: Snapshot,
    /// What keeps them in.
    pub walls: Walls,
    /// Where commands start, relative to the root.
    pub start: PathBuf,
    /// How commands are treated.
    pub session: SessionOptions,
}

impl Copies {
    /// A fresh copy. `name` is a plain file name that no living copy has; what a dead process left under it is removed.
    ///
    /// # Errors
    ///
    /// When there is no room for it, or no sandbox.
    pub fn open(&self, name: &str) -> Result<IsolatedCopy, IsolatedError> {
        self.snapshot.clear_attempt(name)?;
        IsolatedCopy::open(
            &self.snapshot,
            name,
            &self.walls,
            &self.start,
            self.session.clone(),
        )
    }
}

/// What one attempt may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Turns of the model.
    pub turns: usize,
    /// Tokens of the context: the window that prompt and answers share.
    pub context: usize,
    /// The most tokens of one answer.
    pub action_tokens: usize,
    /// The most tokens of one tool's result.
    pub result_tokens: usize,
    /// The most tokens of the issue's message.
    pub prompt_tokens: usize,
    /// The most tokens of the repository's files that an agentic attempt reads before it begins; none for 0.
    #[serde(default)]
    pub pack_tokens: usize,
    /// How long the attempt may take.
    pub time: Option<Duration>,
    /// How long a command may take.
    pub command_timeout: Duration,
    /// Turns in a row that hold no well-formed call.
    pub format_errors: usize,
    /// Rounds of the one-shot strategy: the first answer, then one for each time that failing tests are shown.
    pub rounds: usize,
}

impl Default for Budget {
    /// What CWM's published results were made with.
    fn default() -> Self {
        Budget {
            turns: 128,
            context: 131_072,
            action_tokens: 65_536,
            result_tokens: 32_768,
            prompt_tokens: 8192,
            pack_tokens: 0,
            time: None,
            command_timeout: Duration::from_secs(120),
            format_errors: 5,
            rounds: 2,
        }
    }
}

/// How an attempt works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A loop of turns with tools.
    Agentic,
    /// An answer with edits, mended by what tests say.
    OneShot,
}

impl Strategy {
    /// The other one.
    pub fn other(self) -> Strategy {
        match self {
            Strategy::Agentic => Strategy::OneShot,
            Strategy::OneShot => Strategy::Agentic,
        }
    }
}

/// What an attempt is to yield.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Task {
    /// A patch that solves the issue.
    #[default]
    Repair,
    /// Tests that show the issue.
    Test {
        /// Two diffs that both may be right, which the tests are to tell apart; else none.
        rivals: Vec<String>,
    },
}

/// What sets an attempt apart from the others of its run.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptOptions {
    /// Its number among those of its strategy, from 0.
    pub index: usize,
    /// Its name, which is its copy's and the journal's, such as `attempt-1`.
    pub name: String,
    /// How tokens are chosen, with the attempt's own seed.
    pub sampling: SamplingParameters,
    /// What it may use.
    pub budget: Budget,
    /// What it is to yield.
    pub task: Task,
}

/// What attempts work with. Shared by threads.
#[derive(Clone, Copy)]
pub struct Workbench<'a> {
    /// What is to be solved.
    pub problem: &'a Problem,
    /// Who answers.
    pub model: &'a dyn Model,
    /// What it reads.
    pub prompts: &'a Prompts,
    /// Where copies come from.
    pub copies: &'a Copies,
    /// Where every step is written down.
    pub journal: &'a Journal,
    /// Whether to go on.
    pub control: &'a Control,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Ending {
    /// The model submitted a patch and gave its final answer, or its edits passed the tests.
    Finished,
    /// It gave a final answer without having submitted; the copy's changes are the patch.
    NotSubmitted,
    /// Its turns, or rounds, were used up.
    Turns,
    /// The window was full.
    Tokens,
    /// Its time was over.
    Time,
    /// Too many turns in a row held no well-formed call.
    FormatErrors,
    /// The user ended it, or another attempt made it needless; it can go on.
    Interrupted,
    /// The model gave no usable answer.
    NoAnswer,
    /// The model or the sandbox failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What an attempt yields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The attempt's name.
    pub attempt: String,
    /// How it worked.
    pub strategy: Strategy,
    /// How it ended.
    pub ending: Ending,
    /// One git diff against the base; empty when nothing was changed.
    #[serde(with = "patch_text")]
    pub patch: Vec<u8>,
    /// The model's last words, without its reasoning.
    pub answer: String,
    /// Turns, or rounds, that were used.
    pub turns: usize,
    /// Tokens that were read, those of the cache included.
    pub prompt_tokens: usize,
    /// Tokens that were sampled.
    pub completion_tokens: usize,
    /// How long it took.
    pub seconds: f64,
}

/// A test that was written for the issue: a script that stands alone and prints, for what it looks at, one of three lines,
/// `Issue reproduced`, `Issue resolved` or `Other issues`; or a file of tests in the repository's own framework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenTest {
    /// What it claims, for people.
    pub name: String,
    /// What it looks at: tests that look at the same thing and claim different things cannot all be right. Empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asks: String,
    /// Its text: for Python, to be run in the repository's root, or of the file of tests.
    pub script: String,
    /// Where it goes in the repository's framework; none for a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<TestFile>,
}

/// How a file of tests goes into a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFile {
    /// Where it is put, relative to the root.
    pub path: String,
    /// Whether each of its tests is a claim of its own, as small models write them. Else all of them together are one.
    #[serde(default)]
    pub apart: bool,
}

impl WrittenTest {
    /// What a script prints: that the issue is there, that it is gone, that something else is wrong.
    pub const PHRASES: [&str; 3] = ["Issue reproduced", "Issue resolved", "Other issues"];
}

/// What the names of samples begin with that write tests: they stand in the journal where attempts' names do.
pub const TESTS_SAMPLE: &str = "tests-";

/// Whether a name in the journal is that of a sample that writes tests, and of no attempt.
pub fn writes_tests(name: &str) -> bool {
    name.starts_with(TESTS_SAMPLE)
}

/// Patches are bytes: as text where they are text, else as a list of numbers.
mod patch_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(patch: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(patch) {
            Ok(text) => text.serialize(serializer),
            Err(_) => patch.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => text.into_bytes(),
            Form::Bytes(bytes) => bytes,
        })
    }
}

/// Why an attempt cannot go on at all. What a model or its commands do wrong is no such error.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The copy or its sandbox.
    #[error(transparent)]
    Copy(#[from] IsolatedError),
    /// The sandbox was lost.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A template.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The repository's files.
    #[error("the repository's files cannot be read: {0}")]
    Files(#[from] std::io::Error),
    /// What the model must read does not fit its window.
    #[error("{0}")]
    WindowTooSmall(String),
}
