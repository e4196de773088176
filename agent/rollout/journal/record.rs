//! What is recorded.

use std::time::Duration;

use cwm_runtime::engine::{SamplingParameters, Usage};
use cwm_runtime::model::TokenId;
use cwm_runtime::source::{ChatMessage, Completion, Sampled, StopReason, ToolCall};
use cwm_tools::call::Tool;
use serde::{Deserialize, Serialize};

use crate::rollout::types::{Budget, Candidate, Guidance, Strategy, WrittenTest};
use crate::suite::{Comparison, TestCommand, TestRun};

/// The version of the journal's form. It grows when a field is renamed, removed or changes its meaning.
pub const SCHEMA: u32 = 1;

/// The names of all events. Lines with others were written by a later version, and are passed over.
pub(super) const EVENTS: [&str; 15] = [
    "run",
    "resumed",
    "baseline",
    "attempt",
    "message",
    "generation",
    "tool",
    "tests",
    "elision",
    "diverged",
    "notice",
    "candidate",
    "validation",
    "written_tests",
    "end",
];

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Record {
    /// The run began: everything that it depends on.
    Run(Box<RunRecord>),
    /// The run goes on after it was cut short.
    Resumed {
        /// The program's version.
        cwm_version: String,
        /// The model, which may be at another address.
        model: ModelRecord,
    },
    /// What the tests said before anything was changed.
    Baseline {
        /// One a command.
        runs: Vec<TestRun>,
        /// Tests that do not say the same each time.
        flaky: Vec<String>,
    },
    /// An attempt began.
    Attempt {
        /// Its name.
        attempt: String,
        /// How it works.
        strategy: Strategy,
        /// How its tokens are chosen.
        sampling: SamplingParameters,
    },
    /// A message was added to an attempt's conversation. What the model says stands in [`Record::Generation`] besides.
    Message {
        /// The attempt.
        attempt: String,
        /// The message.
        message: ChatMessage,
        /// Its tokens, where they can be counted.
        tokens: Option<usize>,
    },
    /// The model answered.
    Generation {
        /// The attempt.
        attempt: String,
        /// What it said.
        generated: Generated,
    },
    /// A tool was used.
    Tool {
        /// The attempt.
        attempt: String,
        /// What happened.
        used: ToolUsed,
    },
    /// Tests were run within an attempt.
    Tests {
        /// The attempt.
        attempt: String,
        /// One a command.
        runs: Vec<TestRun>,
    },
    /// Old tool outputs were taken out of the conversation.
    Elision {
        /// The attempt.
        attempt: String,
        /// Which, and where they are.
        elided: Elided,
    },
    /// When an attempt was done again, its steps became others than those that were recorded: all but the first ones count no more.
    Diverged {
        /// The attempt.
        attempt: String,
        /// How many of its steps still count, notices not among them.
        kept: usize,
    },
    /// Something a person should know.
    Notice {
        /// The attempt, if it concerns one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<String>,
        /// What.
        text: String,
    },
    /// An attempt ended with this candidate.
    Candidate(Box<Candidate>),
    /// A candidate was tried in a fresh copy.
    Validation(Box<Verdict>),
    /// A sample wrote tests for the issue.
    WrittenTests {
        /// The sample's name, which stands where an attempt's does.
        attempt: String,
        /// What it wrote.
        tests: Vec<WrittenTest>,
    },
    /// The run ended.
    End {
        /// The attempt that was chosen.
        chosen: Option<String>,
        /// Whether its patch is verified.
        verified: bool,
        /// How the run ended, in the words of the exit code: `success`, `unverified`, `budget_exhausted`.
        outcome: String,
        /// How long the run took, without the time before it was resumed.
        seconds: f64,
    },
}

impl Record {
    /// The attempt that it belongs to.
    pub fn attempt(&self) -> Option<&str> {
        match self {
            Record::Attempt { attempt, .. }
            | Record::Message { attempt, .. }
            | Record::Generation { attempt, .. }
            | Record::Tool { attempt, .. }
            | Record::Tests { attempt, .. }
            | Record::Elision { attempt, .. }
            | Record::Diverged { attempt, .. }
            | Record::WrittenTests { attempt, .. } => Some(attempt),
            Record::Notice { attempt, .. } => attempt.as_deref(),
            Record::Candidate(candidate) => Some(&candidate.attempt),
            Record::Validation(verdict) => Some(&verdict.attempt),
            Record::Run(_) | Record::Resumed { .. } | Record::Baseline { .. } | Record::End { .. } => None,
        }
    }
}

/// A model, so that another one is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// What the user called it: a name, a path, an address.
    pub argument: String,
    /// Its own name.
    pub name: String,
    /// Tells its weights from others, where they are at hand.
    pub fingerprint: Option<String>,
    /// Its window in tokens, where that is known.
    pub context: Option<usize>,
}

