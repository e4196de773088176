//! A run: attempts side by side, each validated as soon as it ends, and the best of them chosen.
//!
//! The outcome does not depend on which attempt happens to be quicker: the first verified one (by number), or the first with which further ones
//! are needless, ends those behind it, and those before it are waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cwm_runtime::engine::SamplingParameters;

use super::decide::decide;
use super::early::Early;
use super::outcome::{Attempted, Outcome, SolveError};
use super::ranking::{Rule, Weights};
use super::side_by_side::side_by_side;
use super::validation::{Trials, ValidateOptions};
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
    let early = writers.nothing_failed() && hearing.samples > 0;
    let run = Run {
        bench,
        plan,
        early: early.then(|| Early::new(writers)),
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
    let by = (Rule::Weighed, &Weights::default());
    let decision = decide(bench, &hearing, cases, &run.trials, heard, by)?;
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

    /// What an attempt came to, where it ended well.
    fn attempted(&self, index: usize) -> Option<Attempted> {
        self.outcomes.get(index)?.as_ref()?.as_ref().ok().cloned()
    }

    /// Puts a verdict in the place of that of the same attempt.
    fn replace(&mut self, verdict: Verdict) {
        let mut attempts = self
            .outcomes
            .iter_mut()
            .flatten()
            .filter_map(|result| result.as_mut().ok());
        if let Some(attempted) = attempts.find(|attempted| attempted.candidate.attempt == verdict.attempt) {
            attempted.verdict = verdict;
        }
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
        if let Err(error) = early.write() {
            return self.give_up(error);
        }
        let ended = self.lock().ended();
        side_by_side(ended.len(), self.plan.parallel, |index| self.hear(index));
        self.look();
    }

    /// Has tests for the issue run on what an attempt came to.
    fn hear(&self, index: usize) {
        let attempted = self.lock().attempted(index);
        if let (Some(early), Some(attempted), Some(control)) =
            (&self.early, attempted, self.controls.get(index))
            && let Err(error) = early.hear(&attempted, control)
            && !control.stopped()
        {
            self.give_up(error.into());
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
        if self.plan.every_one {
            return;
        }
        let Some(early) = self.early.as_ref().filter(|early| early.is_written()) else {
            return;
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let shared = self.lock();
            let (ended, enough) = (shared.ended(), shared.enough_at.is_some());
            drop(shared);
            let index = *looked;
            let to_come = self.plan.samples.saturating_sub(index + 1);
            if enough || index >= ended.len() || to_come == 0 || self.control.stopped() {
                return;
            }
            let attempts: Vec<Attempted> = ended.into_iter().take(index + 1).flatten().collect();
            match early.settled(&attempts, to_come, self.plan.min_evidence) {
                // Who has tests run on one of them looks again.
                None => return,
                Some(None) => *looked += 1,
                Some(Some(first)) => match self.settle(attempts.get(first), index) {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => return self.give_up(error),
                },
            }
        }
    }

    /// Ends the run behind an attempt, with another one in the lead; false when that had to be tried with all tests first, so that it is to be seen
    /// again whether it still leads.
    fn settle(&self, leader: Option<&Attempted>, behind: usize) -> Result<bool, SolveError> {
        let Some(leader) = leader else {
            return Ok(true);
        };
        if leader.verdict.postponed {
            let candidate = &leader.candidate;
            let verdict = self
                .trials
                .whole(&candidate.attempt, &candidate.patch, self.control)?;
            let record = Record::Validation(Box::new(verdict.clone()));
            self.bench.journal.append(&record)?;
            self.lock().replace(verdict);
            return Ok(false);
        }
        self.lock().end_at(behind);
        self.stop_behind(behind);
        self.bench.journal.append(&Record::Notice {
            attempt: None,
            text: format!(
                "Attempts behind {} are not needed: they could not change, or hardly, what comes first.",
                self::name(behind)
            ),
        })?;
        Ok(true)
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
            Ok(Some(attempted)) => Ok(attempted),
            Err(Trouble::Attempt(reason)) => Err(reason),
            Err(Trouble::Run(error)) => {
                self.lock().fatal.get_or_insert(error);
                return self.control.stop();
            }
        };
        if self.lock().store(index, ended, self.plan.every_one) {
            self.stop_behind(index);
        }
        if !self.enough_before(index) {
            self.hear(index);
            self.look();
        }
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
