//! `cwm fix` from a user's seat: a small repository with a failing test, and a model that plays a script.

mod bad_input;
mod endings;
mod real_model;
mod results;

use std::path::PathBuf;
use std::process::Child;

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

    /// `cwm WORDS` in the repository, begun.
    fn spawn(&self, words: &[&str]) -> Child {
        let mut command = self.repository.context.command(binary());
        command.args(words).current_dir(&self.repository.root);
        command.spawn().unwrap()
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

    #[track_caller]
    fn assert_untouched(&self) {
        self.repository.assert_untouched(&self.before, "the repository");
    }
}
