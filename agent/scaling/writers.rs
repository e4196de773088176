//! Has tests written for the issue, by several samples at once.

use cwm_runtime::engine::SamplingParameters;

use super::issue_tests::{IssueTest, Stand, gather};
use super::outcome::SolveError;
use super::side_by_side::side_by_side;
use super::validation::failing_before;
use crate::rollout::journal::Record;
use crate::rollout::{
    AttemptOptions, Budget, RolloutError, Strategy, TESTS_SAMPLE, Task, Workbench, agentic, one_shot,
};

/// How tokens of tests are chosen, so that samples differ.
const TEMPERATURE: f32 = 0.8;
const TOP_P: f32 = 0.95;

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

/// Who writes tests, and where they are tried.
#[derive(Clone, Copy)]
pub(super) struct Writers<'a> {
    pub(super) bench: &'a Workbench<'a>,
    pub(super) hearing: &'a Hearing,
}

impl<'a> Writers<'a> {
    /// Where tests are run.
    pub(super) fn stand(&self) -> Stand<'a> {
        Stand {
            copies: self.bench.copies,
            control: self.bench.control,
            commands: &self.bench.problem.tests,
            baseline: &self.bench.problem.baseline,
        }
    }

    /// Whether nothing of the repository's own tells of the issue before anything is changed.
    pub(super) fn nothing_failed(&self) -> bool {
        failing_before(&self.bench.problem.baseline, &self.hearing.flaky).is_empty()
    }

    /// What all samples write.
    pub(super) fn all(&self) -> Result<Vec<IssueTest>, SolveError> {
        let samples = (0..self.hearing.samples).map(|index| format!("{TESTS_SAMPLE}{}", index + 1));
        self.written(&samples.collect::<Vec<_>>(), &[])
    }

    /// What a sample writes that tells two diffs apart.
    pub(super) fn between(&self, number: usize, rivals: &[String]) -> Result<Vec<IssueTest>, SolveError> {
        self.written(&[format!("{TESTS_SAMPLE}between-{number}")], rivals)
    }

    /// Which of two diffs, 0 or 1, the model takes for right whichever it is shown first; none where it has no such opinion.
    pub(super) fn preferred(
        &self,
        number: usize,
        (one, other): (String, String),
    ) -> Result<Option<usize>, SolveError> {
        let Some(first) = self.choice(&format!("{number}-1"), &[one.clone(), other.clone()])? else {
            return Ok(None);
        };
        let turned = self.choice(&format!("{number}-2"), &[other, one])?;
        Ok((turned == Some(1 - first)).then_some(first))
    }

    fn choice(&self, name: &str, changes: &[String; 2]) -> Result<Option<usize>, SolveError> {
        let mut options = self.options(0, &format!("{TESTS_SAMPLE}compared-{name}"), &[]);
        options.sampling.temperature = 0.0;
        match one_shot::compare(self.bench, &options, self.hearing.strategy, changes) {
            Ok(choice) => Ok(choice),
            Err(RolloutError::Journal(error)) => Err(error.into()),
            Err(error) => {
                self.tell(format!("Patches could not be compared: {error}."))?;
                Ok(None)
            }
        }
    }

    /// Says how many of the tests that were written count.
    pub(super) fn tell_kept(&self, written: usize, kept: usize) -> Result<(), SolveError> {
        self.tell(format!(
            "Written for the issue: {written} scripts or files, in which {kept} tests fail without a patch as the issue says."
        ))
    }

    fn tell(&self, text: String) -> Result<(), SolveError> {
        self.bench
            .journal
            .append(&Record::Notice { attempt: None, text })?;
        Ok(())
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
}
