//! `cwm rank` from a user's seat: a small repository with a failing test, and patches good and bad.

mod adversarial;
mod limits;
mod order;
mod python;
mod screening;
mod together;
mod written;
mod written_files;

use std::path::PathBuf;
use std::process::Child;

use crate::cli::context::binary;
use crate::copies::{Picture, Repository};

/// A calculator in bash whose addition subtracts, and a test for each of its functions.
const CALCULATOR: &str = r#"
cat > calculator.sh <<'END'
# What a calculator can do.
add() {
    echo $(($1 - $2))
}
subtract() {
    echo $(($1 - $2))
}
END
mkdir tests
printf '. ./calculator.sh\n[ "$(add 2 3)" = 5 ] && echo add is right\n' > tests/add.sh
printf '. ./calculator.sh\n[ "$(subtract 5 3)" = 2 ] && echo subtract is right\n' > tests/subtract.sh
"#;

/// The test commands of the calculator.
const TESTS: [&str; 4] = ["--test", "bash tests/add.sh", "--test", "bash tests/subtract.sh"];
/// What mends it.
const FIX: &str = "sed -i '3s/-/+/' calculator.sh";

/// A repository with patches beside it.
struct Bench {
    repository: Repository,
    before: Picture,
}

/// What a `cwm rank --json` said.
struct Told {
    code: i32,
    stderr: String,
    events: Vec<serde_json::Value>,
}

impl Bench {
    fn new(script: &str) -> Bench {
        let repository = Repository::new(script);
        let before = repository.picture();
        Bench { repository, before }
    }

    fn calculator() -> Bench {
        Bench::new(CALCULATOR)
    }

    /// A patch, beside the repository, of what a script changes in a clone.
    fn patch(&self, name: &str, script: &str) -> PathBuf {
        let clone = self.repository.clone_at("clone");
        let patch = self.repository.shell_in(
            &clone,
            &format!("{script}\ngit add -A; git diff --cached --binary"),
        );
        let path = self.repository.root.with_file_name(name);
        std::fs::write(&path, patch.ok()).unwrap();
        path
    }

    /// A file beside the repository.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.repository.root.with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `cwm rank WORDS` in the repository, begun.
    fn spawn(&self, words: &[&str]) -> Child {
        let mut command = self.repository.context.command(binary());
        command.arg("rank").args(words).current_dir(&self.repository.root);
        command.spawn().unwrap()
    }

    /// The same with events, to its end. The user's tree and the folder of runs must be as they were.
    #[track_caller]
    fn rank(&self, words: &[&str]) -> Told {
        let output = self
            .spawn(&[&["--json"], words].concat())
            .wait_with_output()
            .unwrap();
        self.assert_untouched();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let events = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        Told {
            code: output.status.code().unwrap_or_else(|| panic!("{stderr}")),
            stderr,
            events,
        }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        self.repository.assert_untouched(&self.before, "the repository");
        let left = self.runs();
        assert!(left.is_empty(), "runs were left: {left:?}");
    }

    /// The folders of runs there are.
    fn runs(&self) -> Vec<PathBuf> {
        let runs = self
            .repository
            .context
            .folder()
            .join("home/.local/state/cwm/runs");
        let entries = std::fs::read_dir(runs).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Told {
    /// The events of a name.
    fn all(&self, name: &str) -> Vec<&serde_json::Value> {
        self.events
            .iter()
            .filter(|event| event["event"] == name)
            .collect()
    }

    /// The patches' file names, best first.
    fn order(&self) -> Vec<&str> {
        let patches = self.events.iter().filter(|event| event["event"] == "rank.patch");
        patches
            .map(|event| event["patch"].as_str().unwrap().rsplit('/').next().unwrap())
            .collect()
    }

    /// What was said of a patch.
    #[track_caller]
    fn of(&self, name: &str) -> &serde_json::Value {
        let at = self.order().iter().position(|other| *other == name);
        self.all("rank.patch")[at.unwrap_or_else(|| panic!("{name}: {:?} {}", self.events, self.stderr))]
    }

    /// Whether one of a patch's remarks holds these words.
    #[track_caller]
    fn assert_remark(&self, name: &str, words: &str) {
        let remarks = &self.of(name)["remarks"];
        let found = remarks
            .as_array()
            .unwrap()
            .iter()
            .any(|remark| remark.as_str().unwrap().contains(words));
        assert!(found, "{name}: no {words:?} in {remarks}");
    }
}
