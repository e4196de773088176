//! What the flags and the configuration amount to for one run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::formats::GenerationDefaults;
use cwm_runtime::source::{CallFormat, ModelInfo};

use super::{AcceptChoice, FixArguments, StrategyChoice};
use crate::cli::config::Layers;
use crate::cli::model;
use crate::cli::{Environment, ExitCode, Failure};
use crate::rollout::one_shot::Fixed;
use crate::rollout::{Budget, Strategy};
use crate::scaling::{MIN_EVIDENCE, Plan, TEST_BUDGET, ValidateOptions};
use crate::suite::RunOptions;

/// The model that is used when nobody names one: it answers on two cores.
pub(crate) const DEFAULT_MODEL: &str = "qwen2.5-coder-1.5b";
/// A model of this machine with fewer parameters does better with one-shot attempts.
const SMALL: u64 = 7_000_000_000;
/// How many samples of tests are written where no test fails before anything is changed.
const ISSUE_TESTS: usize = 4;
/// The window that is used of a model that says nothing of its own.
const UNKNOWN_CONTEXT: usize = 32_768;

/// The choices for a run.
pub(super) struct Choices {
    pub(super) model: OsString,
    pub(super) strategy: StrategyChoice,
    pub(super) samples: Option<usize>,
    /// Whether attempts behind a verified one are made.
    pub(super) all_attempts: bool,
    /// How many samples of tests are written; by what failed before where the user does not say.
    pub(super) issue_tests: Option<usize>,
    /// From 0 to 1.
    pub(super) min_evidence: f64,
    pub(super) parallel: usize,
    pub(super) seed: u64,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) tests: Vec<String>,
    pub(super) test_timeout: Duration,
    pub(super) test_budget: Duration,
    pub(super) max_turns: Option<usize>,
    pub(super) max_tokens: Option<usize>,
    /// Tokens of files that an agentic attempt is given; 0 for none.
    pub(super) pack_tokens: Option<usize>,
    pub(super) max_time: Option<Duration>,
    pub(super) command_timeout: Option<Duration>,
    pub(super) rounds: Option<usize>,
    pub(super) accept: AcceptChoice,
    pub(super) prompts: Option<PathBuf>,
    /// Where what is known of repositories is kept.
    pub(super) caches: Option<PathBuf>,
}

/// The arguments with what the configuration says where the flags say nothing.
///
/// # Errors
///
/// When the repository's own file names a model that would have to be fetched: that is for the user to say.
pub(super) fn settled(
    arguments: &FixArguments,
    layers: &Layers,
    environment: &Environment,
) -> Result<FixArguments, Failure> {
    let mut own = arguments.clone();
    let budget = &mut own.budget;
    own.model = model::settled(own.model.take(), layers, environment)?;
    own.samples = layers.samples(own.samples).value;
    own.strategy = Some(layers.strategy(own.strategy).value);
    own.seed = Some(layers.seed(own.seed).value);
    own.tests = layers.tests(&own.tests).value;
    own.result.accept = Some(layers.accept(own.result.accept).value);
    budget.max_turns = Some(layers.max_turns(budget.max_turns).value);
    budget.rounds = Some(layers.rounds(budget.rounds).value);
    budget.max_tokens = layers.max_tokens(budget.max_tokens).value;
    budget.max_time = layers.max_time(budget.max_time).value;
    budget.command_timeout = Some(layers.command_timeout(budget.command_timeout).value);
    budget.test_timeout = Some(layers.test_timeout(budget.test_timeout).value);
    budget.test_budget = Some(layers.test_budget(budget.test_budget).value);
    budget.parallel = layers.parallel(budget.parallel).value;
    budget.temperature = layers.temperature(budget.temperature).value;
    budget.top_p = layers.top_p(budget.top_p).value;
    own.copy.prompts = layers.prompts(own.copy.prompts.take()).value;
    own.walls.network = Some(layers.network(own.walls.network).value);
    own.walls.sandbox = Some(layers.sandbox(own.walls.sandbox).value);
    own.walls.image = layers.image(own.walls.image.take()).value;
    own.walls.readable = layers.read(&own.walls.readable).value;
    own.open = own.open.settled(layers);
    Ok(own)
}