/// Everything that a run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The program's version.
    pub cwm_version: String,
    /// The run's id.
    pub id: String,
    /// The user's repository.
    pub repository: String,
    /// Where commands start, relative to the root.
    pub start: String,
    /// The commit that attempts start from: the user's, or one of the uncommitted work on top of it.
    pub base_commit: String,
    /// How many uncommitted files are part of that commit.
    #[serde(default)]
    pub uncommitted: usize,
    /// The issue.
    pub issue: String,
    /// The model.
    pub model: ModelRecord,
    /// How attempts work.
    pub strategy: Strategy,
    /// Whether every second one works by the other strategy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mixed: bool,
    /// How many attempts at most.
    pub samples: usize,
    /// The seed of the first.
    pub seed: u64,
    /// What the user said of how tokens are chosen; the attempts' own values stand in their records.
    pub sampling: SamplingParameters,
    /// What an attempt may use.
    pub budget: Budget,
    /// How long the run may take, each time that it is begun or goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time: Option<Duration>,
    /// How the repository is tested.
    pub tests: Vec<TestCommand>,
    /// What its files tell those who work on it.
    pub guidance: Vec<Guidance>,
    /// The command line, without the program's name: `cwm runs resume` reads it again for what stands nowhere else here.
    pub arguments: Vec<String>,
    /// Where the command was given, which relative paths in it refer to.
    pub directory: String,
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The text behind the assistant prefix.
    pub text: String,
    /// What the answer began with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Its tokens, where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenId>,
    /// The calls that a server told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub reason: StopReason,
    /// What it cost.
    pub usage: Usage,
    /// The seed it was sampled with.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Generated {
    /// An answer that came whole, or as far as it came, after so many seconds.
    pub(in crate::rollout) fn of(
        completion: Completion,
        prefix: String,
        seed: u64,
        seconds: f64,
    ) -> Generated {
        Generated {
            text: completion.text,
            prefix,
            tokens: completion.tokens,
            calls: completion.calls,
            reason: completion.reason,
            usage: completion.usage,
            seed,
            seconds,
        }
    }

    /// The assistant's message that it makes, by the tokens that were sampled where they are known. Calls are for those to add who
    /// answer them.
    pub(in crate::rollout) fn message(&self) -> ChatMessage {
        let sampled = (!self.tokens.is_empty()).then(|| Sampled {
            start: self.prefix.len(),
            tokens: self.tokens.clone(),
        });
        ChatMessage {
            sampled,
            ..ChatMessage::new("assistant", format!("{}{}", self.prefix, self.text))
        }
    }
}

/// What a tool did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolUsed {
    /// Which.
    pub tool: Tool,
    /// What it was called with.
    pub content: String,
    /// What it said, as the model reads it, before it is cut to its share of the window.
    pub result: String,
    /// Whether it did what it was asked: an edit that matched, a patch that was taken. A command that ran did, whatever its status.
    pub done: bool,
    /// A patch that was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted: Option<String>,
    /// How many bytes at the result's end stay when it is cut: why the session ended, what to do about a submission.
    #[serde(default)]
    pub closing: usize,
    /// The output that `result` shows only head and tail of, if it is so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongOutput>,
    /// How long it took.
    pub seconds: f64,
}

impl ToolUsed {
    /// A use that says all it has to say, and took no time to speak of.
    pub(crate) fn new(tool: Tool, content: &str, result: String, done: bool) -> ToolUsed {
        ToolUsed {
            tool,
            content: content.to_owned(),
            result,
            done,
            submitted: None,
            closing: 0,
            long: None,
            seconds: 0.0,
        }
    }
}

/// An output of which a session passes on only head and tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongOutput {
    /// The bytes that the command printed.
    pub bytes: u64,
    /// And the line ends among them.
    pub lines: u64,
    /// Where in the result the line begins that stands for what is missing.
    pub gap: usize,
    /// The file in the sandbox that keeps it.
    pub inside: Option<KeptFile>,
    /// The file in the run's folder that keeps it.
    pub outside: Option<KeptFile>,
}

/// A file that keeps a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Its path: in the sandbox, or from the run's folder.
    pub path: String,
    /// When it does not hold the whole: how many bytes of the beginning it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bytes: Option<u64>,
}

/// What was taken out of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elided {
    /// Indices of the messages whose content was replaced.
    pub messages: Vec<usize>,
    /// Where what stood in them is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ElidedResult>,
    /// The conversation's tokens before.
    pub tokens_before: usize,
    /// And after.
    pub tokens_after: usize,
}

/// A result that was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElidedResult {
    /// The message's index.
    pub message: usize,
    /// The file in the sandbox that the model was told of.
    pub inside: Option<KeptFile>,
    /// The file in the run's folder.
    pub outside: Option<KeptFile>,
}

impl Verdict {
    /// One of which nothing is known yet.
    pub fn new(attempt: &str) -> Verdict {
        Verdict {
            attempt: attempt.to_owned(),
            refused: None,
            runs: Vec::new(),
            changes: Comparison::default(),
            flaky: Vec::new(),
            test_files: Vec::new(),
            verified: false,
            but_for_still_failing: false,
            but_for_nothing_failing: false,
            postponed: false,
            remarks: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// What a candidate did in a fresh copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The attempt that it is of.
    pub attempt: String,
    /// Why it could not be tried: it does not apply, it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the tests said, one a command.
    pub runs: Vec<TestRun>,
    /// What changed against the baseline, flaky tests left out.
    pub changes: Comparison,
    /// Tests that do not say the same each time.
    pub flaky: Vec<String>,
    /// Test files that the patch changes or removes; what it does to them is no evidence and was not applied.
    pub test_files: Vec<String>,
    /// Whether a test of the issue passes now and none that passed before fails.
    pub verified: bool,
    /// Whether it would be verified if those tests were left aside that failed before and fail still.
    #[serde(default)]
    pub but_for_still_failing: bool,
    /// Whether it would be verified if only something had failed before: then tests that were written for the issue can show that it is gone.
    #[serde(default)]
    pub but_for_nothing_failing: bool,
    /// Whether nothing speaks against it so far, and tests that passed before are still to be run: they are before it is chosen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub postponed: bool,
    /// Why it is not verified, or what remains uncertain; for people.
    pub remarks: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}
