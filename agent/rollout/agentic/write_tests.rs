//! Has a test of the issue written in turns: the patch of such an attempt adds one script.

use cwm_tools::patch::{Body, FilePatch, LineKind, parse};

use super::attempt;
use crate::rollout::journal::AttemptLog;
use crate::rollout::types::{AttemptOptions, Ending, RolloutError, Workbench, WrittenTest};

/// A longer script is no test of one issue.
const MOST_BYTES: usize = 64 << 10;

/// The test that one sample writes; none when it hands in no script that can print what it must, or when the user ends it.
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
    let tests: Vec<WrittenTest> = scripts(&candidate.patch)
        .map(|script| WrittenTest {
            name: format!("the script of {}", options.name),
            asks: String::new(),
            script,
        })
        .take(1)
        .collect();
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
}
