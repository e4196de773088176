//! A repository, a script, and an attempt at it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cwm::prompts::Prompts;
use cwm::rollout::journal::{Journal, NoObserver};
use cwm::rollout::{
    AttemptOptions, Budget, Candidate, Control, Copies, Problem, RolloutError, Task, Workbench, one_shot,
};
use cwm::suite::{RunOptions, TestCommand, TestRun, run};
use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::{Model, ScriptAnswer, ScriptModel};
use cwm_tools::isolated::{Backend, Walls};
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::SnapshotOptions;

use crate::copies::Repository;

/// Everything that attempts at one issue need.
pub(crate) struct Scene {
    pub(crate) repository: Repository,
    pub(crate) problem: Problem,
    pub(crate) copies: Copies,
    pub(crate) prompts: Prompts,
    pub(crate) control: Control,
    pub(crate) options: AttemptOptions,
    run: tempfile::TempDir,
}

impl Scene {
    /// A repository that the script makes, and an issue; tested by these commands.
    pub(crate) fn new(script: &str, issue: &str, tests: &[&str]) -> Scene {
        let repository = Repository::new(script);
        let run_folder = tempfile::tempdir().unwrap();
        let view = MachineView::look(std::env::vars_os());
        let walls = Walls {
            backend: Backend::Namespaces,
            program: env!("CARGO_BIN_EXE_cwm").into(),
            policy: view.policy(&BTreeMap::<OsString, OsString>::new()),
            shown: Vec::new(),
        };
        let snapshot = walls
            .snapshot(&repository.root, run_folder.path(), &SnapshotOptions::default())
            .unwrap();
        let copies = Copies {
            snapshot,
            walls,
            start: PathBuf::new(),
            session: SessionOptions::default(),
        };
        let tests: Vec<TestCommand> = tests.iter().map(|test| TestCommand::given(test)).collect();
        let problem = Problem {
            issue: issue.to_owned(),
            root: repository.root.clone(),
            tree: copies.snapshot.tree(),
            baseline: baseline(&copies, &tests),
            tests,
            guidance: Vec::new(),
            caches: None,
            ranking: OnceLock::new(),
            pack: OnceLock::new(),
        };
        Scene {
            repository,
            problem,
            copies,
            prompts: Prompts::built_in().unwrap(),
            control: Control::default(),
            options: AttemptOptions {
                task: Task::Repair,
                index: 0,
                name: "attempt-1".to_owned(),
                sampling: SamplingParameters {
                    temperature: 0.0,
                    ..SamplingParameters::default()
                },
                budget: Budget::default(),
            },
            run: run_folder,
        }
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.run.path().join("journal.jsonl")
    }

    /// An attempt with a fresh journal.
    pub(crate) fn attempt(&self, answers: &[&str]) -> (Candidate, ScriptModel) {
        let model = script(answers);
        let path = self.journal_path();
        let _ = std::fs::remove_file(&path);
        let journal = Journal::create(&path, Arc::new(NoObserver)).unwrap();
        let candidate = self.attempt_with(&model, &journal).unwrap();
        (candidate, model)
    }

    /// An attempt with a journal of one's own.
    pub(crate) fn attempt_with(
        &self,
        model: &dyn Model,
        journal: &Journal,
    ) -> Result<Candidate, RolloutError> {
        let bench = Workbench {
            problem: &self.problem,
            model,
            prompts: &self.prompts,
            copies: &self.copies,
            journal,
            control: &self.control,
        };
        one_shot::attempt(&bench, &self.options)
    }
}

/// What the tests say before anything is changed.
fn baseline(copies: &Copies, tests: &[TestCommand]) -> Vec<TestRun> {
    let mut copy = copies.open("baseline").unwrap();
    let options = RunOptions::default();
    let runs = tests
        .iter()
        .map(|test| run(copy.session(), test, &options).unwrap());
    runs.collect()
}

/// A model that answers so.
pub(crate) fn script(answers: &[&str]) -> ScriptModel {
    let answers = answers.iter().map(|&answer| ScriptAnswer::new(answer));
    ScriptModel::new(answers, None)
}

/// The prompt of a request, as one text.
pub(crate) fn prompt(model: &ScriptModel, request: usize) -> String {
    format!("{:?}", model.requests()[request].prompt).replace("\\n", "\n")
}

/// A file of the repository after a patch.
pub(crate) fn after(scene: &Scene, candidate: &Candidate, path: &str) -> String {
    scene.repository.tree_after(&candidate.patch);
    let clone = scene.repository.root.with_file_name("applied");
    std::fs::read_to_string(Path::new(&clone).join(path)).unwrap()
}
