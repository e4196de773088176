//! From attempts to an order with reasons: tests for the issue are written and kept, every candidate is run on them, and the matrix is
//! weighed. Where two behaviours lead side by side, tests that tell them apart are asked for.

use cwm_runtime::engine::SamplingParameters;
use cwm_tools::truncate::{beginning, display_text};

use super::issue_tests::{IssueTest, Stand, gather};
use super::judge::failing_before;
use super::matrix::{Base, Case, Matrix};
use super::ranking::{Cell, Evidence, Place, Rule, Weights, order};
use super::side_by_side::side_by_side;
use super::solve::SolveError;
use crate::rollout::journal::Record;
use crate::rollout::{
    AttemptOptions, Budget, RolloutError, Strategy, TESTS_SAMPLE, Task, Workbench, agentic, one_shot,
};

/// How often tests are asked for that tell the leading two apart.
const MOST_DUELS: usize = 3;
/// Behaviours less probable than this share of the leader's are no rivals.
const RIVAL: f64 = 0.35;
/// Bytes of a rival's diff that a model reads.
const MOST_DIFF: usize = 3000;
/// How tokens of tests are chosen, so that samples differ.
const TEMPERATURE: f32 = 0.8;
const TOP_P: f32 = 0.95;

/// The order of the candidates, and what it goes by.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Everything that is known of them.
    pub evidence: Evidence,
    /// Best first.
    pub places: Vec<Place>,
    /// The scripts behind the written tests, in the order of their columns.
    pub tests: Vec<IssueTest>,
}

/// How tests are had written.
#[derive(Debug, Clone)]
pub struct Hearing {
    /// How samples work.
    pub strategy: Strategy,
    /// How many samples write tests; none for 0.
    pub samples: usize,
    /// How many at once.
    pub parallel: usize,
    /// How tokens are chosen; sample i has the seed plus i.
    pub sampling: SamplingParameters,
    /// Whether the temperature is the user's word.
    pub fixed_temperature: bool,
    /// What a sample may use.
    pub budget: Budget,
    /// Tests of the baseline that do not say the same each time.
    pub flaky: Vec<String>,
}

impl Decision {
    /// By what is known in a matrix.
    pub fn of(matrix: &Matrix<'_>) -> Decision {
        Decision {
            places: order(matrix.evidence(), Rule::Weighed, &Weights::default()),
            evidence: matrix.evidence().clone(),
            tests: matrix.tests().to_vec(),
        }
    }
}

/// Puts candidates in order. When the user ends it on the way, what is known by then decides.
///
/// # Errors
///
/// When nothing can be run, or the journal cannot be written. A model that writes no tests is no error.
pub fn decide(
    bench: &Workbench<'_>,
    hearing: &Hearing,
    cases: Vec<Case<'_>>,
) -> Result<Decision, SolveError> {
    let problem = bench.problem;
    let base = Base {
        tree: &problem.tree,
        issue: &problem.issue,
        runs: &problem.baseline,
    };
    let matrix = Matrix::of(base, cases);
    let mut council = Council {
        bench,
        hearing,
        matrix,
    };
    match council.sit() {
        Err(_) if bench.control.stopped() => {}
        other => other?,
    }
    Ok(Decision::of(&council.matrix))
}

/// A decision while it is made.
struct Council<'a> {
    bench: &'a Workbench<'a>,
    hearing: &'a Hearing,
    matrix: Matrix<'a>,
}

