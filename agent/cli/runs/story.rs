//! A run's journal as a story: how it began, what each attempt did, how it ended.

use cwm_tools::workspace::runs::{JOURNAL, RunFolder};

use crate::cli::{ExitCode, Failure};
use crate::rollout::journal::{self, Line, Record, RunRecord, Verdict};
use crate::rollout::{Candidate, Strategy, writes_tests};

/// All that a journal holds.
pub(super) struct Story {
    lines: Vec<Line>,
}

/// One attempt of it.
pub(super) struct AttemptStory<'s> {
    pub(super) name: &'s str,
    /// Its steps that count, and the notices between them.
    pub(super) steps: Vec<&'s Record>,
    pub(super) candidate: Option<&'s Candidate>,
    pub(super) verdict: Option<&'s Verdict>,
}

/// How the run ended.
pub(super) struct Ended<'s> {
    pub(super) chosen: Option<&'s str>,
    pub(super) verified: bool,
    pub(super) outcome: &'s str,
    pub(super) seconds: f64,
}

impl Story {
    /// Reads a run's journal, also while it is being written.
    pub(super) fn read(run: &RunFolder) -> anyhow::Result<Story> {
        let path = run.path.join(JOURNAL);
        if !path.is_file() {
            let message = format!("Run {} has no journal: no model worked on it.", run.id);
            return Err(Failure::new(ExitCode::Usage, message)
                .with_hint("`cwm runs list` shows the runs that have one.")
                .into());
        }
        let lines = journal::read(&path).map_err(|error| {
            Failure::new(
                ExitCode::Environment,
                format!("{}.", super::sentence(&error.to_string())),
            )
        })?;
        Ok(Story { lines })
    }

    /// Its lines, as they stand in the journal.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Everything in its order.
    pub(super) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.lines.iter().map(|line| &line.record)
    }

    /// When the run began, in seconds since 1970, and what it depends on.
    pub(super) fn beginning(&self) -> Option<(f64, &RunRecord)> {
        self.lines.iter().find_map(|line| match &line.record {
            Record::Run(run) => Some((line.time, &**run)),
            _ => None,
        })
    }

    /// How it ended, when it did.
    pub(super) fn end(&self) -> Option<Ended<'_>> {
        self.records().rev().find_map(|record| match record {
            Record::End {
                chosen,
                verified,
                outcome,
                seconds,
            } => Some(Ended {
                chosen: chosen.as_deref(),
                verified: *verified,
                outcome,
                seconds: *seconds,
            }),
            _ => None,
        })
    }

    /// Its attempts, in the order in which they began.
    pub(super) fn attempts(&self) -> Vec<AttemptStory<'_>> {
        let mut names: Vec<&str> = Vec::new();
        for record in self.records() {
            let is_new = |name: &&str| !names.contains(name) && !writes_tests(name);
            let name = record.attempt().filter(is_new);
            names.extend(name);
        }
        names.into_iter().map(|name| self.attempt(name)).collect()
    }

    fn attempt<'s>(&'s self, name: &'s str) -> AttemptStory<'s> {
        AttemptStory {
            name,
            steps: journal::steps_of(self.records(), name),
            candidate: self.records().rev().find_map(|record| match record {
                Record::Candidate(candidate) if candidate.attempt == name => Some(&**candidate),
                _ => None,
            }),
            verdict: self.records().rev().find_map(|record| match record {
                Record::Validation(verdict) if verdict.attempt == name => Some(&**verdict),
                _ => None,
            }),
        }
    }
}

impl AttemptStory<'_> {
    /// How it works and the seed and temperature of its tokens.
    pub(super) fn beginning(&self) -> Option<(Strategy, u64, f32)> {
        self.steps.iter().find_map(|record| match record {
            Record::Attempt {
                strategy, sampling, ..
            } => Some((*strategy, sampling.seed, sampling.temperature)),
            _ => None,
        })
    }
}