impl Choices {
    /// Takes the flags, and defaults where they say nothing.
    pub(super) fn of(arguments: &FixArguments, environment: &Environment) -> Choices {
        let budget = &arguments.budget;
        let number = |given: Option<u32>| given.map(|number| number as usize);
        Choices {
            model: arguments.model.clone().unwrap_or_else(|| DEFAULT_MODEL.into()),
            strategy: arguments.strategy.unwrap_or_default(),
            samples: number(arguments.samples),
            all_attempts: budget.all_attempts,
            issue_tests: number(budget.issue_tests),
            min_evidence: budget
                .min_evidence
                .map_or(MIN_EVIDENCE, |percent| f64::from(percent) / 100.0),
            parallel: number(budget.parallel).unwrap_or(8),
            seed: arguments.seed.unwrap_or(0),
            temperature: budget.temperature,
            top_p: budget.top_p,
            tests: arguments.tests.clone(),
            test_timeout: budget.test_timeout.unwrap_or(RunOptions::default().timeout),
            test_budget: budget.test_budget.unwrap_or(TEST_BUDGET),
            max_turns: number(budget.max_turns),
            max_tokens: number(budget.max_tokens),
            pack_tokens: if budget.no_pack {
                Some(0)
            } else {
                number(budget.pack_tokens)
            },
            max_time: budget.max_time,
            command_timeout: budget.command_timeout,
            rounds: number(budget.rounds),
            accept: arguments.result.accept.unwrap_or_default(),
            prompts: arguments.copy.prompts.clone(),
            caches: environment.cache_folder(),
        }
    }

    /// How attempts work with this model.
    pub(super) fn strategy(&self, info: &ModelInfo) -> Strategy {
        match self.strategy {
            StrategyChoice::Agentic => Strategy::Agentic,
            StrategyChoice::OneShot => Strategy::OneShot,
            StrategyChoice::Auto | StrategyChoice::Mixed => {
                let small = info.parameters.is_some_and(|parameters| parameters < SMALL);
                if small && info.calls != CallFormat::Tags {
                    Strategy::OneShot
                } else {
                    Strategy::Agentic
                }
            }
        }
    }

    /// What an attempt may use of this model.
    pub(super) fn budget(&self, info: &ModelInfo) -> Result<Budget, Failure> {
        let usual = Budget::default();
        let most = info.context.unwrap_or(UNKNOWN_CONTEXT);
        let asked = self.max_tokens.unwrap_or(usual.context);
        if self.max_tokens.is_some() && info.context.is_some_and(|context| asked > context) {
            return Err(Failure::new(
                ExitCode::Usage,
                format!(
                    "--max-tokens {asked}: the window of {} has {most} tokens.",
                    info.name
                ),
            ));
        }
        let context = asked.min(most);
        Ok(Budget {
            turns: self.max_turns.unwrap_or(usual.turns),
            context,
            action_tokens: usual.action_tokens.min(context / 2),
            result_tokens: usual.result_tokens.min(context / 4),
            prompt_tokens: usual.prompt_tokens.min(context / 4),
            pack_tokens: self.pack_tokens.unwrap_or(context / 4),
            command_timeout: self.command_timeout.unwrap_or(usual.command_timeout),
            rounds: self.rounds.unwrap_or(usual.rounds),
            ..usual
        })
    }

    /// How the run is done.
    pub(super) fn plan(&self, info: &ModelInfo, defaults: &GenerationDefaults) -> Result<Plan, Failure> {
        let strategy = self.strategy(info);
        // What CWM was trained and measured with, unless the model's files know better.
        let sampling = SamplingParameters {
            temperature: self.temperature.or(defaults.temperature).unwrap_or(1.0),
            top_p: self.top_p.or(defaults.top_p).unwrap_or(0.95),
            top_k: defaults.top_k.unwrap_or(0),
            repetition_penalty: defaults.repetition_penalty.unwrap_or(1.0),
            seed: self.seed,
            ..SamplingParameters::default()
        };
        sampling
            .check()
            .map_err(|error| Failure::new(ExitCode::Usage, format!("{error}.")))?;
        let mixed = self.strategy == StrategyChoice::Mixed;
        let samples = self.samples.unwrap_or(match strategy {
            Strategy::Agentic if mixed => 2,
            Strategy::Agentic => 1,
            Strategy::OneShot => 8,
        });
        Ok(Plan {
            strategy,
            mixed,
            samples,
            every_one: self.all_attempts,
            issue_tests: self.issue_tests.unwrap_or(ISSUE_TESTS),
            min_evidence: self.min_evidence,
            parallel: self.parallel,
            sampling,
            fixed: Fixed {
                temperature: self.temperature.is_some(),
                top_p: self.top_p.is_some(),
            },
            budget: self.budget(info)?,
            validation: self.validation(),
        })
    }

    /// How tests are run.
    pub(super) fn validation(&self) -> ValidateOptions {
        ValidateOptions {
            run: RunOptions {
                // No run of the tests may take more than all of it.
                timeout: self.test_timeout.min(self.max_time.unwrap_or(Duration::MAX)),
                ..RunOptions::default()
            },
            flaky: Vec::new(),
            once: false,
            budget: self.test_budget,
        }
    }
}
