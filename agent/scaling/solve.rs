//! A run: attempts side by side, each validated as soon as it ends, and the best of them chosen.
//!
//! The outcome does not depend on which attempt happens to be quicker: the first verified one (by number) ends those behind it, and those
//! before it are waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cwm_runtime::engine::SamplingParameters;

use super::decide::{Decision, Hearing, decide};
use super::matrix::Case;
use super::proof::Proof;
use super::side_by_side::side_by_side;
use super::trials::Trials;
use super::validate::{ValidateError, ValidateOptions};
use crate::rollout::journal::{JournalError, Record, Verdict};
use crate::rollout::{
    AttemptOptions, Budget, Candidate, Control, Ending, RolloutError, Strategy, Task, Workbench, agentic,
    one_shot,
};

/// How a run is done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How attempts work.
    pub strategy: Strategy,
    /// How many attempts at most.
    pub samples: usize,
    /// Whether all are made, also those behind a verified one.
    pub every_one: bool,
    /// How many at once.
    pub parallel: usize,
    /// How tokens are chosen; attempt i has the seed plus i.
    pub sampling: SamplingParameters,
    /// What of that no ladder changes.
    pub fixed: one_shot::Fixed,
    /// What an attempt may use.
    pub budget: Budget,
    /// How many samples of tests are written for the issue; none for 0.
    pub issue_tests: usize,
    /// How probable it must be that a patch is right, from 0 to 1, where nothing but written tests shows it.
    pub min_evidence: f64,
    /// How candidates are tried.
    pub validation: ValidateOptions,
}

impl Plan {
    /// How tests for the issue are had written.
    fn hearing(&self) -> Hearing {
        Hearing {
            strategy: self.strategy,
            samples: self.issue_tests,
            parallel: self.parallel,
            sampling: self.sampling.clone(),
            fixed_temperature: self.fixed.temperature,
            budget: self.budget.clone(),
            flaky: self.validation.flaky.clone(),
        }
    }
}

/// An attempt that ended, and what its candidate did.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// What it yielded.
    pub candidate: Candidate,
    /// What that did in a fresh copy.
    pub verdict: Verdict,
}

impl Attempted {
    /// The same as a candidate to be ranked.
    pub(super) fn case(&self) -> Case<'_> {
        Case {
            name: &self.candidate.attempt,
            patch: &self.candidate.patch,
            tokens: self.candidate.completion_tokens,
            verdict: &self.verdict,
        }
    }
}

/// What a run yields.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The attempts that ended, best first.
    pub attempts: Vec<Attempted>,
    /// Attempts that failed for good, and why.
    pub failures: Vec<(String, String)>,
    /// Whether the user ended it before its end.
    pub interrupted: bool,
    /// What the order goes by.
    pub decision: Decision,
    /// How probable it must be that a patch is right, where nothing but written tests shows it.
    pub min_evidence: f64,
    /// How long it took.
    pub seconds: f64,
}

impl Outcome {
    /// The best attempt whose patch changes something and can be applied.
    pub fn best(&self) -> Option<&Attempted> {
        let usable = |attempted: &&Attempted| attempted.verdict.refused.is_none();
        self.attempts.first().filter(usable)
    }

    /// Puts the attempts in the order that was decided.
    fn take(&mut self, decision: Decision) {
        for (index, verdict) in &decision.settled {
            if let Some(attempted) = self.attempts.get_mut(*index) {
                attempted.verdict = verdict.clone();
            }
        }
        let mut attempts: Vec<Option<Attempted>> = self.attempts.drain(..).map(Some).collect();
        for place in &decision.places {
            self.attempts
                .extend(attempts.get_mut(place.index).and_then(Option::take));
        }
        self.decision = decision;
    }

    /// Whether the best one is verified.
    pub fn verified(&self) -> bool {
        self.proof().is_some()
    }

