//! Scripts that print one of three lines. What a script prints is told from what the code under test prints by a mark that is put into it
//! right before it runs, and that is another one each time.

use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::sandbox::SandboxError;
use cwm_tools::shell_word::quoted;
use std::path::Path;
use std::time::Duration;

use super::Said;
use crate::rollout::WrittenTest;
use crate::suite::{RunEnding, RunOptions, TestCommand, python, run};

/// Bytes of a script's output that are read.
const MOST_OUTPUT: usize = 64 << 10;
/// The name of the file that a script is run from.
const FILE: &str = "test_issue.py";

/// Runs a script in a copy, with the Python that runs the repository's own tests, and hears what it says.
pub(super) fn said(
    copy: &mut IsolatedCopy,
    script: &str,
    commands: &[TestCommand],
    start: &Path,
    timeout: Duration,
) -> Result<Said, SandboxError> {
    let mark = format!("{:016x}", rand_mark());
    let path = copy.root().join(FILE).display().to_string();
    let folder = quoted(&copy.root().display().to_string());
    let python = commands.iter().find_map(|command| python(command, start));
    let python = python.unwrap_or_else(|| "$(command -v python || command -v python3)".to_owned());
    let file = quoted(&path);
    // The shell writes the file: a patch may have put another one there.
    let command = format!(
        "cd {folder} && rm -rf {file} && cat > {file} <<'END-OF-{mark}'\n{}\nEND-OF-{mark}\n{python} -B {file}",
        marked(script, &mark)
    );
    let options = RunOptions {
        timeout,
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
mod tests {
    use super::*;

    #[test]
    fn only_marked_phrases_count_and_all_must_say_the_same() {
        let script = marked("print('Issue resolved')\nprint('Other issues')", "77");
        assert_eq!(script, "print('Issue resolved 77')\nprint('Other issues 77')");
        assert_eq!(told("Issue resolved 77\n", "77"), Said::Resolved);
        assert_eq!(told("x\nIssue reproduced 77\n", "77"), Said::Reproduced);
        // What the code under test prints by itself is no word of the test's.
        assert_eq!(told("Issue resolved\n", "77"), Said::Other);
        assert_eq!(
            told("Issue resolved\nIssue reproduced 77\n", "77"),
            Said::Reproduced
        );
        assert_eq!(
            told("Issue resolved 77\nIssue reproduced 77\n", "77"),
            Said::Other
        );
        assert_eq!(told("", "77"), Said::Other);
    }

    #[test]
    fn marks_are_not_the_same_twice() {
        assert_ne!(rand_mark(), rand_mark());
    }
}
