//! What is known of a run while it works, gathered from its records.

use std::collections::VecDeque;
use std::time::Duration;

use cwm_tools::call::{self, Tool};

use crate::rollout::journal::{Generated, Record, Verdict};
use crate::rollout::{Budget, Candidate, Strategy, writes_tests};
use crate::suite::{Comparison, TestRun, compare};

/// How far back the rate of tokens looks, in seconds.
const RATE_WINDOW: f64 = 5.0;

/// The longest text of a call that is kept to be shown.
const MOST_SHOWN: usize = 400;

/// A run as far as it went. Times are seconds since the view began.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) run: Option<Facts>,
    pub(super) baseline: Vec<TestRun>,
    pub(super) attempts: Vec<Attempt>,
    /// How long the whole run may take.
    pub(super) limit: Option<Duration>,
}

/// What the run's first record says, as far as it is shown.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) model: String,
    pub(super) samples: usize,
    pub(super) budget: Budget,
}

/// An attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) name: String,
    pub(super) strategy: Option<Strategy>,
    /// Answers of the model so far.
    pub(super) turns: usize,
    pub(super) doing: Doing,
    /// Tests that it fixed and broke when they were last run.
    pub(super) tests: Option<(usize, usize)>,
    /// Tokens of answers that have ended.
    settled: usize,
    /// Tokens of the answer that is coming.
    coming: usize,
    rate: Rate,
}

/// What an attempt does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doing {
    /// The model reads or writes.
    Thinking,
    /// A tool works: its name and what it was called with.
    Tool(Tool, String),
    /// Its edits are made and the tests run.
    Testing,
    /// It ended; its candidate is tried, or waits for it.
    Ended,
    /// It was tried.
    Judged(Judgement),
}

/// How a candidate fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Verified,
    Unverified,
    Refused,
}

impl Overview {
    /// Takes a record in.
    pub(super) fn record(&mut self, record: &Record) {
        if record.attempt().is_some_and(writes_tests) {
            // They write tests and are no attempts.
            return;
        }
        match record {
            Record::Run(run) => {
                self.run = Some(Facts {
                    model: run.model.name.clone(),
                    samples: run.samples,
                    budget: run.budget.clone(),
                });
            }
            Record::Baseline { runs, .. } => self.baseline = runs.iter().map(without_output).collect(),
            Record::Attempt {
                attempt, strategy, ..
            } => self.attempt(attempt).strategy = Some(*strategy),
            Record::Generation { attempt, generated } => self.attempt(attempt).answered(generated),
            Record::Tool { attempt, .. } => self.attempt(attempt).doing = Doing::Thinking,
            Record::Tests { attempt, runs } => {
                let tests = changes(&self.baseline, runs);
                let attempt = self.attempt(attempt);
                attempt.tests = Some(fixed_and_broken(&tests));
                attempt.doing = Doing::Thinking;
            }
            Record::Candidate(candidate) => self.attempt(&candidate.attempt).ended(candidate),
            Record::Validation(verdict) => self.attempt(&verdict.attempt).judged(verdict),
            Record::Message { .. }
            | Record::Elision { .. }
            | Record::Diverged { .. }
            | Record::Notice { .. }
            | Record::Resumed { .. }
            | Record::WrittenTests { .. }
            | Record::End { .. } => {}
        }
    }

    /// Takes tokens in that a model has just said.
    pub(super) fn tokens(&mut self, attempt: &str, tokens: usize, now: f64) {
        if writes_tests(attempt) {
            return;
        }
        let attempt = self.attempt(attempt);
        attempt.coming += tokens;
        attempt.rate.add(tokens, now);
    }

    /// The attempt of that name, which is new where the records before a resumption were not seen.
    fn attempt(&mut self, name: &str) -> &mut Attempt {
        let at = self.attempts.iter().position(|attempt| attempt.name == name);
        let at = at.unwrap_or_else(|| {
            self.attempts.push(Attempt::new(name));
            self.attempts.len() - 1
        });
        &mut self.attempts[at]
    }

    /// Tokens a second of all attempts together.
    pub(super) fn rate(&self, now: f64) -> Option<f64> {
        let rates: Vec<f64> = self
            .attempts
            .iter()
            .filter_map(|attempt| attempt.rate(now))
            .collect();
        (!rates.is_empty()).then(|| rates.iter().sum())
    }
}

