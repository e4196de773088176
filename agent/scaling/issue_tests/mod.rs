//! Tests that were written for the issue: gathered, kept when they fail before anything is changed in the way that the issue tells of, and run on
//! every candidate.
//!
//! A test says one of three things (see [`WrittenTest`]): a script by what it prints, a file of tests in the repository's framework by which of its tests fail.

mod file;
mod parts;
mod script;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::sandbox::SandboxError;

use file::Results;

use super::ranking::Cell;
use super::side_by_side::side_by_side;
use super::validation::ValidateError;
use crate::rollout::{Control, Copies, TESTS_SAMPLE, TestFile, WrittenTest};
use crate::suite::{TestCommand, TestRun, alone};

/// So many candidates are tested at once at most.
const MOST_AT_ONCE: usize = 8;
/// How long a script may take before anything is changed, and with a patch so many times what it took then, and some seconds.
const TIME: Duration = Duration::from_secs(20);
const TIME_FACTOR: f64 = 5.0;
const TIME_SECONDS: f64 = 5.0;
/// After so many scripts that do not end with a patch, the others are not run: each would take its time.
const MOST_HANGS: usize = 3;
/// A file of tests is built first, as the suite is, so that before anything is changed it may take so many times what the suite took, and that time.
const SUITE_FACTOR: f64 = 2.0;

/// A written test, and how many samples wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueTest {
    /// The test.
    pub written: WrittenTest,
    /// Whether the user gave it.
    pub given: bool,
    /// How many samples wrote it.
    pub votes: usize,
    /// How long it took before anything was changed; none before it has run.
    pub seconds: Option<f64>,
    /// Of a file of tests, those that it claims something with, and whether they passed before anything was changed. Empty for a script, and before it
    /// has run.
    pub cases: BTreeMap<String, bool>,
    /// Of a claim that is one test of a file, the test's code without its name and layout. Empty where that is not known, and for others.
    pub code: String,
}

impl IssueTest {
    /// A test that has not run yet.
    pub fn new(written: WrittenTest) -> IssueTest {
        IssueTest {
            written,
            given: false,
            votes: 1,
            seconds: None,
            cases: BTreeMap::new(),
            code: String::new(),
        }
    }

    /// Whether both claim the same.
    pub(super) fn is_same(&self, other: &IssueTest) -> bool {
        self.written.name == other.written.name || !self.code.is_empty() && self.code == other.code
    }
}

/// What was heard of a test: what it said, what its file's tests did, and how long that took.
struct Heard {
    said: Said,
    results: Option<Results>,
    seconds: f64,
}

/// What a test said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Reproduced,
    Resolved,
    /// Something else, several things, or nothing.
    Other,
    /// It did not end.
    Hung,
    /// It was not run, for others did not end.
    Unasked,
}

/// Tests of several samples, each once, the most frequent first. What a sample wrote twice is one vote.
pub(super) fn gather(samples: &[Vec<WrittenTest>]) -> Vec<IssueTest> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut tests: Vec<(IssueTest, usize)> = Vec::new();
    for (sample, written) in samples.iter().enumerate() {
        for test in written {
            let place = *places.entry(without_layout(&test.script)).or_insert_with(|| {
                let test = IssueTest {
                    votes: 0,
                    ..IssueTest::new(test.clone())
                };
                tests.push((test, usize::MAX));
                tests.len() - 1
            });
            if let Some((known, last)) = tests.get_mut(place)
                && *last != sample
            {
                known.votes += 1;
                *last = sample;
            }
        }
    }
    let mut tests: Vec<IssueTest> = tests.into_iter().map(|(test, _)| test).collect();
    tests.sort_by_key(|test| std::cmp::Reverse(test.votes));
    tests
}

/// A script without what does not matter: blanks, and which quotes.
fn without_layout(script: &str) -> String {
    let signs = script.chars().filter(|sign| !sign.is_whitespace());
    signs.map(|sign| if sign == '\'' { '"' } else { sign }).collect()
}

/// What was heard of a test when another claim of the same file was run before.
fn known(test: &IssueTest, before: &[IssueTest], heard: &[Heard]) -> Option<Heard> {
    let file = test.written.file.as_ref()?;
    let same = |(other, _): &(&IssueTest, &Heard)| {
        other.written.file.as_ref() == Some(file) && other.written.script == test.written.script
    };
    let (_, heard) = before.iter().zip(heard).find(same)?;
    let results = heard.results.clone()?;
    Some(Heard {
        said: file::said(&test.cases, &results),
        results: Some(results),
        seconds: heard.seconds,
    })
}

