//! The matrix of evidence: what was run and what is seen of every candidate, gathered in the form that rankings go by.

use std::collections::BTreeMap;
use std::path::Path;

use super::signs::{Clues, signs};
use crate::rollout::Control;
use crate::rollout::journal::Verdict;
use crate::scaling::issue_tests::{IssueTest, Stand};
use crate::scaling::ranking::{
    CandidateEvidence, Cell, Cells, EVIDENCE_SCHEMA, Evidence, Rule, Sign, TestColumn, TestSource, Weights,
    order,
};
use crate::scaling::validation::{Form, Measure, Trials, ValidateError, form};
use crate::suite::{RunEnding, Status, TestRun};

/// A candidate that was tried.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it changes.
    pub patch: &'a [u8],
    /// Tokens that were sampled for it; 0 where that is not known.
    pub tokens: usize,
    /// What it did in a fresh copy.
    pub verdict: &'a Verdict,
}

/// What candidates are candidates for.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The tree that they change.
    pub tree: &'a Path,
    /// The issue; empty where it is not known.
    pub issue: &'a str,
    /// What the tests said before anything was changed.
    pub runs: &'a [TestRun],
}

impl Case<'_> {
    /// Whether it could be tried.
    fn is_tried(&self) -> bool {
        self.verdict.refused.is_none()
    }
}

/// Tests for the issue that count, and what they said of patches.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// The tests.
    pub(in crate::scaling) tests: Vec<IssueTest>,
    /// One cell a test, by the exact names of the patches' forms.
    pub(in crate::scaling) said: BTreeMap<String, Vec<Cell>>,
}

/// Candidates with everything that is known of them.
pub struct Matrix<'a> {
    cases: Vec<Case<'a>>,
    /// What cases did whose verdicts were not yet whole.
    settled: BTreeMap<usize, Verdict>,
    forms: Vec<Form>,
    clues: Clues,
    /// How many commands test the repository.
    commands: usize,
    evidence: Evidence,
    /// Tests that were written for the issue and count, in the order of their columns.
    tests: Vec<IssueTest>,
}

