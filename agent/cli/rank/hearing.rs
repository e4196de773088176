//! Tests for an issue: written by a model, or given.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use clap::Args;
use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::CallFormat;

use super::crew::Crew;
use super::{Bench, no_verdict, report};
use crate::cli::config::Layers;
use crate::cli::fix::DEFAULT_MODEL;
use crate::cli::model::{self, OpenArguments, Opened, model_failure};
use crate::cli::{Environment, ExitCode, Failure, issue};
use crate::prompts::Prompts;
use crate::rollout::journal::{Journal, Observer, Record};
use crate::rollout::{Budget, Copies, Problem, Strategy, TestFile, Workbench, WrittenTest};
use crate::scaling::{Baseline, Case, Decision, Hearing, IssueTest, MIN_EVIDENCE, Trials, decide as decided};
use crate::suite::{TestCommand, sites};

/// Samples of tests unless told.
const SAMPLES: u32 = 4;

/// Where tests for the issue come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tests for the issue")]
pub(super) struct HearingArguments {
    /// Have a model write tests for the issue in a file; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    pub(super) issue: Option<PathBuf>,
    /// Have a model write tests for this issue
    #[arg(short, long, value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// A test of the issue: a script in Python that prints `Issue reproduced`, `Issue resolved` or `Other issues`, or a test file for the
    /// repository's own framework; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with_all = ["issue", "message"])]
    pub(super) issue_test: Vec<PathBuf>,
    /// How often the model writes tests [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    issue_tests: Option<u32>,
    /// How probable it must be, in percent, that a patch is right which only such tests verify [default: 80]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_evidence: Option<u8>,
    /// The model that writes them: a name of `cwm model list`, a path, or a server's address
    #[arg(long, value_name = "M")]
    model: Option<OsString>,
    /// The same seed gives the same tests [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    open: OpenArguments,
}

impl HearingArguments {
    /// With what the configuration says where the flags say nothing.
    pub(super) fn settled(
        &self,
        layers: &Layers,
        environment: &Environment,
    ) -> Result<HearingArguments, Failure> {
        let mut own = self.clone();
        if self.asks_a_model() {
            own.model = model::settled(own.model.take(), layers, environment)?;
        }
        own.seed = Some(layers.seed(own.seed).value);
        own.open = own.open.settled(layers);
        Ok(own)
    }

    /// From 0 to 1.
    pub(super) fn min_evidence(&self) -> f64 {
        self.min_evidence
            .map_or(MIN_EVIDENCE, |percent| f64::from(percent) / 100.0)
    }

    fn asks_a_model(&self) -> bool {
        self.issue.is_some() || self.message.is_some()
    }

    /// The issue that tests are to be written for.
    pub(super) fn issue(&self) -> anyhow::Result<Option<String>> {
        if !self.asks_a_model() {
            return Ok(None);
        }
        issue::read(self.message.as_deref(), self.issue.as_deref()).map(Some)
    }

    /// The tests that were given.
    pub(super) fn given(&self, copies: &Copies, commands: &[TestCommand]) -> anyhow::Result<Vec<IssueTest>> {
        let read = |path: &PathBuf| -> anyhow::Result<IssueTest> {
            let script = std::fs::read_to_string(path).with_context(|| {
                Failure::new(
                    ExitCode::Usage,
                    format!("The test {} cannot be read.", path.display()),
                )
            })?;
            let file = file_of_tests(path, &script, copies, commands)?;
            let written = WrittenTest {
                name: path.display().to_string(),
                asks: String::new(),
                script,
                file,
            };
            Ok(IssueTest {
                given: true,
                ..IssueTest::new(written)
            })
        };
        self.issue_test.iter().map(read).collect()
    }
}

