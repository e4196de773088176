//! What the tests say before anything is changed.

use super::pass::{Bench, Pass, Piece, unsteady};
use super::screen::is_screened;
use super::validate::{ValidateError, ValidateOptions};
use crate::rollout::{Control, Copies};
use crate::suite::{RunEnding, RunOptions, TestCommand, TestRun};

/// Watching what code tests run slows them down: then they may take so many times what they may take.
const SLOWED: u32 = 4;

/// What every patch is compared with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    /// What the commands said, one each.
    pub runs: Vec<TestRun>,
    /// Tests that said something else when they were run again.
    pub flaky: Vec<String>,
}

/// Runs the commands in a fresh copy named `name`. Unless it is to be done once, they are run again in another when something fails, to
/// tell the tests that fail each time from those that do not. Of a command that ended by itself only once, that run counts. Where all take so long
/// that patches are tried with some first, the second run tells what code each test runs.
///
/// # Errors
///
/// When there is no copy, its sandbox is lost, or the user ends it. Tests that fail, hang or do not start are a result.
pub fn baseline(
    copies: &Copies,
    name: &str,
    commands: &[TestCommand],
    options: &ValidateOptions,
    control: &Control,
) -> Result<Baseline, ValidateError> {
    let pass = |commands: &[TestCommand], covers: bool| {
        let slowed = RunOptions {
            timeout: options.run.timeout * SLOWED,
            ..options.run.clone()
        };
        let bench = Bench {
            copies,
            name,
            options: if covers { &slowed } else { &options.run },
            control,
            leave_tests: true,
            covers,
        };
        match bench.pass(None, commands.iter().map(Piece::whole))? {
            Pass::Ran { runs, .. } => Ok(runs),
            Pass::Refused(why) => Err(ValidateError::Baseline(why)),
        }
    };
    let mut runs = pass(commands, false)?;
    // What hung once may not hang each time; what cannot be started stays so.
    let doubtful = |run: &TestRun| !matches!(run.ending, RunEnding::NotStarted { .. }) && !run.all_pass();
    let again = runs.iter().rposition(doubtful).map_or(0, |last| last + 1);
    let mut flaky = Vec::new();
    if !options.once && again > 0 {
        // What runs before a command may be what it needs.
        let commands = commands.get(..again).unwrap_or_default();
        let covers = is_screened(&runs, options.budget);
        let mut second = pass(commands, covers)?;
        for (run, other) in runs.iter_mut().zip(&mut second) {
            run.coverage = std::mem::take(&mut other.coverage);
        }
        flaky = unsteady(&runs, &second);
        // It may have been the watching that made the difference.
        if covers && !flaky.is_empty() {
            second = pass(commands, false)?;
            flaky = unsteady(&runs, &second);
        }
        settle(&mut runs, second);
    }
    Ok(Baseline { runs, flaky })
}

/// Puts runs that ended by themselves in the places of those that did not: they say more of the tests.
fn settle(runs: &mut [TestRun], second: Vec<TestRun>) {
    for (run, other) in runs.iter_mut().zip(second) {
        if run.ending != RunEnding::Ran && other.ending == RunEnding::Ran {
            let coverage = std::mem::take(&mut run.coverage);
            *run = TestRun { coverage, ..other };
        }
    }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