    /// What shows that the best one solves the issue, if anything does.
    pub fn proof(&self) -> Option<Proof> {
        let (best, place) = self.best().zip(self.decision.places.first())?;
        Proof::of(&best.verdict, &self.decision.evidence, place, self.min_evidence)
    }
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A candidate could not be tried.
    #[error(transparent)]
    Validate(#[from] ValidateError),
}

/// Makes the attempts and chooses. What the journal holds of them from before is not done again.
///
/// # Errors
///
/// When the journal cannot be written, or candidates cannot be tried at all. A failing attempt is part of the outcome.
pub fn solve(bench: &Workbench<'_>, control: &Arc<Control>, plan: &Plan) -> Result<Outcome, SolveError> {
    let started = Instant::now();
    let run = Run {
        bench,
        plan,
        control,
        controls: (0..plan.samples).map(|_| control.child()).collect(),
        trials: Trials::new(bench.copies, &bench.problem.baseline, &plan.validation),
        shared: Mutex::new(Shared {
            outcomes: (0..plan.samples).map(|_| None).collect(),
            ..Shared::default()
        }),
    };
    run.work();
    let shared = run.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut outcome = shared.outcome()?;
    let cases = outcome.attempts.iter().map(Attempted::case).collect();
    let decision = decide(bench, &plan.hearing(), cases, &run.trials)?;
    for verdict in decision.settled.values() {
        bench
            .journal
            .append(&Record::Validation(Box::new(verdict.clone())))?;
    }
    outcome.take(decision);
    Ok(Outcome {
        min_evidence: plan.min_evidence,
        seconds: started.elapsed().as_secs_f64(),
        ..outcome
    })
}

/// An attempt's name by its index.
pub fn name(index: usize) -> String {
    format!("attempt-{}", index + 1)
}

#[derive(Default)]
struct Shared {
    /// By index; none for those that were interrupted or not begun.
    outcomes: Vec<Option<Result<Attempted, String>>>,
    /// The lowest index that is verified.
    enough_at: Option<usize>,
    fatal: Option<SolveError>,
}

impl Shared {
    /// Takes down what an attempt came to; tells whether those behind it are needless.
    fn store(&mut self, index: usize, result: Result<Attempted, String>, every_one: bool) -> bool {
        let verified = result.as_ref().is_ok_and(|attempted| attempted.verdict.verified);
        let enough = verified && !every_one;
        if enough {
            self.enough_at = Some(self.enough_at.map_or(index, |at| at.min(index)));
        }
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = Some(result);
        }
        enough
    }

    /// What the attempts came to, up to the first verified one.
    fn outcome(self) -> Result<Outcome, SolveError> {
        if let Some(error) = self.fatal {
            return Err(error);
        }
        let needed = self.enough_at.map_or(self.outcomes.len(), |index| index + 1);
        let mut outcome = Outcome::default();
        for (index, result) in self.outcomes.into_iter().take(needed).enumerate() {
            match result {
                Some(Ok(attempted)) => outcome.attempts.push(attempted),
                Some(Err(reason)) => outcome.failures.push((name(index), reason)),
                None => outcome.interrupted = true,
            }
        }
        Ok(outcome)
    }
}

struct Run<'a> {
    bench: &'a Workbench<'a>,
    plan: &'a Plan,
    control: &'a Arc<Control>,
    controls: Vec<Control>,
    trials: Trials<'a>,
    shared: Mutex<Shared>,
}

