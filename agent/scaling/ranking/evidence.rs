//! What is known of the candidates of one issue: a matrix of tests and candidates, and what each patch shows by itself.
//!
//! It is data that a person can read and a file can hold, so that a ranking can be made again from it, by another rule or with other
//! weights, without running anything.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of the form. It grows when a field is renamed, removed or changes its meaning.
pub const EVIDENCE_SCHEMA: u32 = 1;

/// Everything that a ranking goes by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`EVIDENCE_SCHEMA`] when it was written.
    pub schema: u32,
    /// In the order in which they were made.
    pub candidates: Vec<CandidateEvidence>,
    /// Tests with what became of each with each candidate. Of those that passed before, only those that a candidate breaks.
    pub tests: Vec<TestColumn>,
    /// How many of the repository's tests passed before anything was changed.
    #[serde(default)]
    pub passed_before: usize,
}

/// What is known of a candidate besides its tests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CandidateEvidence {
    /// Its name.
    pub name: String,
    /// Why it could not be tried: it does not apply, it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether every test of the user's that failed passes with it, and nothing is broken.
    #[serde(default)]
    pub verified: bool,
    /// Whether it changes nothing but tests.
    #[serde(default)]
    pub only_tests: bool,
    /// Whether not all of the repository's tests were run with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Equal for patches that come to the same code, comments, layout and names of locals aside.
    pub form: String,
    /// Lines that it adds and removes outside of tests.
    #[serde(default)]
    pub lines: usize,
    /// Tokens that were sampled for it; 0 where that is not known.
    #[serde(default)]
    pub tokens: usize,
    /// How many that are as good by everything else the model was asked to compare it with and found worse, whichever it was shown first.
    #[serde(default, skip_serializing_if = "is_none")]
    pub preferred: usize,
    /// What speaks against it without being run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

/// Something in a patch that right patches seldom show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It changes no code: comments and layout at most.
    NoCode,
    /// It compares with, or returns, a value that a test or the issue expects.
    ExpectedValue,
    /// It catches errors and goes on as if there were none.
    SwallowsErrors,
    /// It ends the process.
    EndsProcess,
    /// It reaches for what runs the tests.
    TouchesRunner,
    /// It deletes tests, has them skipped, or takes checks out of them.
    WeakensTests,
    /// It changes a file that says how tests are run.
    ChangesSettings,
    /// A command did not run to its end with it.
    DoesNotEnd,
    /// It changes none of the files that what failed names.
    Elsewhere,
}

impl Sign {
    /// The sign in words, as said of a patch.
    pub fn words(self) -> &'static str {
        match self {
            Sign::NoCode => "changes no code",
            Sign::ExpectedValue => "holds a value that a test expects",
            Sign::SwallowsErrors => "catches errors and goes on",
            Sign::EndsProcess => "ends the process",
            Sign::TouchesRunner => "reaches for what runs the tests",
            Sign::WeakensTests => "weakens tests",
            Sign::ChangesSettings => "changes how tests are run",
            Sign::DoesNotEnd => "keeps a command from ending",
            Sign::Elsewhere => "changes none of the files that the failure names",
        }
    }
}

/// Where a test comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestSource {
    /// The repository's, and it failed before anything was changed.
    Failing,
    /// The repository's, and it passed then.
    Passing,
    /// Written for the issue; it failed before anything was changed, in the way that the issue tells of.
    Written,
}

impl TestSource {
    /// Whether such a test tells of the issue.
    pub(in crate::scaling) fn tells(self) -> bool {
        self != TestSource::Passing
    }
}

/// A test, and what became of it with each candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestColumn {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: TestSource,
    /// What it looks at, where that is known: tests that look at the same thing and want different things cannot all be right.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asks: String,
    /// Whether the user gave it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given: bool,
    /// How many times it was written, by independent samples. 1 for the repository's.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub votes: usize,
    /// One a candidate, in their order.
    pub cells: Cells,
}

fn once() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_once(votes: &usize) -> bool {
    *votes == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_none(preferred: &usize) -> bool {
    *preferred == 0
}

/// What became of a test with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// It passed.
    Passed,
    /// It failed, or said nothing of what it was asked.
    Failed,
    /// It was not run.
    Unknown,
}

/// A row of cells; in files a text of `+`, `-` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cells(pub Vec<Cell>);

impl Cells {
    /// The cell of a candidate; unknown where there is none.
    pub fn of(&self, candidate: usize) -> Cell {
        self.0.get(candidate).copied().unwrap_or(Cell::Unknown)
    }

    /// The cells of candidates in another order.
    pub fn arranged(&self, order: &[usize]) -> Cells {
        Cells(order.iter().map(|index| self.of(*index)).collect())
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cell in &self.0 {
            out.write_str(match cell {
                Cell::Passed => "+",
                Cell::Failed => "-",
                Cell::Unknown => "?",
            })?;
        }
        Ok(())
    }
}

impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cells, D::Error> {
        let text = String::deserialize(deserializer)?;
        let cell = |sign: char| match sign {
            '+' => Ok(Cell::Passed),
            '-' => Ok(Cell::Failed),
            '?' => Ok(Cell::Unknown),
            other => Err(serde::de::Error::custom(format!(
                "a cell is `+`, `-` or `?`, not `{other}`"
            ))),
        };
        text.chars().map(cell).collect::<Result<_, _>>().map(Cells)
    }
}

impl Evidence {
    /// The same for some of the candidates, in this order: as if the others had not been made. What is left out by index that there is
    /// not is passed over.
    pub fn of_some(&self, candidates: &[usize]) -> Evidence {
        let column = |test: &TestColumn| TestColumn {
            cells: test.cells.arranged(candidates),
            ..test.clone()
        };
        Evidence {
            schema: self.schema,
            candidates: candidates
                .iter()
                .filter_map(|index| self.candidates.get(*index).cloned())
                .collect(),
            tests: self.tests.iter().map(column).collect(),
            passed_before: self.passed_before,
        }
    }

    /// What became of each test with a candidate. Of tests that passed before those count as passed that were not run: what was left for later is
    /// taken to be as it was.
    pub(in crate::scaling) fn outcomes(&self, index: usize) -> Vec<Cell> {
        let outcome = |test: &TestColumn| match test.cells.of(index) {
            Cell::Unknown if !test.source.tells() && self.is_tried(index) => Cell::Passed,
            cell => cell,
        };
        self.tests.iter().map(outcome).collect()
    }

    /// How many of the tests that were written for the issue a candidate passes, and of how many.
    pub fn written(&self, index: usize) -> (usize, usize) {
        let written = self.columns(TestSource::Written);
        let passed = written.filter(|test| test.cells.of(index) == Cell::Passed);
        (passed.count(), self.columns(TestSource::Written).count())
    }

    /// How many of the candidates could be tried.
    pub(in crate::scaling) fn tried(&self) -> usize {
        (0..self.candidates.len())
            .filter(|index| self.is_tried(*index))
            .count()
    }

    /// Whether there is a candidate of that index that could be tried.
    pub(in crate::scaling) fn is_tried(&self, index: usize) -> bool {
        let candidate = self.candidates.get(index);
        candidate.is_some_and(|candidate| candidate.refused.is_none())
    }

    /// The columns of one source.
    pub(super) fn columns(&self, source: TestSource) -> impl Iterator<Item = &TestColumn> {
        self.tests.iter().filter(move |test| test.source == source)
    }
}