/// Where a test that was given goes in the repository's framework; none for a script, which is Python and prints what scripts print, or has no
/// framework that would run it.
fn file_of_tests(
    path: &Path,
    text: &str,
    copies: &Copies,
    commands: &[TestCommand],
) -> anyhow::Result<Option<TestFile>> {
    let python = path.extension().is_some_and(|end| end == "py");
    if python && WrittenTest::PHRASES.iter().any(|phrase| text.contains(phrase)) {
        return Ok(None);
    }
    // A file within the repository goes beside where it stands.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let about = whole
        .strip_prefix(&copies.snapshot.root)
        .ok()
        .and_then(Path::to_str);
    let name = path.to_string_lossy();
    let sites = sites(
        &copies.snapshot.tree(),
        &copies.start,
        commands,
        about.unwrap_or_default(),
    );
    match sites.into_iter().find(|site| site.dialect.takes(&name)) {
        Some(site) => Ok(Some(TestFile {
            path: site.path,
            apart: false,
        })),
        None if python => Ok(None),
        None => Err(Failure::new(
            ExitCode::Usage,
            format!("No test command of this repository can run {} alone.", path.display()),
        )
        .with_hint("A test is a file for cargo test, go test, Jest, Vitest, Mocha, node --test, pytest or unittest, or a script in Python.")
        .into()),
    }
}

/// Nobody follows the tests as they are written.
struct Silent;

impl Observer for Silent {
    fn recorded(&self, _: &Record) {}

    fn generated(&self, _: &str, _: usize) {}
}

/// Has tests written and runs the patches on them.
pub(super) fn decide(
    bench: &Bench<'_>,
    issue: &str,
    cases: Vec<Case<'_>>,
    before: &Baseline,
    trials: &Trials<'_>,
    crew: &mut Crew<'_>,
) -> anyhow::Result<Decision> {
    let arguments = &bench.arguments.hearing;
    let name = arguments.model.clone().unwrap_or_else(|| DEFAULT_MODEL.into());
    let target = model::resolve_or_pull(&name, bench.environment, crew.printer)?;
    let Opened { model, .. } = arguments
        .open
        .open_for_repository(target, bench.environment, crew.printer)?;
    let info = model.info().map_err(|error| model_failure(&error))?;
    let usual = Budget::default();
    let budget = Budget {
        context: info.context.map_or(usual.context, |most| most.min(usual.context)),
        ..usual
    };
    let prompts =
        Prompts::built_in().map_err(|error| Failure::new(ExitCode::Internal, format!("{error}.")))?;
    let journal = Journal::create(&bench.run.join("journal.jsonl"), Arc::new(Silent))?;
    let snapshot = &bench.copies.snapshot;
    let problem = Problem {
        issue: issue.to_owned(),
        root: snapshot.root.clone(),
        tree: snapshot.tree(),
        tests: bench.commands.to_vec(),
        baseline: before.runs.clone(),
        guidance: Vec::new(),
        caches: bench.environment.cache_folder(),
        ranking: OnceLock::new(),
        pack: OnceLock::new(),
    };
    let hearing = Hearing {
        strategy: if info.calls == CallFormat::Tags {
            Strategy::Agentic
        } else {
            Strategy::OneShot
        },
        samples: arguments.issue_tests.unwrap_or(SAMPLES) as usize,
        parallel: 8,
        sampling: SamplingParameters {
            seed: arguments.seed.unwrap_or(0),
            ..SamplingParameters::default()
        },
        fixed_temperature: false,
        budget,
        flaky: before.flaky.clone(),
    };
    let (rule, weights) = (bench.arguments.rule(), bench.arguments.weights()?);
    let control = crew.control;
    let done = crew.work(1, 1, "writing tests for the issue", |_| {
        let workbench = Workbench {
            problem: &problem,
            model: &*model,
            prompts: &prompts,
            copies: bench.copies,
            journal: &journal,
            control,
        };
        decided(
            &workbench,
            &hearing,
            cases.clone(),
            trials,
            None,
            (rule, &weights),
        )
    });
    let decision = done.into_iter().next().context("No tests were written.")?;
    let decision = match decision {
        Ok(decision) => decision,
        Err(_) if control.stopped() => {
            return Err(no_verdict(&crate::scaling::ValidateError::Interrupted).into());
        }
        Err(error) => return Err(Failure::new(ExitCode::Environment, format!("{error}.")).into()),
    };
    report::heard(crew.printer, decision.tests.len(), decision.tests.len());
    Ok(decision)
}
