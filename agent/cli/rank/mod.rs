//! `cwm rank`: tries patches in copies of a repository and puts the best first. A model takes part only where tests are to be written
//! for an issue.

mod crew;
mod hearing;
mod replay;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use cwm_tools::session::SessionOptions;

use crate::cli::config::Layers;
use crate::cli::signals::Signals;
use crate::cli::values::duration;
use crate::cli::walls::{self, LimitArguments, OwnedRun, WallArguments, begin_run, start_folder};
use crate::cli::{Environment, ExitCode, Failure, Printer, input};
use crate::rollout::journal::Verdict;
use crate::rollout::{Control, Copies};
use crate::scaling::{
    Base, Baseline, Case, Decision, Evidence, Matrix, Measure, Place, Proof, Rule, Stand, TEST_BUDGET,
    Trials, ValidateError, ValidateOptions, Weights, baseline, order,
};
use crate::suite::{self, RunOptions, TestCommand};

use crew::Crew;
use hearing::HearingArguments;

/// The largest patch that is read.
const MOST_BYTES: u64 = 60 << 20;

/// Try patches on copies of a repository and put the best first
///
/// Each patch is applied to a copy of its own, without what it does to tests, and the test commands are run. The
/// best fixes most of what fails without it and breaks nothing. It is verified when all that failed passes and
/// all that passed still does; where nothing failed, by tests that a model writes for the issue, if they agree. The
/// exit code is 0 when the best is verified, else 1.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cwm rank a.diff b.diff                            with the tests that the repository seems to have
  cwm rank --test 'pytest tests/test_url.py' *.diff with a command of your own
  cwm rank --test ./lint --test ./check fix.diff    with several, all of which count
  git diff | cwm rank --committed-only -            is my uncommitted work a fix?
  cwm rank -o best.diff *.diff && cwm apply best.diff

What counts: how probable it is that a patch is right, by the tests that failed before, tests written for the issue,
tests that break, and which patches agree; then signs of a cheat, lines changed, and how many patches are the same.")]
pub(crate) struct RankArguments {
    /// The repository to copy, or a folder in it, where the test commands start
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// A command that runs tests; may be given several times [default: guessed from the repository]
    #[arg(long = "test", value_name = "CMD")]
    tests: Vec<String>,
    /// Write the best patch to a file, if it is verified
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many patches are tried at once [default: half of the processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Run no test a second time to tell flaky ones
    #[arg(long)]
    no_rerun: bool,
    /// Copy the last commit, without uncommitted changes and new files
    #[arg(long, help_heading = "What is copied")]
    committed_only: bool,
    #[command(flatten)]
    walls: WallArguments,
    #[command(flatten)]
    limits: LimitArguments,
    /// End a test command after this time, such as 90, 90s, 5m or 2h [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    test_timeout: Option<Duration>,
    /// Where the tests take much longer, run those near to a patch for so long; all of them only where that may verify it or it comes first [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    test_budget: Option<Duration>,
    #[command(flatten)]
    hearing: HearingArguments,
    /// Write what the order goes by to a file, from which --replay makes it again
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Put in order what such files hold, one or one a line, without running anything; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["patches", "evidence", "output", "issue", "message", "issue_test"])]
    replay: Option<PathBuf>,
    /// By what patches are put in order [default: weighed]
    #[arg(long, value_name = "RULE", value_enum)]
    rule: Option<RuleChoice>,
    /// Weights of the rule `weighed`, as JSON
    #[arg(long, value_name = "FILE", hide = true)]
    rule_weights: Option<PathBuf>,
    /// The patch files; `-` is stdin
    #[arg(required_unless_present = "replay", value_name = "PATCH")]
    patches: Vec<PathBuf>,
}

/// By what patches are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum RuleChoice {
    /// How probable it is that a patch is right, by all that is known
    #[default]
    Weighed,
    /// Most tests passed, then most frequent, then fewest tokens, as CWM's results were published
    Published,
    /// The most frequent patch
    Majority,
}

