//! A run: attempts side by side, each validated as soon as it ends, and the best of them chosen.
//!
//! The outcome does not depend on which attempt happens to be quicker: the first verified one (by number), or the first with which further ones
//! are needless, ends those behind it, and those before it are waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cwm_runtime::engine::SamplingParameters;

use super::decide::{Decision, decide};
use super::early::Early;
use super::evidence::{Case, Proof};
use super::side_by_side::side_by_side;
use super::validation::{Trials, ValidateError, ValidateOptions, failing_before};
use super::writers::{Hearing, Writers};
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
    /// Whether every second one works by the other strategy.
    pub mixed: bool,
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
    /// How an attempt works, by its index.
    fn strategy_of(&self, index: usize) -> Strategy {
        if self.mixed && index % 2 == 1 {
            self.strategy.other()
        } else {
            self.strategy
        }
    }

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
    let hearing = plan.hearing();
    let writers = Writers {
        bench,
        hearing: &hearing,
    };
    let nothing_failed = failing_before(&bench.problem.baseline, &hearing.flaky).is_empty();
    let run = Run {
        bench,
        plan,
        early: (nothing_failed && hearing.samples > 0).then(|| Early::new(writers)),
        looked: Mutex::new(0),
        control,
        controls: (0..plan.samples).map(|_| control.child()).collect(),
        trials: Trials::new(bench.copies, &bench.problem.baseline, &plan.validation),
        shared: Mutex::new(Shared {
            outcomes: (0..plan.samples).map(|_| None).collect(),
            ..Shared::default()
        }),
    };
    run.work();
    let heard = run.early.and_then(Early::into_heard);
    let shared = run.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut outcome = shared.outcome()?;
    let cases = outcome.attempts.iter().map(Attempted::case).collect();
    let decision = decide(bench, &hearing, cases, &run.trials, heard)?;
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
    /// The lowest index behind which no attempt is needed.
    enough_at: Option<usize>,
    fatal: Option<SolveError>,
}

impl Shared {
    /// Takes down what an attempt came to; tells whether those behind it are needless.
    fn store(&mut self, index: usize, result: Result<Attempted, String>, every_one: bool) -> bool {
        let verified = result.as_ref().is_ok_and(|attempted| attempted.verdict.verified);
        let enough = verified && !every_one;
        if enough {
            self.end_at(index);
        }
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = Some(result);
        }
        enough
    }

    /// Takes down that the attempts up to one are enough.
    fn end_at(&mut self, index: usize) {
        self.enough_at = Some(self.enough_at.map_or(index, |at| at.min(index)));
    }

    /// The first attempts, as many as have ended; none for one that failed.
    fn ended(&self) -> Vec<Option<Attempted>> {
        let ended = self.outcomes.iter().map_while(Option::as_ref);
        ended.map(|result| result.as_ref().ok().cloned()).collect()
    }

    /// What the attempts came to, up to the last that is needed.
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
    /// Tests for the issue that are written meanwhile; none where the repository's own tell of it.
    early: Option<Early<'a>>,
    /// How many of the first attempts were looked at together.
    looked: Mutex<usize>,
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
        std::thread::scope(|scope| {
            scope.spawn(|| self.write_tests());
            side_by_side(others, self.plan.parallel, |index| self.attempt(alone + index));
        });
    }

    fn write_tests(&self) {
        let Some(early) = self.early.as_ref().filter(|_| !self.control.ending()) else {
            return;
        };
        match early.write() {
            Ok(()) => self.look(),
            Err(error) => self.give_up(error),
        }
    }

    /// Ends the run, unless it is being ended anyway.
    fn give_up(&self, error: SolveError) {
        if !self.control.stopped() {
            self.lock().fatal.get_or_insert(error);
            self.control.stop();
        }
    }

    /// Ends the run behind the first attempts that make the others needless, one after another: which one that is does not depend on which
    /// ends first.
    fn look(&self) {
        let Some(early) = self.early.as_ref().filter(|_| !self.plan.every_one) else {
            return;
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.lock().ended();
        let mut attempts = Vec::new();
        for (index, attempted) in ended.into_iter().enumerate() {
            if let Some(attempted) = attempted {
                if let Err(error) = early.hear(&attempted) {
                    return self.give_up(error.into());
                }
                attempts.push(attempted);
            }
            let to_come = self.plan.samples.saturating_sub(index + 1);
            if index < *looked || to_come == 0 {
                continue;
            }
            if !early.is_written() {
                return;
            }
            *looked = index + 1;
            if early.is_settled(&attempts, to_come, self.plan.min_evidence) {
                self.lock().end_at(index);
                self.stop_behind(index);
                let text = format!(
                    "Attempts behind {} are not needed: they could not change, or hardly, what comes first.",
                    name(index)
                );
                let notice = Record::Notice { attempt: None, text };
                if let Err(error) = self.bench.journal.append(&notice) {
                    self.give_up(error.into());
                }
                return;
            }
        }
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
        let ended = match result {
            Ok(None) => return,
            Ok(Some(attempted)) => {
                let heard = self.early.as_ref().map_or(Ok(()), |early| early.hear(&attempted));
                if let Err(error) = heard {
                    return self.give_up(error.into());
                }
                Ok(attempted)
            }
            Err(Trouble::Attempt(reason)) => Err(reason),
            Err(Trouble::Run(error)) => {
                self.lock().fatal.get_or_insert(error);
                return self.control.stop();
            }
        };
        if self.lock().store(index, ended, self.plan.every_one) {
            self.stop_behind(index);
        }
        self.look();
    }

    fn stop_behind(&self, index: usize) {
        for later in self.controls.iter().skip(index + 1) {
            later.stop();
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
        let candidate = match self.plan.strategy_of(index) {
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
        // Of mixed strategies each goes through its own attempts.
        let place = if plan.mixed { index / 2 } else { index };
        let mut sampling = match plan.strategy_of(index) {
            Strategy::Agentic => plan.sampling.clone(),
            Strategy::OneShot => one_shot::ladder(place, &plan.sampling, plan.fixed),
        };
        sampling.seed = sampling.seed.wrapping_add(index as u64);
        AttemptOptions {
            task: Task::Repair,
            index: place,
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