impl Council<'_> {
    /// Has tests written, and tests that tell the leading two apart.
    fn sit(&mut self) -> Result<(), SolveError> {
        if self.hearing.samples == 0 || !self.is_worth_tests() || self.bench.control.stopped() {
            return Ok(());
        }
        let samples = (0..self.hearing.samples).map(|index| format!("{TESTS_SAMPLE}{}", index + 1));
        let written = self.written(&samples.collect::<Vec<_>>(), &[])?;
        self.hear(&written)?;
        self.tell(format!(
            "Written for the issue: {} scripts or files, in which {} tests fail without a patch as the issue says.",
            written.len(),
            self.matrix.tests().len()
        ))?;
        for duel in 0..MOST_DUELS {
            let Some(rivals) = self.rivals() else { break };
            let sample = format!("{TESTS_SAMPLE}between-{}", duel + 1);
            let written = self.written(&[sample], &rivals)?;
            if !self.hear(&written)? {
                break;
            }
        }
        Ok(())
    }

    fn tell(&self, text: String) -> Result<(), SolveError> {
        self.bench
            .journal
            .append(&Record::Notice { attempt: None, text })?;
        Ok(())
    }

    /// Tests are worth their time where there is something to choose, or where nothing else can show that the issue is gone.
    fn is_worth_tests(&self) -> bool {
        let problem = self.bench.problem;
        let nothing_failed = failing_before(&problem.baseline, &self.hearing.flaky).is_empty();
        self.matrix.evidence().tried() > usize::from(!nothing_failed)
    }

    fn hear(&mut self, written: &[IssueTest]) -> Result<bool, SolveError> {
        let stand = Stand {
            copies: self.bench.copies,
            control: self.bench.control,
            commands: &self.bench.problem.tests,
            baseline: &self.bench.problem.baseline,
        };
        Ok(self.matrix.hear(written, stand)?)
    }

    /// What samples write, all at once: they share their prompt.
    fn written(&self, samples: &[String], rivals: &[String]) -> Result<Vec<IssueTest>, SolveError> {
        let results = side_by_side(samples.len(), self.hearing.parallel, |index| {
            let options = self.options(index, samples.get(index)?, rivals);
            Some(match self.hearing.strategy {
                Strategy::Agentic => agentic::write_tests(self.bench, &options),
                Strategy::OneShot => one_shot::write_tests(self.bench, &options),
            })
        });
        let mut written = Vec::new();
        for result in results.into_iter().flatten() {
            match result {
                Ok(tests) => written.push(tests),
                Err(RolloutError::Journal(error)) => return Err(error.into()),
                // A model that fails at this is no reason to lose what is there.
                Err(error) => self.tell(format!("Tests for the issue could not be written: {error}."))?,
            }
        }
        Ok(gather(&written))
    }

    fn options(&self, index: usize, name: &str, rivals: &[String]) -> AttemptOptions {
        let mut sampling = self.hearing.sampling.clone();
        // What works in turns has the temperature that it was trained with.
        if self.hearing.strategy == Strategy::OneShot && !self.hearing.fixed_temperature {
            sampling.temperature = TEMPERATURE;
            sampling.top_p = TOP_P;
            sampling.top_k = 0;
            sampling.repetition_penalty = 1.0;
        }
        sampling.seed = sampling.seed.wrapping_add(index as u64);
        AttemptOptions {
            index,
            name: name.to_owned(),
            sampling,
            budget: self.hearing.budget.clone(),
            task: Task::Test {
                rivals: rivals.to_vec(),
            },
        }
    }

    /// The diffs of the leading two behaviours, when the second is nearly as probable as the first.
    fn rivals(&self) -> Option<Vec<String>> {
        let evidence = self.matrix.evidence();
        let places = order(evidence, Rule::Weighed, &Weights::default());
        let first = places.first()?;
        let row =
            |index: usize| -> Vec<Cell> { evidence.tests.iter().map(|test| test.cells.of(index)).collect() };
        let form = |index: usize| {
            evidence
                .candidates
                .get(index)
                .map(|candidate| candidate.form.as_str())
        };
        let confidence = |place: &Place| place.confidence.unwrap_or(0.0);
        let differs =
            |place: &&Place| row(place.index) != row(first.index) || form(place.index) != form(first.index);
        let mut tried = places
            .iter()
            .skip(1)
            .filter(|place| evidence.is_tried(place.index));
        let second = tried.find(differs)?;
        let close =
            confidence(second) >= RIVAL * confidence(first) && form(second.index) != form(first.index);
        let diff = |place: &Place| {
            let text = display_text(self.matrix.patch(place.index)?);
            Some(beginning(&text, MOST_DIFF).to_owned())
        };
        if close {
            Some(vec![diff(first)?, diff(second)?])
        } else {
            None
        }
    }
}