impl RankArguments {
    fn rule(&self) -> Rule {
        match self.rule.unwrap_or_default() {
            RuleChoice::Weighed => Rule::Weighed,
            RuleChoice::Published => Rule::Published,
            RuleChoice::Majority => Rule::Majority,
        }
    }

    fn weights(&self) -> anyhow::Result<Weights> {
        let Some(file) = &self.rule_weights else {
            return Ok(Weights::default());
        };
        let wrong = || {
            Failure::new(
                ExitCode::Usage,
                format!("The weights {} cannot be read.", file.display()),
            )
        };
        let text = std::fs::read(file).with_context(wrong)?;
        serde_json::from_slice(&text).with_context(wrong)
    }
}

/// A patch with its place.
struct Ranked {
    place: Place,
    verdict: Verdict,
    /// What shows that it solves the issue, if anything does.
    proof: Option<Proof>,
    /// How many of the tests that were written for the issue it passes, and of how many, where there are some.
    written: Option<(usize, usize)>,
}

/// A patch that was read.
struct Contender {
    name: String,
    patch: Vec<u8>,
    measure: Measure,
}

/// Tries the patches and tells which is best.
pub(crate) fn run(
    arguments: &RankArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    if let Some(file) = &arguments.replay {
        return replay::replay(file, arguments.rule(), &arguments.weights()?, printer);
    }
    // First of all, so that an interruption while the copy is made ends in order too.
    let signals = Signals::catch()?;
    // Where there is no repository the snapshot says so.
    let root = cwm_tools::workspace::working_tree(&arguments.repo).ok();
    let layers = Layers::load(root.as_deref(), environment)?;
    let arguments = &settled(arguments, &layers, environment)?;
    let contenders = read(&arguments.patches)?;
    let walls = walls::walls(&arguments.walls, &arguments.limits, environment)?;
    let run = OwnedRun::of(begin_run(environment, printer)?);
    let uncommitted = !arguments.committed_only;
    let (repo, folder) = (&arguments.repo, run.path());
    let snapshot = walls::snapshot(&walls, repo, folder, uncommitted, uncommitted, printer)?;
    let copies = Copies {
        start: start_folder(&arguments.repo, &snapshot.root),
        snapshot,
        walls,
        session: SessionOptions::default(),
    };
    let commands = commands(arguments, &copies, printer)?;
    let control = Control::default();
    let mut crew = Crew {
        signals: &signals,
        control: &control,
        printer,
    };
    let bench = Bench {
        arguments,
        environment,
        copies: &copies,
        commands: &commands,
        run: run.path(),
    };
    let (ranked, evidence) = match bench.try_all(&contenders, &mut crew) {
        Ok(done) => done,
        Err(_) if control.stopped() => return Ok(ExitCode::Interrupted),
        Err(error) => return Err(error),
    };
    report::patches(printer, &ranked, &contenders)?;
    if let Some(file) = &arguments.evidence {
        let text = serde_json::to_vec(&evidence)?;
        std::fs::write(file, text).with_context(|| unwritable(file))?;
    }
    let verified = ranked.first().filter(|best| best.proof.is_some());
    let best = verified.and_then(|best| contenders.get(best.place.index));
    if let Some(file) = &arguments.output {
        keep(best, file, printer)?;
    }
    Ok(match best {
        Some(_) => ExitCode::Success,
        None => ExitCode::Unverified,
    })
}

/// The arguments with what the configuration says where the flags say nothing.
fn settled(
    arguments: &RankArguments,
    layers: &Layers,
    environment: &Environment,
) -> Result<RankArguments, Failure> {
    let mut own = arguments.clone();
    own.tests = layers.tests(&own.tests).value;
    own.test_timeout = Some(layers.test_timeout(own.test_timeout).value);
    own.test_budget = Some(layers.test_budget(own.test_budget).value);
    own.hearing = own.hearing.settled(layers, environment)?;
    own.walls.network = Some(layers.network(own.walls.network).value);
    own.walls.sandbox = Some(layers.sandbox(own.walls.sandbox).value);
    own.walls.image = layers.image(own.walls.image.take()).value;
    own.walls.readable = layers.read(&own.walls.readable).value;
    Ok(own)
}

