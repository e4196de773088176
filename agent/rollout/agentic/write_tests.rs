//! Has a test of the issue written in turns: the patch of such an attempt adds one script, or a test file in the repository's framework.

use cwm_tools::patch::{Body, FilePatch, LineKind, is_test_path, parse};

use super::attempt;
use crate::rollout::journal::AttemptLog;
use crate::rollout::test_place;
use crate::rollout::types::{AttemptOptions, Ending, RolloutError, TestFile, Workbench, WrittenTest};
use crate::suite::alone;

/// A longer script is no test of one issue.
const MOST_BYTES: usize = 64 << 10;

/// The tests that one sample writes: a script that can print what it must, and a test file that one of the repository's commands runs. None when it
/// hands in neither, or when the user ends it.
///
/// # Errors
///
/// When the model, the sandbox or the journal fail for good.
pub fn write_tests(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
) -> Result<Vec<WrittenTest>, RolloutError> {
    let mut log = AttemptLog::new(bench.journal, &options.name);
    if let Some(tests) = log.written_tests() {
        return Ok(tests);
    }
    let candidate = attempt(bench, options)?;
    if candidate.ending == Ending::Interrupted {
        return Ok(Vec::new());
    }
    let script = scripts(&candidate.patch).next().map(|script| WrittenTest {
        name: format!("the script of {}", options.name),
        asks: String::new(),
        script,
        file: None,
    });
    let agreed = test_place::of(bench)?.map(|place| place.path);
    let runs = |path: &str, text: &str| {
        let (problem, start) = (bench.problem, &bench.copies.start);
        alone(&problem.tree, start, &problem.tests, path, text).is_some()
    };
    let file = test_file(&candidate.patch, agreed.as_deref(), &runs).map(|(path, text)| WrittenTest {
        name: format!("{path} of {}", options.name),
        asks: String::new(),
        script: text,
        file: Some(TestFile { path, apart: false }),
    });
    let tests: Vec<WrittenTest> = script.into_iter().chain(file).collect();
    log.end_with_tests(&tests)?;
    Ok(tests)
}

/// The scripts that a patch adds and that can print what they must, the one of the agreed name first.
fn scripts(patch: &[u8]) -> impl Iterator<Item = String> {
    let mut files = parse(patch).map(|patch| patch.files).unwrap_or_default();
    let is_agreed = |file: &FilePatch| file.new_path.as_deref() == Some(b"test_issue.py");
    files.sort_by_key(|file| !is_agreed(file));
    files
        .into_iter()
        .filter(|file| {
            file.old_path.is_none()
                && file
                    .new_path
                    .as_deref()
                    .is_some_and(|path| path.ends_with(b".py"))
        })
        .filter_map(|file| added(&file))
        .filter(|script| script.len() <= MOST_BYTES && can_tell(script))
}

/// The test file that a patch adds, with its text: the one of the agreed path, or the first that a command runs.
fn test_file(
    patch: &[u8],
    agreed: Option<&str>,
    runs: &dyn Fn(&str, &str) -> bool,
) -> Option<(String, String)> {
    let mut files = parse(patch).map(|patch| patch.files).unwrap_or_default();
    let path = |file: &FilePatch| String::from_utf8(file.new_path.clone()?).ok();
    files.sort_by_key(|file| agreed.is_none() || path(file).as_deref() != agreed);
    files
        .into_iter()
        .filter(|file| file.old_path.is_none())
        .find_map(|file| {
            let (path, text) = (path(&file)?, added(&file)?);
            let is_test = is_test_path(path.as_bytes()) && !can_tell(&text) && text.len() <= MOST_BYTES;
            (is_test && runs(&path, &text)).then_some((path, text))
        })
}

/// Whether a script can print that the issue is there, and that it is gone.
fn can_tell(script: &str) -> bool {
    let [reproduced, resolved, _] = WrittenTest::PHRASES;
    script.contains(reproduced) && script.contains(resolved)
}

/// The text of a new file.
fn added(file: &FilePatch) -> Option<String> {
    let Body::Text(hunks) = &file.body else {
        return None;
    };
    let lines = hunks.iter().flat_map(|hunk| &hunk.lines);
    let mut text = String::new();
    for line in lines.filter(|line| line.kind == LineKind::Added) {
        text.push_str(std::str::from_utf8(&line.text).ok()?.trim_end_matches('\n'));
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_file(path: &str, lines: &[&str]) -> String {
        let text: String = lines.iter().map(|line| format!("+{line}\n")).collect();
        let count = lines.len();
        format!(
            "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{count} @@\n{text}"
        )
    }

    #[test]
    fn the_agreed_script_is_taken_and_others_only_when_they_print_what_they_must() {
        let good = ["print('Issue reproduced')", "print('Issue resolved')"];
        let of = |patch: String| scripts(patch.as_bytes()).next();
        assert_eq!(
            of(new_file("test_issue.py", &good)).as_deref(),
            Some("print('Issue reproduced')\nprint('Issue resolved')\n")
        );
        assert_eq!(of(new_file("test_issue.py", &good[..1])), None);
        assert_eq!(of(new_file("notes.txt", &good)), None);
        let two = format!(
            "{}{}",
            new_file("other.py", &[good[0], good[1], "1"]),
            new_file("test_issue.py", &good)
        );
        assert!(!of(two).unwrap().contains("1\n"));
        assert_eq!(of("no patch".to_owned()), None);
    }

    #[test]
    fn a_test_file_that_a_command_runs_is_taken_and_the_agreed_one_first() {
        let runs = |path: &str, _: &str| path.ends_with(".rs");
        let of = |patch: &str, agreed| test_file(patch.as_bytes(), agreed, &runs).map(|(path, _)| path);
        let both = format!(
            "{}{}",
            new_file("tests/a.rs", &["#[test]"]),
            new_file("tests/issue.rs", &["#[test]"])
        );
        assert_eq!(
            of(&both, Some("tests/issue.rs")).as_deref(),
            Some("tests/issue.rs")
        );
        assert_eq!(of(&both, None).as_deref(), Some("tests/a.rs"));
        // Neither a file that no command runs, nor code, nor a script.
        assert_eq!(of(&new_file("tests/a.go", &["func TestA"]), None), None);
        assert_eq!(of(&new_file("src/a.rs", &["#[test]"]), None), None);
        let script = ["print('Issue reproduced')", "print('Issue resolved')"];
        assert_eq!(of(&new_file("tests/b.rs", &script), None), None);
    }
}
