//! What the tests of attempts share: a repository, copies of it, and a model that plays a script in the form that the test wants.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use cwm::prompts::Prompts;
use cwm::rollout::journal::{self, Journal, NoObserver, Observer, Record};
use cwm::rollout::{
    AttemptOptions, Budget, Candidate, Control, Copies, Guidance, Problem, RolloutError, Task, Workbench,
    agentic,
};
use cwm::suite::{TestCommand, TestRun};
use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::{
    CallFormat, ChatMessage, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt,
    ScriptAnswer, ScriptModel, StopReason, ToolCall, ToolDefinition,
};
use cwm_tools::isolated::{Backend, Walls};
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::SnapshotOptions;
use tempfile::TempDir;

/// A repository with a run on it.
pub(crate) struct Bench {
    _folder: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) problem: Problem,
    pub(crate) copies: Copies,
    pub(crate) prompts: Prompts,
    pub(crate) control: Control,
    journals: PathBuf,
}

impl Bench {
    /// A run on a repository that has the folder's files.
    pub(crate) fn new(files: &Path, issue: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(folder.path()).unwrap();
        let root = base.join("repository");
        copy_folder(files, &root);
        git(&root, &["init", "-q", "-b", "main"]);
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "-qm", "base"]);
        let (run, journals) = (base.join("run"), base.join("journals"));
        fs::create_dir(&run).unwrap();
        fs::create_dir(&journals).unwrap();
        let view = MachineView::look(std::env::vars_os());
        let walls = Walls {
            backend: Backend::Namespaces,
            program: env!("CARGO_BIN_EXE_cwm").into(),
            policy: view.policy(&BTreeMap::<OsString, OsString>::new()),
            shown: Vec::new(),
        };
        let snapshot = walls.snapshot(&root, &run, &SnapshotOptions::default()).unwrap();
        Bench {
            problem: Problem {
                issue: issue.to_owned(),
                root: snapshot.root.clone(),
                tree: snapshot.tree(),
                tests: Vec::new(),
                baseline: Vec::new(),
                guidance: Vec::new(),
                caches: None,
                ranking: OnceLock::new(),
                pack: OnceLock::new(),
            },
            copies: Copies {
                snapshot,
                walls,
                start: PathBuf::new(),
                session: SessionOptions::default(),
            },
            prompts: Prompts::built_in().unwrap(),
            control: Control::default(),
            journals,
            root,
            _folder: folder,
        }
    }

    /// The same on the small repository that most tests share.
    pub(crate) fn shared() -> Bench {
        Bench::new(&fixtures().join("repository"), "`greet` shouts at nobody.")
    }

    pub(crate) fn with_tests(mut self, tests: Vec<TestCommand>, baseline: Vec<TestRun>) -> Bench {
        (self.problem.tests, self.problem.baseline) = (tests, baseline);
        self
    }

    pub(crate) fn with_guidance(mut self, path: &str, text: &str) -> Bench {
        self.problem.guidance.push(Guidance {
            path: path.to_owned(),
            text: text.to_owned(),
        });
        self
    }

    /// Where a journal of that name lies.
    pub(crate) fn journal_path(&self, name: &str) -> PathBuf {
        self.journals.join(name)
    }

    /// Attempts with a journal of that name, which is taken up when it exists.
    pub(crate) fn run(
        &self,
        model: &dyn Model,
        options: &AttemptOptions,
        journal: &str,
    ) -> Result<Candidate, RolloutError> {
        self.run_observed(model, options, journal, Arc::new(NoObserver))
    }

    pub(crate) fn run_observed(
        &self,
        model: &dyn Model,
        options: &AttemptOptions,
        journal: &str,
        observer: Arc<dyn Observer>,
    ) -> Result<Candidate, RolloutError> {
        self.run_controlled(model, options, journal, observer, &self.control)
    }

    pub(crate) fn run_controlled(
        &self,
        model: &dyn Model,
        options: &AttemptOptions,
        journal: &str,
        observer: Arc<dyn Observer>,
        control: &Control,
    ) -> Result<Candidate, RolloutError> {
        let path = self.journal_path(journal);
        let journal = if path.exists() {
            Journal::resume(&path, observer)
        } else {
            Journal::create(&path, observer)
        };
        let journal = journal.unwrap();
        let bench = Workbench {
            control,
            ..self.bench(model, &journal)
        };
        agentic::attempt(&bench, options)
    }

    pub(crate) fn bench<'a>(&'a self, model: &'a dyn Model, journal: &'a Journal) -> Workbench<'a> {
        Workbench {
            problem: &self.problem,
            model,
            prompts: &self.prompts,
            copies: &self.copies,
            journal,
            control: &self.control,
        }
    }

    /// What was recorded under that name.
    pub(crate) fn records(&self, journal: &str) -> Vec<Record> {
        let lines = journal::read(&self.journal_path(journal)).unwrap();
        lines.into_iter().map(|line| line.record).collect()
    }

    /// The conversation under that name, without the system prompt, and with the repository's path under a fixed name.
    pub(crate) fn conversation(&self, journal: &str) -> String {
        let mut text = String::new();
        for record in self.records(journal) {
            match record {
                Record::Message { message, .. } if message.role != "system" => {
                    text += &format!("=== {}{}\n{}\n", message.role, calls(&message), message.content);
                }
                Record::Elision { elided, .. } => {
                    assert!(elided.tokens_after < elided.tokens_before);
                    text += &format!("=== (taken out: {:?})\n", elided.messages);
                }
                Record::Notice { text: said, .. } => text += &format!("=== (notice) {said}\n"),
                _ => {}
            }
        }
        self.masked(&text)
    }

    /// A text without what differs from machine to machine: the repository's path, the user's home, and how many tokens they make.
    pub(crate) fn masked(&self, text: &str) -> String {
        let home = self.copies.walls.policy.home.to_str().unwrap();
        let text = text
            .replace(self.root.to_str().unwrap(), "/ROOT")
            .replace(&format!(", {home}."), ", /HOME.");
        let mut masked = String::new();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("* Remaining tokens: ") {
                Some(_) => masked.push_str("* Remaining tokens: N\n"),
                None => masked.push_str(line),
            }
        }
        masked
    }
}