/// Reads the patches.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Contender>> {
    let wrong = |message: String| Failure::new(ExitCode::Usage, message);
    if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(wrong("Standard input can be one patch only.".to_owned()).into());
    }
    let mut contenders = Vec::new();
    for path in paths {
        let name = input::name(path);
        let patch = input::read(path, MOST_BYTES + 1)
            .with_context(|| wrong(format!("The patch {name} cannot be read.")))?;
        if patch.len() as u64 > MOST_BYTES {
            let most = crate::cli::values::size(MOST_BYTES);
            return Err(wrong(format!("The patch {name} is larger than {most}.")).into());
        }
        let measure = Measure::of(&patch);
        contenders.push(Contender { name, patch, measure });
    }
    Ok(contenders)
}

/// The test commands: those given, else those that the repository gives away.
fn commands(
    arguments: &RankArguments,
    copies: &Copies,
    printer: &mut Printer,
) -> anyhow::Result<Vec<TestCommand>> {
    if !arguments.tests.is_empty() {
        return Ok(arguments
            .tests
            .iter()
            .map(|test| TestCommand::given(test))
            .collect());
    }
    let found = suite::find(&copies.snapshot.tree().join(&copies.start));
    if found.is_empty() {
        let message = "How this repository is tested cannot be told from its files.";
        return Err(Failure::new(ExitCode::Usage, message)
            .with_hint("Say it with --test, such as --test 'make test'.")
            .into());
    }
    for command in &found {
        report::found(printer, command);
    }
    Ok(found)
}

/// What patches are tried with.
struct Bench<'a> {
    arguments: &'a RankArguments,
    environment: &'a Environment,
    copies: &'a Copies,
    commands: &'a [TestCommand],
    /// The run's folder.
    run: &'a Path,
}

