//! From the choices to everything that a run needs: the model, the run's folder, the snapshot, the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cwm_runtime::source::{Model, ModelInfo};
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::runs::Run;
use cwm_tools::workspace::{self, Snapshot};

use super::choices::Choices;
use super::words::words;
use super::{FixArguments, guidance};
use crate::cli::model::{self, Opened, model_failure};
use crate::cli::walls::{self, begin_run, no_copy, start_folder};
use crate::cli::{Environment, ExitCode, Failure, Printer};
use crate::prompts::Prompts;
use crate::rollout::journal::{Journal, ModelRecord, Observer, Record, RunRecord};
use crate::rollout::{Budget, Copies};
use crate::scaling::Plan;
use crate::suite::{self, TestCommand};

/// Where a run begins.
pub(crate) enum Beginning {
    /// With an issue.
    New {
        /// Its text.
        issue: String,
    },
    /// Where an earlier process left it.
    Resumed {
        /// Its folder.
        run: Run,
        /// What it depends on.
        record: Box<RunRecord>,
    },
}

/// Everything that a run needs.
pub(super) struct Prepared {
    pub(super) run: Run,
    pub(super) journal: Journal,
    pub(super) record: RunRecord,
    pub(super) copies: Copies,
    pub(super) model: Arc<dyn Model>,
    pub(super) prompts: Prompts,
    pub(super) plan: Plan,
}

/// The journal's place in a run's folder.
pub(crate) fn journal_path(run: &Path) -> PathBuf {
    run.join("journal.jsonl")
}

/// Prepares a new run, or one that goes on.
pub(super) fn prepare(
    beginning: Beginning,
    choices: &Choices,
    arguments: &FixArguments,
    environment: &Environment,
    observer: Arc<dyn Observer>,
    printer: &mut Printer,
) -> anyhow::Result<Prepared> {
    // What is quickly found wrong comes before what takes time.
    if let Beginning::New { .. } = beginning {
        workspace::working_tree(&arguments.repo).map_err(no_copy)?;
    }
    let prompts = match &choices.prompts {
        Some(folder) => Prompts::from_folder(folder),
        None => Prompts::built_in(),
    };
    let prompts = prompts.map_err(|error| Failure::new(ExitCode::Usage, format!("{error}.")))?;
    let walls = walls::walls(&arguments.walls, &arguments.limits, environment)?;
    let target = model::resolve_or_pull(&choices.model, environment, printer)?;
    let Opened { model, defaults } = arguments.open.open_for_repository(target, environment, printer)?;
    let info = model.info().map_err(|error| model_failure(&error))?;
    let named = model_record(choices, &info);
    let (run, snapshot, journal, record, plan) = match beginning {
        Beginning::New { issue } => {
            let plan = choices.plan(&info, &defaults)?;
            let run = begin_run(environment, printer)?;
            let uncommitted = !arguments.copy.committed_only;
            let (repo, folder) = (&arguments.repo, &run.path);
            let snapshot = walls::snapshot(&walls, repo, folder, uncommitted, uncommitted, printer)?;
            let record = describe(issue, choices, arguments, &plan, &run, &snapshot, named)?;
            let journal = Journal::create(&journal_path(&run.path), observer)?;
            journal.append(&Record::Run(Box::new(record.clone())))?;
            run.keep_for_resume().map_err(no_copy)?;
            (run, snapshot, journal, record, plan)
        }
        Beginning::Resumed { run, record } => {
            let snapshot = Snapshot::open(&run.path).map_err(no_copy)?;
            let journal = Journal::resume(&journal_path(&run.path), observer)?;
            if (&record.model.name, &record.model.fingerprint) != (&named.name, &named.fingerprint) {
                printer.warning(format_args!(
                    "the run began with another model ({}); what it said until now stays",
                    record.model.name
                ));
            }
            journal.append(&Record::Resumed {
                cwm_version: env!("CARGO_PKG_VERSION").to_owned(),
                model: named,
            })?;
            let fresh = choices.plan(&info, &defaults)?;
            let plan = Plan {
                strategy: record.strategy,
                mixed: record.mixed,
                samples: record.samples,
                sampling: record.sampling.clone(),
                budget: narrowed(&record.budget, &fresh.budget),
                ..fresh
            };
            (run, snapshot, journal, *record, plan)
        }
    };
    let copies = Copies {
        snapshot,
        walls,
        start: PathBuf::from(&record.start),
        session: SessionOptions {
            command_timeout: plan.budget.command_timeout,
            ..SessionOptions::default()
        },
    };
    Ok(Prepared {
        run,
        journal,
        record,
        copies,
        model,
        prompts,
        plan,
    })
}

/// A run's budget, as far as the window of the model that goes on allows it.
fn narrowed(begun: &Budget, now: &Budget) -> Budget {
    Budget {
        context: begun.context.min(now.context),
        action_tokens: begun.action_tokens.min(now.action_tokens),
        result_tokens: begun.result_tokens.min(now.result_tokens),
        prompt_tokens: begun.prompt_tokens.min(now.prompt_tokens),
        ..begun.clone()
    }
}

fn model_record(choices: &Choices, info: &ModelInfo) -> ModelRecord {
    ModelRecord {
        argument: choices.model.to_string_lossy().into_owned(),
        name: info.name.clone(),
        fingerprint: info.fingerprint.clone(),
        context: info.context,
    }
}

fn describe(
    issue: String,
    choices: &Choices,
    arguments: &FixArguments,
    plan: &Plan,
    run: &Run,
    snapshot: &Snapshot,
    model: ModelRecord,
) -> anyhow::Result<RunRecord> {
    let start = start_folder(&arguments.repo, &snapshot.root);
    let tree = snapshot.tree();
    let tests = if choices.tests.is_empty() {
        suite::find(&tree.join(&start))
    } else {
        choices
            .tests
            .iter()
            .map(|test| TestCommand::given(test))
            .collect()
    };
    Ok(RunRecord {
        cwm_version: env!("CARGO_PKG_VERSION").to_owned(),
        id: run.id.clone(),
        repository: snapshot.root.display().to_string(),
        start: start.display().to_string(),
        base_commit: snapshot.base_commit.to_string(),
        uncommitted: snapshot.uncommitted,
        issue,
        model,
        strategy: plan.strategy,
        mixed: plan.mixed,
        samples: plan.samples,
        seed: choices.seed,
        sampling: plan.sampling.clone(),
        budget: plan.budget.clone(),
        max_time: choices.max_time,
        tests,
        guidance: guidance::guidance(&tree),
        arguments: words(arguments),
        directory: std::env::current_dir().map_or_else(|_| String::new(), |path| path.display().to_string()),
    })
}
