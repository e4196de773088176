//! The matrix of evidence: what was run and what is seen of every candidate, gathered in the form that rankings go by.

use std::collections::BTreeMap;
use std::path::Path;

use super::form::{Form, form};
use super::issue_tests::{IssueTest, Stand};
use super::measure::Measure;
use super::ranking::{
    CandidateEvidence, Cell, Cells, EVIDENCE_SCHEMA, Evidence, Sign, TestColumn, TestSource,
};
use super::signs::{Clues, signs};
use super::validate::ValidateError;
use crate::rollout::journal::Verdict;
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

/// Candidates with everything that is known of them.
pub struct Matrix<'a> {
    cases: Vec<Case<'a>>,
    /// The exact names of the candidates' forms: those that are equal come to the same files.
    exact: Vec<String>,
    evidence: Evidence,
    /// Tests that were written for the issue and count, in the order of their columns.
    tests: Vec<IssueTest>,
}

impl<'a> Matrix<'a> {
    /// The candidates with what the repository's own tests say of them.
    pub fn of(base: Base<'_>, cases: Vec<Case<'a>>) -> Matrix<'a> {
        let failed = base.runs.iter().filter(|run| !run.all_pass());
        let failures: String = failed.map(|run| run.output.as_str()).collect();
        let clues = Clues::of(base.issue, &failures, |path| base.tree.join(path).is_file());
        let forms: Vec<Form> = cases.iter().map(|case| form(case.patch, base.tree)).collect();
        let candidates = cases.iter().zip(&forms);
        Matrix {
            evidence: Evidence {
                schema: EVIDENCE_SCHEMA,
                candidates: candidates
                    .map(|(case, form)| candidate(case, form, &clues))
                    .collect(),
                tests: repository_columns(&cases),
                passed_before: base.runs.iter().map(|run| run.count(Status::passes)).sum(),
            },
            exact: forms.into_iter().map(|form| form.exact).collect(),
            tests: Vec::new(),
            cases,
        }
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
    pub(super) fn patch(&self, index: usize) -> Option<&'a [u8]> {
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
        let mut kept = stand.kept(new)?;
        // What a file claims is known only now.
        kept.retain(|test| !known(test));
        if kept.is_empty() {
            return Ok(false);
        }
        let tried = self
            .exact
            .iter()
            .zip(&self.cases)
            .filter(|(_, case)| case.is_tried());
        let mut patches: BTreeMap<&str, &[u8]> = BTreeMap::new();
        for (exact, case) in tried {
            patches.entry(exact).or_insert(case.patch);
        }
        let said = stand.all(&patches, &kept)?;
        for (place, test) in kept.iter().enumerate() {
            let cell = |(exact, case): (&String, &Case<'_>)| {
                let row = said.get(exact.as_str()).filter(|_| case.is_tried());
                let cell = row.and_then(|row: &Vec<Cell>| row.get(place));
                cell.copied().unwrap_or(Cell::Unknown)
            };
            self.evidence.tests.push(TestColumn {
                name: test.written.name.clone(),
                source: TestSource::Written,
                asks: test.written.asks.clone(),
                votes: test.votes,
                cells: Cells(self.exact.iter().zip(&self.cases).map(cell).collect()),
            });
        }
        self.tests.extend(kept);
        Ok(true)
    }
}

/// What is known of a candidate besides its tests.
fn candidate(case: &Case<'_>, form: &Form, clues: &Clues) -> CandidateEvidence {
    let measure = Measure::of(case.patch);
    let mut signs = signs(case.patch, &measure, form.changes_code, clues);
    if case.verdict.runs.iter().any(|run| run.ending != RunEnding::Ran) {
        signs.push(Sign::DoesNotEnd);
    }
    CandidateEvidence {
        name: case.name.to_owned(),
        refused: case.verdict.refused.clone(),
        verified: case.verdict.verified,
        only_tests: measure.only_tests,
        partial: is_partial(case),
        form: form.name.clone(),
        lines: measure.lines,
        tokens: case.tokens,
        signs,
    }
}

/// Whether only tests that failed before were run with a candidate.
fn is_partial(case: &Case<'_>) -> bool {
    case.verdict.runs.iter().any(TestRun::is_partial)
}

/// What the repository's own tests say of each candidate: those that failed, and of those that passed the ones that some candidate breaks.
fn repository_columns(cases: &[Case<'_>]) -> Vec<TestColumn> {
    let mut columns: BTreeMap<(bool, &str), Vec<Cell>> = BTreeMap::new();
    // What a candidate's list of changes leaves out passed, where everything was run.
    let unsaid = |passed_before: bool, case: &Case<'_>| {
        let ran = case.is_tried() && !is_partial(case);
        if passed_before && ran {
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
                let unsaid = |case| unsaid(passed_before, case);
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
        votes: 1,
        cells: Cells(cells),
    };
    columns.into_iter().map(column).collect()
}

#[cfg(test)]
#[path = "matrix_tests.rs"]
mod tests;