impl<'a> Matrix<'a> {
    /// The candidates with what the repository's own tests say of them.
    pub fn of(base: Base<'_>, cases: Vec<Case<'a>>) -> Matrix<'a> {
        // What nobody mends may fail for reasons that have nothing to do with the issue.
        let is_mended = cases.iter().any(|case| !case.verdict.changes.fixed.is_empty());
        let failed = base.runs.iter().filter(|run| is_mended && !run.all_pass());
        let failures: String = failed.map(|run| run.output.as_str()).collect();
        let clues = Clues::of(base.issue, &failures, |path| base.tree.join(path).is_file());
        let forms: Vec<Form> = cases.iter().map(|case| form(case.patch, base.tree)).collect();
        let mut matrix = Matrix {
            evidence: Evidence {
                schema: EVIDENCE_SCHEMA,
                passed_before: base.runs.iter().map(|run| run.count(Status::passes)).sum(),
                ..Evidence::default()
            },
            settled: BTreeMap::new(),
            forms,
            clues,
            commands: base.runs.len(),
            tests: Vec::new(),
            cases,
        };
        matrix.take_verdicts();
        matrix
    }

    /// Has every candidate tried with all tests that comes first and was tried with some; what that shows may put another one first.
    ///
    /// # Errors
    ///
    /// When nothing can be run, or the user ends it.
    pub fn settle(
        &mut self,
        trials: &Trials<'_>,
        rule: Rule,
        weights: &Weights,
        control: &Control,
    ) -> Result<(), ValidateError> {
        loop {
            let places = order(&self.evidence, rule, weights);
            let first = places.first().map_or(0, |place| place.index);
            let cases = self.verdicts();
            let Some(case) = cases.get(first).filter(|case| case.verdict.postponed) else {
                return Ok(());
            };
            let whole = trials.whole(&case.verdict.attempt, case.patch, control)?;
            self.settled.insert(first, whole);
            self.take_verdicts();
        }
    }

    /// Takes down that the model prefers a candidate to others that are as good.
    pub(in crate::scaling) fn prefer(&mut self, index: usize) {
        if let Some(candidate) = self.evidence.candidates.get_mut(index) {
            candidate.preferred += 1;
        }
    }

    /// Verdicts that became whole, by the candidates' places.
    pub fn settled(&self) -> &BTreeMap<usize, Verdict> {
        &self.settled
    }

    /// The cases with what is known of them by now.
    fn verdicts(&self) -> Vec<Case<'_>> {
        let cases = self.cases.iter().enumerate();
        let known = cases.map(|(index, case)| Case {
            verdict: self.settled.get(&index).unwrap_or(case.verdict),
            ..*case
        });
        known.collect()
    }

    /// Makes the evidence of the repository's own tests, by the verdicts that there are now.
    fn take_verdicts(&mut self) {
        let cases = self.verdicts();
        let candidates = cases.iter().zip(&self.forms).enumerate();
        let candidates = candidates
            .map(|(index, (case, form))| CandidateEvidence {
                preferred: self.evidence.candidates.get(index).map_or(0, |old| old.preferred),
                ..candidate(case, form, &self.clues, self.commands)
            })
            .collect();
        let mut tests = repository_columns(&cases, self.commands);
        let is_written = |test: &TestColumn| test.source == TestSource::Written;
        tests.extend(
            self.evidence
                .tests
                .iter()
                .filter(|test| is_written(test))
                .cloned(),
        );
        self.evidence.candidates = candidates;
        self.evidence.tests = tests;
    }

    /// The tests that count so far, in the order of their columns.
    pub fn tests(&self) -> &[IssueTest] {
        &self.tests
    }

    /// Everything that is known, in the form that rankings go by.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// A candidate's patch.
    pub(in crate::scaling) fn patch(&self, index: usize) -> Option<&'a [u8]> {
        self.cases.get(index).map(|case| case.patch)
    }

    /// Keeps of written tests what is new and fails before anything is changed, as the issue says, and runs it on every candidate; on those that
    /// come to the same files once. Whether anything was kept.
    ///
    /// # Errors
    ///
    /// When nothing can be run, or the user ends it.
    pub fn hear(&mut self, written: &[IssueTest], stand: Stand<'_>) -> Result<bool, ValidateError> {
        let known = |test: &IssueTest| self.tests.iter().any(|known| known.is_same(test));
        let new: Vec<IssueTest> = written.iter().filter(|test| !known(test)).cloned().collect();
        let mut tests = stand.kept(new)?;
        // What a file claims is known only now.
        tests.retain(|test| !known(test));
        let kept = Heard {
            tests,
            said: BTreeMap::new(),
        };
        let keeps_some = !kept.tests.is_empty();
        self.add(kept, stand)?;
        Ok(keeps_some)
    }

    /// Adds tests that count, and runs them on the candidates of which it is not known what they say.
    pub(in crate::scaling) fn add(&mut self, heard: Heard, stand: Stand<'_>) -> Result<(), ValidateError> {
        let Heard { tests, mut said } = heard;
        if tests.is_empty() {
            return Ok(());
        }
        let tried = self.forms.iter().zip(&self.cases);
        let mut patches: BTreeMap<&str, &[u8]> = BTreeMap::new();
        for (form, case) in tried.filter(|(_, case)| case.is_tried()) {
            if !said.contains_key(&form.exact) {
                patches.entry(&form.exact).or_insert(case.patch);
            }
        }
        said.extend(stand.all(&patches, &tests)?);
        for (place, test) in tests.iter().enumerate() {
            let cell = |(form, case): (&Form, &Case<'_>)| {
                let row = said.get(form.exact.as_str()).filter(|_| case.is_tried());
                let cell = row.and_then(|row: &Vec<Cell>| row.get(place));
                cell.copied().unwrap_or(Cell::Unknown)
            };
            self.evidence.tests.push(TestColumn {
                name: test.written.name.clone(),
                source: TestSource::Written,
                asks: test.written.asks.clone(),
                given: test.given,
                votes: test.votes,
                cells: Cells(self.forms.iter().zip(&self.cases).map(cell).collect()),
            });
        }
        self.tests.extend(tests);
        Ok(())
    }

    /// Whether it is known what tests say of every candidate.
    pub(in crate::scaling) fn is_told(&self, heard: &Heard) -> bool {
        let mut candidates = self.forms.iter().zip(&self.cases);
        candidates.all(|(form, case)| !case.is_tried() || heard.said.contains_key(&form.exact))
    }
}