fn calls(message: &ChatMessage) -> String {
    let ids = message.call_id.iter().map(|id| format!(" answers {id}"));
    let calls = message
        .calls
        .iter()
        .map(|call| format!(" calls {} {} {}", call.id, call.name, call.arguments));
    ids.chain(calls).collect()
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rollout/fixtures")
}

/// The attempt that tests make.
pub(crate) fn options() -> AttemptOptions {
    AttemptOptions {
        task: Task::Repair,
        index: 0,
        name: "attempt-1".to_owned(),
        sampling: SamplingParameters::default(),
        budget: Budget::default(),
    }
}

/// A turn of CWM's: reasoning and an answer, as it stands behind the prefix.
pub(crate) fn turn(answer: &str) -> ScriptAnswer {
    ScriptAnswer::new(format!("I see.\n</think>\n{answer}"))
}

/// A turn that calls a tool.
pub(crate) fn call(tool: &str, content: &str) -> ScriptAnswer {
    turn(&format!("<tool: {tool}>\n{content}\n</tool>"))
}

/// A model that plays a script in another form than CWM's, or that tells its tokens.
pub(crate) struct Talker {
    pub(crate) script: ScriptModel,
    pub(crate) calls: CallFormat,
    /// Answers that are JSON with a `calls` list are told apart from text, as servers do.
    pub(crate) server: bool,
    /// Whether it counts tokens.
    pub(crate) counts: bool,
    /// Whether it tells its tokens.
    pub(crate) tokens: bool,
}

impl Talker {
    pub(crate) fn new(answers: impl IntoIterator<Item = ScriptAnswer>, calls: CallFormat) -> Talker {
        Talker {
            script: ScriptModel::new(answers, None),
            calls,
            server: false,
            counts: true,
            tokens: false,
        }
    }

    fn told_apart(completion: &mut Completion, turn: usize) {
        #[derive(serde::Deserialize)]
        struct Said {
            #[serde(default)]
            text: String,
            calls: Vec<(String, String)>,
        }
        let Ok(said) = serde_json::from_str::<Said>(&completion.text) else {
            return;
        };
        completion.text = said.text;
        let calls = said.calls.into_iter().enumerate();
        completion.calls = calls
            .map(|(index, (name, arguments))| ToolCall {
                id: format!("call-{turn}-{index}"),
                name,
                arguments,
            })
            .collect();
    }
}

impl Model for Talker {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        Ok(ModelInfo {
            calls: self.calls,
            ..self.script.info()?
        })
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        self.script.count_tokens(text).filter(|_| self.counts)
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        self.script.count_prompt(prompt, tools).filter(|_| self.counts)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let mut completions = self.script.generate(request, sink)?;
        let turn = self.script.requests().len();
        for completion in &mut completions {
            if self.server && completion.reason == StopReason::Stop {
                Talker::told_apart(completion, turn);
            }
            if self.tokens {
                completion.tokens = (0..completion.usage.completion_tokens as u32).collect();
            }
        }
        Ok(completions)
    }
}

fn git(root: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=Tester", "-c", "user.email=tester@example.com"])
        .args(arguments)
        .current_dir(root)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
