//! `cwm fix` from a user's seat: a small repository with a failing test, and a model that plays a script.

mod bad_input;
mod endings;
mod one_shot;
mod real_model;
mod results;
mod server;
mod written_files;
mod written_tests;

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::cli::context::binary;
use crate::copies::{Done, Picture, Repository};

/// A calculator whose addition subtracts, and a test for each of its functions.
const CALCULATOR: &str = r#"
cat > calculator.py <<'END'
"""What a calculator can do."""


def add(a, b):
    return a - b


def subtract(a, b):
    return a - b
END
cat > test_calculator.py <<'END'
import unittest

from calculator import add, subtract


class CalculatorTest(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)

    def test_subtract(self):
        self.assertEqual(subtract(5, 3), 2)
END
"#;

/// What the issue says.
const ISSUE: &str = "`add` in calculator.py subtracts.";
/// How the calculator is tested.
const TEST: &str = "python3 -m unittest -v test_calculator";

/// A turn that mends the calculator.
const MEND: &str = "Addition must add.\n</think>\n<tool: edit>\ncalculator.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return a + b\n>>>>>>> REPLACE\n</tool>";
/// A turn that breaks the other function.
const BREAK: &str =
    "Something must be done.\n</think>\n<tool: bash>\nsed -i 's/a - b/a * b/' calculator.py\n</tool>";
/// A turn that writes the patch to a file.
const WRITE: &str =
    "Now the patch.\n</think>\n<tool: bash>\ngit diff > /tmp/fix.patch; echo /tmp/fix.patch written\n</tool>";
/// A turn that hands it in.
const SUBMIT: &str = "Hand it in.\n</think>\n<tool: submit>\n/tmp/fix.patch\n</tool>";
/// The last words.
const END: &str = "Done.\n</think>\n## Summary\nIt is mended.";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command ends with this code, has printed nothing, and its message says all of these.
#[track_caller]
fn refuses(done: &Done, code: i32, says: &[&str]) {
    assert_eq!((done.code, done.text().as_str()), (code, ""), "{}", done.stderr);
    assert_says(done, says);
}

/// What is on stderr says all of these, wherever its lines are broken.
#[track_caller]
fn assert_says(done: &Done, says: &[&str]) {
    let flat = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in says {
        assert!(flat.contains(words), "`{words}` is not in: {flat}");
    }
}

/// A repository, and a script beside it.
struct Desk {
    repository: Repository,
    before: Picture,
}

impl Desk {
    fn new(script: &str) -> Desk {
        let repository = Repository::new(script);
        let before = repository.picture();
        Desk { repository, before }
    }

    fn calculator() -> Desk {
        Desk::new(CALCULATOR)
    }

    /// A file beside the repository.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.repository.root.with_file_name(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A model that gives these answers, as an argument.
    fn script(&self, answers: &[&str]) -> String {
        let lines: Vec<String> = answers
            .iter()
            .map(|text| serde_json::json!({ "text": text }).to_string())
            .collect();
        self.lines(&lines)
    }

    /// A model whose script has these lines.
    fn lines(&self, lines: &[String]) -> String {
        format!("script:{}", self.file("script.jsonl", lines.join("\n")).display())
    }

    /// `cwm WORDS` in the repository.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.repository.context.command(binary());
        command.args(words).current_dir(&self.repository.root);
        command
    }

    /// The same, begun.
    fn spawn(&self, words: &[&str]) -> Child {
        self.command(words).spawn().unwrap()
    }

    /// `cwm WORDS` in the repository, to its end.
    fn run(&self, words: &[&str]) -> Done {
        self.spawn(words).wait_with_output().unwrap().into()
    }

    /// `cwm fix` with the usual issue and test, and these words besides.
    fn fix(&self, model: &str, words: &[&str]) -> Done {
        let usual = ["fix", "-m", ISSUE, "--test", TEST, "--model", model];
        self.run(&[usual.as_slice(), words].concat())
    }

    /// The folders of runs there are.
    fn runs(&self) -> Vec<PathBuf> {
        let runs = self
            .repository
            .context
            .folder()
            .join("home/.local/state/cwm/runs");
        let entries = std::fs::read_dir(runs).into_iter().flatten();
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// The newest run's journal, every line as it stands there.
    fn journal(&self) -> Vec<serde_json::Value> {
        // Ids tell seconds only.
        let journals = self.runs().into_iter().map(|run| run.join("journal.jsonl"));
        let newest = journals.max_by_key(|path| path.metadata().unwrap().modified().unwrap());
        let text = std::fs::read_to_string(newest.expect("there is a run")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    /// Waits until the longest journal of the runs has so many lines.
    #[track_caller]
    fn wait_for_lines(&self, lines: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let journals = self.runs().into_iter().map(|run| run.join("journal.jsonl"));
            let most = journals
                .filter_map(|path| std::fs::read(path).ok())
                .map(|text| text.iter().filter(|byte| **byte == b'\n').count())
                .max();
            if most >= Some(lines) {
                return;
            }
            assert!(Instant::now() < until, "the journal has {most:?} lines");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills runs of these words when their journals have so many lines, goes on with them, and expects this result.
    #[track_caller]
    fn assert_resumable(&self, words: &[&str], lines: &[usize], whole: &Done) {
        for &lines in lines {
            let mut child = self.spawn(words);
            self.wait_for_lines(lines);
            child.kill().unwrap();
            child.wait().unwrap();
            let resumed = self.run(&["runs", "resume", "last"]);
            assert_eq!(
                resumed.code, whole.code,
                "killed after {lines} lines: {}",
                resumed.stderr
            );
            assert_eq!(resumed.text(), whole.text(), "killed after {lines} lines");
            assert_eq!(self.run(&["runs", "rm", "last"]).code, 0);
            self.assert_untouched();
        }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        self.repository.assert_untouched(&self.before, "the repository");
    }
}
