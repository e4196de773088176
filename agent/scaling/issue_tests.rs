//! Tests that were written for the issue: gathered, kept when they fail before anything is changed in the way that the issue tells of, and run on
//! every candidate.
//!
//! A test says one of three things (see [`WrittenTest`]). What it prints is told from what the code under test prints by a mark that is
//! put into the script right before it runs, and that the code cannot know.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::sandbox::SandboxError;
use cwm_tools::shell_word::quoted;

use super::ranking::Cell;
use super::side_by_side::side_by_side;
use super::validate::ValidateError;
use crate::rollout::{Control, Copies, TESTS_SAMPLE, WrittenTest};
use crate::suite::{RunEnding, RunOptions, TestCommand, run};

/// So many candidates are tested at once at most.
const MOST_AT_ONCE: usize = 8;
/// How long a script may take before anything is changed, and with a patch so many times what it took then, and some seconds.
const TIME: Duration = Duration::from_secs(20);
const TIME_FACTOR: f64 = 5.0;
const TIME_SECONDS: f64 = 5.0;
/// After so many scripts that do not end with a patch, the others are not run: each would take its time.
const MOST_HANGS: usize = 3;
/// Bytes of a script's output that are read.
const MOST_OUTPUT: usize = 64 << 10;
/// The name of the file that a script is run from.
const FILE: &str = "test_issue.py";

/// A written test, and how many samples wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueTest {
    /// The test.
    pub written: WrittenTest,
    /// How many samples wrote it.
    pub votes: usize,
    /// How long it took before anything was changed; none before it has run.
    pub seconds: Option<f64>,
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
                tests.push((
                    IssueTest {
                        written: test.clone(),
                        votes: 0,
                        seconds: None,
                    },
                    usize::MAX,
                ));
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

/// Where tests are run.
#[derive(Clone, Copy)]
pub struct Stand<'a> {
    /// Where copies come from.
    pub copies: &'a Copies,
    /// Whether to go on.
    pub control: &'a Control,
    /// The commands that test the repository: they tell which Python is the right one.
    pub commands: &'a [TestCommand],
}

impl Stand<'_> {
    /// The tests that say, each of two times, that the issue is there before anything is changed.
    ///
    /// # Errors
    ///
    /// When there is no copy, its sandbox is lost, or the user ends it.
    pub(super) fn kept(&self, tests: Vec<IssueTest>) -> Result<Vec<IssueTest>, ValidateError> {
        let mut kept = tests;
        for _ in 0..2 {
            if kept.is_empty() {
                break;
            }
            let said = self.said("tests-base", None, &kept)?.unwrap_or_default();
            let mut said = said.into_iter();
            kept.retain_mut(|test| {
                let said = said.next();
                test.seconds = said.map(|(_, seconds)| seconds);
                said.is_some_and(|(said, _)| said == Said::Reproduced)
            });
        }
        Ok(kept)
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
        let Some(said) = self.said(name, Some(patch), tests)? else {
            return Ok(vec![Cell::Unknown; tests.len()]);
        };
        let cell = |(said, _): &(Said, f64)| match said {
            Said::Resolved => Cell::Passed,
            Said::Reproduced | Said::Other | Said::Hung => Cell::Failed,
            Said::Unasked => Cell::Unknown,
        };
        Ok(said.iter().map(cell).collect())
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

    /// What each test says in one fresh copy, and how long it took; none where the patch does not apply.
    fn said(
        &self,
        name: &str,
        patch: Option<&[u8]>,
        tests: &[IssueTest],
    ) -> Result<Option<Vec<(Said, f64)>>, ValidateError> {
        let mut copy: Option<IsolatedCopy> = None;
        let mut all: Vec<(Said, f64)> = Vec::new();
        for test in tests {
            if self.control.stopped() {
                return Err(ValidateError::Interrupted);
            }
            let hangs = all.iter().filter(|(said, _)| *said == Said::Hung).count();
            if patch.is_some() && hangs >= MOST_HANGS {
                all.push((Said::Unasked, 0.0));
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
            let said = match self.run(&mut ready, test) {
                Ok(said) => {
                    copy = Some(ready);
                    said
                }
                // What brings the sandbox down fails; the next test has one of its own.
                Err(SandboxError::Lost(_) | SandboxError::Refused(_)) if !self.control.stopped() => {
                    Said::Other
                }
                Err(_) if self.control.stopped() => return Err(ValidateError::Interrupted),
                Err(error) => return Err(error.into()),
            };
            all.push((said, started.elapsed().as_secs_f64()));
        }
        Ok(Some(all))
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

    fn run(&self, copy: &mut IsolatedCopy, test: &IssueTest) -> Result<Said, SandboxError> {
        let mark = format!("{:016x}", rand_mark());
        let path = copy.root().join(FILE).display().to_string();
        let folder = quoted(&copy.root().display().to_string());
        let python = self.python();
        let file = quoted(&path);
        // The shell writes the file: a patch may have put another one there.
        let command = format!(
            "cd {folder} && rm -rf {file} && cat > {file} <<'END-OF-{mark}'\n{}\nEND-OF-{mark}\n{python} -B {file}",
            marked(&test.written.script, &mark)
        );
        let options = RunOptions {
            timeout: match test.seconds {
                Some(seconds) => TIME.min(Duration::from_secs_f64(seconds * TIME_FACTOR + TIME_SECONDS)),
                None => TIME,
            },
            most_output: MOST_OUTPUT,
            ..RunOptions::default()
        };
        let done = run(copy.session(), &TestCommand::given(&command), &options)?;
        Ok(match done.ending {
            RunEnding::TimedOut => Said::Hung,
            RunEnding::Stopped { .. } => Said::Other,
            RunEnding::Ran | RunEnding::NotStarted { .. } => told(&done.output, &mark),
        })
    }

    /// The Python that runs the repository's own tests, where they name one; else the usual one.
    fn python(&self) -> String {
        let mut words = self
            .commands
            .iter()
            .flat_map(|test| test.command.split_whitespace());
        let is_python = |word: &&str| {
            let name = word.rsplit('/').next().unwrap_or_default();
            name.strip_prefix("python")
                .is_some_and(|rest| rest.chars().all(|sign| sign.is_ascii_digit() || sign == '.'))
        };
        match words.find(is_python) {
            Some(word) => quoted(word),
            None => "$(command -v python || command -v python3)".to_owned(),
        }
    }
}

/// A number that nothing under test can foresee.
fn rand_mark() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's own keys are random.
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

/// A script whose phrases carry a mark.
fn marked(script: &str, mark: &str) -> String {
    WrittenTest::PHRASES
        .iter()
        .fold(script.to_owned(), |script, phrase| {
            script.replace(phrase, &format!("{phrase} {mark}"))
        })
}

/// What an output says: the issue is gone only where every marked line says so.
fn told(output: &str, mark: &str) -> Said {
    let says = |phrase: &str| output.contains(&format!("{phrase} {mark}"));
    match WrittenTest::PHRASES.map(says) {
        [true, false, false] => Said::Reproduced,
        [false, true, false] => Said::Resolved,
        _ => Said::Other,
    }
}

#[cfg(test)]
#[path = "issue_tests_tests.rs"]
mod tests;