/// How long a test may take: `most` before anything is changed, then no more than some times what it took.
fn limit(test: &IssueTest, most: Duration) -> Duration {
    match test.seconds {
        Some(seconds) => most.min(Duration::from_secs_f64(seconds * TIME_FACTOR + TIME_SECONDS)),
        None => most,
    }
}

/// Where tests are run.
#[derive(Clone, Copy)]
pub struct Stand<'a> {
    /// Where copies come from.
    pub copies: &'a Copies,
    /// Whether to go on.
    pub control: &'a Control,
    /// The commands that test the repository: they tell which Python is the right one, and how a file of tests is run.
    pub commands: &'a [TestCommand],
    /// What they said before anything was changed.
    pub baseline: &'a [TestRun],
}

impl Stand<'_> {
    /// The tests that say, each of two times, that the issue is there before anything is changed.
    ///
    /// # Errors
    ///
    /// When there is no copy, its sandbox is lost, or the user ends it.
    pub(super) fn kept(&self, tests: Vec<IssueTest>) -> Result<Vec<IssueTest>, ValidateError> {
        let first = self.heard("tests-base", None, &tests)?.unwrap_or_default();
        let mut claims = Vec::new();
        let mut broken = Vec::new();
        for (test, heard) in tests.into_iter().zip(first) {
            match (&test.written.file, heard.results) {
                (Some(_), Some(Results::Nothing)) => broken.push(test),
                (Some(file), Some(results)) => claims.extend(file::claims(&test, file, &results)),
                _ if heard.said == Said::Reproduced => claims.push(test),
                _ => {}
            }
        }
        claims.extend(self.mended(&broken)?);
        let mut kept = file::merged(claims);
        let again = self.heard("tests-base", None, &kept)?.unwrap_or_default();
        let mut again = again.into_iter();
        // The first file that runs in a copy takes the time in which everything is built, and it may be another one with a patch.
        let mut slowest: f64 = 0.0;
        kept.retain_mut(|test| {
            let Some(heard) = again.next() else {
                return false;
            };
            test.seconds = Some(heard.seconds);
            if test.written.file.is_some() {
                slowest = slowest.max(heard.seconds);
            }
            heard.said == Said::Reproduced
        });
        for test in kept.iter_mut().filter(|test| test.written.file.is_some()) {
            test.seconds = Some(slowest);
        }
        Ok(kept)
    }

    /// What files claim that cannot be built, without those of their tests for which they cannot.
    fn mended(&self, broken: &[IssueTest]) -> Result<Vec<IssueTest>, ValidateError> {
        let parts: Vec<Vec<IssueTest>> = broken.iter().map(parts::parts).collect();
        let heard = self
            .heard("tests-base", None, &parts.concat())?
            .unwrap_or_default();
        let mut results = heard.into_iter().map(|heard| heard.results);
        let mut claims = Vec::new();
        for (test, parts) in broken.iter().zip(&parts) {
            let own: Vec<Option<Results>> = results.by_ref().take(parts.len()).collect();
            if let (Some((built, results)), Some(file)) = (parts::built(test, &own), &test.written.file) {
                claims.extend(file::claims(&built, file, &results));
            }
        }
        Ok(claims)
    }

    /// What becomes of each test with a patch: passed when it says that the issue is gone, and nothing else. Nothing is known with a
    /// patch that cannot be applied.
    ///
    /// # Errors
    ///
    /// When there is no copy, or the user ends it. A patch that brings its sandbox down fails the tests.
    pub(super) fn cells(
        &self,
        name: &str,
        patch: &[u8],
        tests: &[IssueTest],
    ) -> Result<Vec<Cell>, ValidateError> {
        let Some(heard) = self.heard(name, Some(patch), tests)? else {
            return Ok(vec![Cell::Unknown; tests.len()]);
        };
        let cell = |heard: &Heard| match heard.said {
            Said::Resolved => Cell::Passed,
            Said::Reproduced | Said::Other | Said::Hung => Cell::Failed,
            Said::Unasked => Cell::Unknown,
        };
        Ok(heard.iter().map(cell).collect())
    }

    /// The same for several patches by their names, side by side.
    ///
    /// # Errors
    ///
    /// As of one.
    pub(super) fn all(
        &self,
        patches: &BTreeMap<&str, &[u8]>,
        tests: &[IssueTest],
    ) -> Result<BTreeMap<String, Vec<Cell>>, ValidateError> {
        let patches: Vec<(&str, &[u8])> = patches.iter().map(|(name, patch)| (*name, *patch)).collect();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let done = side_by_side(patches.len(), processors.min(MOST_AT_ONCE), |index| {
            let (name, patch) = patches.get(index)?;
            let cells = self.cells(&format!("{TESTS_SAMPLE}{name}"), patch, tests);
            Some(cells.map(|cells| ((*name).to_owned(), cells)))
        });
        done.into_iter().flatten().collect()
    }

    /// What each test says in one fresh copy; none where the patch does not apply. Claims of one file are heard at once.
    fn heard(
        &self,
        name: &str,
        patch: Option<&[u8]>,
        tests: &[IssueTest],
    ) -> Result<Option<Vec<Heard>>, ValidateError> {
        let mut copy: Option<IsolatedCopy> = None;
        let mut all: Vec<Heard> = Vec::new();
        let mut hangs = 0;
        for (index, test) in tests.iter().enumerate() {
            if self.control.stopped() {
                return Err(ValidateError::Interrupted);
            }
            if let Some(heard) = known(test, tests.get(..index).unwrap_or_default(), &all) {
                all.push(heard);
                continue;
            }
            if patch.is_some() && hangs >= MOST_HANGS {
                all.push(Heard {
                    said: Said::Unasked,
                    results: None,
                    seconds: 0.0,
                });
                continue;
            }
            let mut ready = match copy.take() {
                Some(ready) => ready,
                None => match self.open(name, patch)? {
                    Some(ready) => ready,
                    None => return Ok(None),
                },
            };
            let _registered = self.control.register(ready.session().interrupter());
            let started = Instant::now();
            let (said, results) = match self.run(&mut ready, test) {
                Ok(heard) => {
                    copy = Some(ready);
                    heard
                }
                // What brings the sandbox down fails; the next test has one of its own.
                Err(SandboxError::Lost(_) | SandboxError::Refused(_)) if !self.control.stopped() => {
                    (Said::Other, test.written.file.as_ref().map(|_| Results::Nothing))
                }
                Err(_) if self.control.stopped() => return Err(ValidateError::Interrupted),
                Err(error) => return Err(error.into()),
            };
            let seconds = started.elapsed().as_secs_f64();
            hangs += usize::from(said == Said::Hung);
            all.push(Heard {
                said,
                results,
                seconds,
            });
        }
        Ok(Some(all))
    }

    fn run(
        &self,
        copy: &mut IsolatedCopy,
        test: &IssueTest,
    ) -> Result<(Said, Option<Results>), SandboxError> {
        let script = &test.written.script;
        let Some(file) = &test.written.file else {
            let said = script::said(copy, script, self.commands, &self.copies.start, limit(test, TIME))?;
            return Ok((said, None));
        };
        let results = file::results(
            self,
            copy,
            file,
            script,
            limit(test, self.suite_time(file, script)),
        )?;
        Ok((file::said(&test.cases, &results), Some(results)))
    }

    /// How long a file of tests may take before anything is changed: the suite that it belongs to was built and run then too.
    fn suite_time(&self, file: &TestFile, text: &str) -> Duration {
        let (tree, start) = (self.copies.snapshot.tree(), &self.copies.start);
        let own = alone(&tree, start, self.commands, &file.path, text);
        let command = own.and_then(|(_, _, index)| self.commands.get(index));
        let run = self.baseline.iter().find(|run| Some(&run.command) == command);
        let seconds = run.map_or(0.0, |run| run.seconds);
        TIME + Duration::try_from_secs_f64(seconds * SUITE_FACTOR).unwrap_or_default()
    }

    fn open(&self, name: &str, patch: Option<&[u8]>) -> Result<Option<IsolatedCopy>, ValidateError> {
        let mut copy = self.copies.open(name)?;
        if let Some(patch) = patch
            && copy.apply(patch, true)?.is_err()
        {
            return Ok(None);
        }
        Ok(Some(copy))
    }
}

#[cfg(test)]
mod tests;