impl Run<'_> {
    fn work(&self) {
        // One-shot attempts share the packed prompt: the first one leaves it in the cache, and often solves the issue alone.
        let alone = usize::from(self.plan.strategy == Strategy::OneShot);
        for index in 0..alone.min(self.plan.samples) {
            self.attempt(index);
        }
        let others = self.plan.samples.saturating_sub(alone);
        side_by_side(others, self.plan.parallel, |index| self.attempt(alone + index));
    }

    fn attempt(&self, index: usize) {
        let Some(control) = self.controls.get(index) else {
            return;
        };
        if control.ending() || self.enough_before(index) {
            return;
        }
        let bench = Workbench {
            control,
            ..*self.bench
        };
        let result = self.candidate(&bench, index).and_then(|candidate| {
            candidate
                .map(|candidate| self.judged(&bench, candidate))
                .transpose()
                .map(Option::flatten)
        });
        let mut shared = self.lock();
        match result {
            Ok(None) => {}
            Ok(Some(attempted)) => {
                if shared.store(index, Ok(attempted), self.plan.every_one) {
                    for later in self.controls.iter().skip(index + 1) {
                        later.stop();
                    }
                }
            }
            Err(Trouble::Attempt(reason)) => {
                shared.store(index, Err(reason), self.plan.every_one);
            }
            Err(Trouble::Run(error)) => {
                shared.fatal.get_or_insert(error);
                self.control.stop();
            }
        }
    }

    fn enough_before(&self, index: usize) -> bool {
        self.lock().enough_at.is_some_and(|at| at < index)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the attempt yields; none when it was interrupted.
    fn candidate(&self, bench: &Workbench<'_>, index: usize) -> Result<Option<Candidate>, Trouble> {
        let options = self.options(index);
        // One that had ended before hands out what it came to then.
        let candidate = match self.plan.strategy {
            Strategy::Agentic => agentic::attempt(bench, &options),
            Strategy::OneShot => one_shot::attempt(bench, &options),
        };
        match candidate {
            Ok(candidate) if candidate.ending == Ending::Interrupted => Ok(None),
            Ok(candidate) => Ok(Some(candidate)),
            Err(RolloutError::Journal(error)) => Err(error.into()),
            // What fails because everything is being ended is no failure.
            Err(_) if bench.control.stopped() => Ok(None),
            Err(error) => {
                bench.journal.append(&Record::Notice {
                    attempt: Some(options.name),
                    text: format!("The attempt failed: {error}."),
                })?;
                Err(Trouble::Attempt(error.to_string()))
            }
        }
    }

    fn options(&self, index: usize) -> AttemptOptions {
        let plan = self.plan;
        let mut sampling = match plan.strategy {
            Strategy::Agentic => plan.sampling.clone(),
            Strategy::OneShot => one_shot::ladder(index, &plan.sampling, plan.fixed),
        };
        sampling.seed = sampling.seed.wrapping_add(index as u64);
        AttemptOptions {
            task: Task::Repair,
            index,
            name: name(index),
            sampling,
            budget: plan.budget.clone(),
        }
    }

    /// Tries a candidate; none when that was interrupted.
    fn judged(&self, bench: &Workbench<'_>, candidate: Candidate) -> Result<Option<Attempted>, Trouble> {
        let earlier = bench.journal.earlier().iter();
        let recorded = earlier.rev().find_map(|record| match record {
            Record::Validation(verdict) if verdict.attempt == candidate.attempt => Some((**verdict).clone()),
            _ => None,
        });
        if let Some(verdict) = recorded {
            return Ok(Some(Attempted { candidate, verdict }));
        }
        let copy = format!("{}-trial", candidate.attempt);
        let tried = self.trials.verdict(&copy, &candidate.patch, bench.control);
        if bench.control.stopped() {
            return Ok(None);
        }
        let verdict = Verdict {
            attempt: candidate.attempt.clone(),
            ..tried.map_err(SolveError::from)?
        };
        bench
            .journal
            .append(&Record::Validation(Box::new(verdict.clone())))?;
        Ok(Some(Attempted { candidate, verdict }))
    }
}

/// What went wrong, and how much it ends.
enum Trouble {
    Attempt(String),
    Run(SolveError),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Trouble {
        Trouble::Run(error.into())
    }
}

impl From<SolveError> for Trouble {
    fn from(error: SolveError) -> Trouble {
        Trouble::Run(error)
    }
}

#[cfg(test)]
#[path = "solve_tests.rs"]
mod tests;