/// What is known of a candidate besides its tests.
fn candidate(case: &Case<'_>, form: &Form, clues: &Clues, commands: usize) -> CandidateEvidence {
    let measure = Measure::of(case.patch);
    let mut signs = signs(case.patch, &measure, form.changes_code, clues);
    // That no test can be collected is told by the tests that are missing.
    let is_cut_off = |run: &TestRun| matches!(run.ending, RunEnding::TimedOut | RunEnding::Stopped { .. });
    if case.verdict.runs.iter().any(is_cut_off) {
        signs.push(Sign::DoesNotEnd);
    }
    CandidateEvidence {
        name: case.name.to_owned(),
        refused: case.verdict.refused.clone(),
        verified: case.verdict.verified,
        only_tests: measure.only_tests,
        partial: is_partial(case, commands),
        form: form.name.clone(),
        preferred: 0,
        lines: measure.lines,
        tokens: case.tokens,
        signs,
    }
}

/// Whether only some of the tests were run with a candidate.
fn is_partial(case: &Case<'_>, commands: usize) -> bool {
    let runs = &case.verdict.runs;
    case.is_tried() && (runs.len() < commands || runs.iter().any(TestRun::is_partial))
}

/// What the repository's own tests say of each candidate: those that failed, and of those that passed the ones that some candidate breaks.
fn repository_columns(cases: &[Case<'_>], commands: usize) -> Vec<TestColumn> {
    let mut columns: BTreeMap<(bool, &str), Vec<Cell>> = BTreeMap::new();
    // What a candidate's list of changes leaves out passed, where it was run.
    let unsaid = |passed_before: bool, name: &str, case: &Case<'_>| {
        let told = |run: &TestRun| run.tests.get(name).is_some_and(|test| test.status.passes());
        let ran = !is_partial(case, commands) || case.verdict.runs.iter().any(told);
        if passed_before && case.is_tried() && ran {
            Cell::Passed
        } else {
            Cell::Unknown
        }
    };
    for (index, case) in cases.iter().enumerate() {
        let changes = &case.verdict.changes;
        let lists = [
            (false, Cell::Passed, &changes.fixed),
            (false, Cell::Failed, &changes.still_failing),
            (true, Cell::Failed, &changes.broken),
            (true, Cell::Failed, &changes.vanished),
            (true, Cell::Failed, &changes.new_failing),
        ];
        for (passed_before, cell, names) in lists {
            for name in names {
                let unsaid = |case| unsaid(passed_before, name, case);
                let column = columns.entry((passed_before, name));
                let cells = column.or_insert_with(|| cases.iter().map(unsaid).collect());
                if let Some(place) = cells.get_mut(index) {
                    *place = cell;
                }
            }
        }
    }
    let column = |((passed_before, name), cells): ((bool, &str), Vec<Cell>)| TestColumn {
        name: name.to_owned(),
        source: if passed_before {
            TestSource::Passing
        } else {
            TestSource::Failing
        },
        asks: String::new(),
        given: false,
        votes: 1,
        cells: Cells(cells),
    };
    columns.into_iter().map(column).collect()
}

#[cfg(test)]
#[path = "matrix_tests.rs"]
mod tests;