impl Attempt {
    fn new(name: &str) -> Attempt {
        Attempt {
            name: name.to_owned(),
            strategy: None,
            turns: 0,
            doing: Doing::Thinking,
            tests: None,
            settled: 0,
            coming: 0,
            rate: Rate::default(),
        }
    }

    /// Tokens that were sampled.
    pub(super) fn tokens(&self) -> usize {
        self.settled + self.coming
    }

    /// Tokens a second, while the model writes.
    pub(super) fn rate(&self, now: f64) -> Option<f64> {
        let writes = self.doing == Doing::Thinking;
        writes.then(|| self.rate.per_second(now)).flatten()
    }

    /// Whether there is more to come of the attempt itself.
    pub(super) fn works(&self) -> bool {
        !matches!(self.doing, Doing::Ended | Doing::Judged(_))
    }

    fn answered(&mut self, generated: &Generated) {
        self.turns += 1;
        let coming = std::mem::take(&mut self.coming);
        self.settled += match generated.usage.completion_tokens {
            0 => coming,
            counted => counted,
        };
        self.rate = Rate::default();
        self.doing = match self.strategy {
            Some(Strategy::OneShot) => Doing::Testing,
            Some(Strategy::Agentic) | None => called(generated),
        };
    }

    fn ended(&mut self, candidate: &Candidate) {
        self.doing = Doing::Ended;
        self.turns = candidate.turns;
        if candidate.completion_tokens > 0 {
            (self.settled, self.coming) = (candidate.completion_tokens, 0);
        }
    }

    fn judged(&mut self, verdict: &Verdict) {
        self.tests = Some(fixed_and_broken(&verdict.changes));
        self.doing = Doing::Judged(match (&verdict.refused, verdict.verified) {
            (Some(_), _) => Judgement::Refused,
            (None, true) => Judgement::Verified,
            (None, false) => Judgement::Unverified,
        });
    }
}

/// What the model asked for. An answer without one call is followed by another answer.
fn called(generated: &Generated) -> Doing {
    let short = |text: &str| -> String { text.trim_start().chars().take(MOST_SHOWN).collect() };
    if let Some(call) = generated.calls.first() {
        return match Tool::from_name(&call.name) {
            Some(tool) => Doing::Tool(tool, short(&call.arguments)),
            None => Doing::Thinking,
        };
    }
    let text = &generated.text;
    let answer = call::answer_after_reasoning(text).unwrap_or(text);
    match call::parse(answer) {
        Ok(call) => Doing::Tool(call.tool, short(&call.content)),
        Err(_) => Doing::Thinking,
    }
}

/// What changed since the baseline, each command compared with itself.
pub(super) fn changes(baseline: &[TestRun], runs: &[TestRun]) -> Comparison {
    let mut all = Comparison::default();
    for run in runs {
        let before = baseline
            .iter()
            .find(|before| before.command.command == run.command.command);
        if let Some(before) = before {
            all.extend(compare(before, run));
        }
    }
    all
}

fn fixed_and_broken(changes: &Comparison) -> (usize, usize) {
    (changes.fixed.len(), changes.broken.len() + changes.vanished.len())
}

/// What is needed to compare with.
fn without_output(run: &TestRun) -> TestRun {
    TestRun {
        output: String::new(),
        ..run.clone()
    }
}

/// How fast tokens come.
#[derive(Debug, Default)]
struct Rate {
    /// When the first token came.
    since: Option<f64>,
    /// Tokens of each quarter of a second, with the time of its first.
    recent: VecDeque<(f64, usize)>,
}

impl Rate {
    fn add(&mut self, tokens: usize, now: f64) {
        self.since.get_or_insert(now);
        match self.recent.back_mut() {
            Some((time, sum)) if now - *time < 0.25 => *sum += tokens,
            _ => self.recent.push_back((now, tokens)),
        }
        while self
            .recent
            .front()
            .is_some_and(|(time, _)| now - time > RATE_WINDOW)
        {
            self.recent.pop_front();
        }
    }

    /// None until there is something to measure.
    fn per_second(&self, now: f64) -> Option<f64> {
        let span = (now - self.since?).min(RATE_WINDOW);
        let recent = self.recent.iter().filter(|(time, _)| now - time <= RATE_WINDOW);
        let tokens: usize = recent.map(|(_, tokens)| tokens).sum();
        (span >= 0.5).then(|| tokens as f64 / span)
    }
}