impl Bench<'_> {
    /// The patches, best first, and what that goes by.
    fn try_all(
        &self,
        contenders: &[Contender],
        crew: &mut Crew<'_>,
    ) -> anyhow::Result<(Vec<Ranked>, Evidence)> {
        let usual = RunOptions::default();
        let run_options = RunOptions {
            timeout: self.arguments.test_timeout.unwrap_or(usual.timeout),
            ..usual
        };
        let mut options = ValidateOptions {
            run: run_options,
            flaky: Vec::new(),
            once: self.arguments.no_rerun,
            budget: self.arguments.test_budget.unwrap_or(TEST_BUDGET),
        };
        let control = crew.control;
        let measured = crew.work(1, 1, "running the tests without a patch", |_| {
            baseline(self.copies, "baseline", self.commands, &options, control)
        });
        let before = measured.into_iter().next().context("The tests were not run.")?;
        let before = before.map_err(|error| no_verdict(&error))?;
        report::baseline(crew.printer, &before, self.copies)?;

        options.flaky.clone_from(&before.flaky);
        let trials = Trials::new(self.copies, &before.runs, &options);
        let mut verdicts = verdicts(self.validate(contenders, &trials, crew))?;
        if control.stopped() {
            return Err(no_verdict(&ValidateError::Interrupted).into());
        }
        let cases = contenders.iter().zip(&verdicts).map(|(contender, verdict)| Case {
            name: &contender.name,
            patch: &contender.patch,
            tokens: 0,
            verdict,
        });
        let decision = self.decide(cases.collect(), &before, &trials, crew)?;
        for (index, settled) in &decision.settled {
            if let Some(verdict) = verdicts.get_mut(*index) {
                verdict.clone_from(settled);
            }
        }
        let places = order(
            &decision.evidence,
            self.arguments.rule(),
            &self.arguments.weights()?,
        );
        let least = self.arguments.hearing.min_evidence();
        let ranked = places.into_iter().filter_map(|place| {
            let verdict = verdicts.get(place.index)?.clone();
            let proof = Proof::of(&verdict, &decision.evidence, &place, least);
            Some(Ranked {
                written: Some(decision.evidence.written(place.index)).filter(|(_, of)| *of > 0),
                place,
                verdict,
                proof,
            })
        });
        let ranked = ranked.collect();
        Ok((ranked, decision.evidence))
    }

    fn validate(
        &self,
        contenders: &[Contender],
        trials: &Trials<'_>,
        crew: &mut Crew<'_>,
    ) -> Vec<Result<Verdict, ValidateError>> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.arguments.jobs.map_or((processors / 2).max(1), usize::from);
        let control = crew.control;
        crew.work(contenders.len(), jobs, "trying the patches", |index| {
            let name = format!("patch-{}", index + 1);
            match contenders.get(index) {
                Some(contender) => trials.verdict(&name, &contender.patch, control),
                None => Err(ValidateError::Interrupted),
            }
        })
    }

    /// What is known of the patches, with tests for the issue where they are asked for.
    fn decide(
        &self,
        cases: Vec<Case<'_>>,
        before: &Baseline,
        trials: &Trials<'_>,
        crew: &mut Crew<'_>,
    ) -> anyhow::Result<Decision> {
        if let Some(issue) = self.arguments.hearing.issue()? {
            return hearing::decide(self, &issue, cases, before, trials, crew);
        }
        let tree = self.copies.snapshot.tree();
        let base = Base {
            tree: &tree,
            issue: "",
            runs: &before.runs,
        };
        let mut matrix = Matrix::of(base, cases);
        let given = self.arguments.hearing.given(self.copies, self.commands)?;
        if !given.is_empty() {
            let stand = Stand {
                copies: self.copies,
                control: crew.control,
                commands: self.commands,
                baseline: &before.runs,
            };
            matrix.hear(&given, stand).map_err(|error| no_verdict(&error))?;
            report::heard(crew.printer, given.len(), matrix.tests().len());
        }
        let (rule, weights) = (self.arguments.rule(), self.arguments.weights()?);
        matrix
            .settle(trials, rule, &weights, crew.control)
            .map_err(|error| no_verdict(&error))?;
        Ok(Decision::of(&matrix))
    }
}

/// A patch that the machine failed to try is last; only when that is all of them, the command fails.
fn verdicts(tried: Vec<Result<Verdict, ValidateError>>) -> anyhow::Result<Vec<Verdict>> {
    if let Some(Err(error)) = tried.first()
        && tried.iter().all(Result::is_err)
    {
        return Err(no_verdict(error).into());
    }
    let refused = |error: &ValidateError| Verdict {
        refused: Some(format!("it could not be tried: {error}")),
        ..Verdict::new("")
    };
    Ok(tried
        .into_iter()
        .map(|result| result.unwrap_or_else(|error| refused(&error)))
        .collect())
}

fn no_verdict(error: &ValidateError) -> Failure {
    Failure::new(ExitCode::Environment, error.to_string())
}

/// Writes the best patch, byte for byte, when there is one that is verified.
fn keep(best: Option<&Contender>, file: &std::path::Path, printer: &mut Printer) -> anyhow::Result<()> {
    let Some(best) = best else {
        printer.warning(format_args!(
            "{} is not written: no patch is verified",
            file.display()
        ));
        return Ok(());
    };
    std::fs::write(file, &best.patch).with_context(|| unwritable(file))?;
    printer.detail(format_args!("wrote {} to {}", best.name, file.display()));
    Ok(())
}

fn unwritable(file: &Path) -> Failure {
    Failure::new(
        ExitCode::Environment,
        format!("{} cannot be written.", file.display()),
    )
}
