//! What a patch says of itself, before anything is run: how large it is, what it does to tests, and which patches are the same.

use std::collections::BTreeSet;

use cwm_tools::bytes_path;
use cwm_tools::patch::{Body, Change, FilePatch, Hunk, Line, LineKind, Patch, is_test_path, parse};

/// Bytes of a binary change that count as a line.
const BYTES_OF_A_LINE: u64 = 64;
/// What lines of tests hold that check something.
const CHECKS: [&str; 10] = [
    "assert",
    "expect(",
    "def test",
    "fn test",
    "#[test]",
    "func test",
    "it(",
    "test(",
    "should",
    "raises",
];
/// What makes a test be left out.
const SKIPS: [&str; 6] = ["skip", "xfail", "#[ignore", ".only(", "xit(", "expectedfailure"];
/// Files that say how tests are run.
const SETTINGS: [&str; 16] = [
    "pytest.ini",
    ".pytest.ini",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
    "noxfile.py",
    "sitecustomize.py",
    "usercustomize.py",
    "pytest.py",
    "unittest.py",
    "makefile",
    "package.json",
    "cargo.toml",
    "build.rs",
    ".coveragerc",
    "go.mod",
];

/// What can be told of a patch without running it. Paths are as a person reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measure {
    /// Lines that it adds and removes outside of tests, or at all when it changes nothing but tests.
    pub lines: usize,
    /// Test files that it touches.
    pub tests: Vec<String>,
    /// Test files that it removes.
    pub deleted_tests: Vec<String>,
    /// Test files in which it removes checks or has tests left out.
    pub weakened_tests: Vec<String>,
    /// Files that it changes and that say how tests are run.
    pub settings: Vec<String>,
    /// Every file that it changes is a test.
    pub only_tests: bool,
    /// What `lines` counts, without the places: equal for patches that are the same.
    pub content: Vec<u8>,
}

impl Measure {
    /// Measures a patch. One that cannot be read is as large as its text, and equal only to itself.
    pub fn of(patch: &[u8]) -> Measure {
        match parse(patch) {
            Ok(parsed) => Measure::of_parsed(&parsed),
            Err(_) => Measure {
                lines: patch.split(|byte| *byte == b'\n').count(),
                content: patch.to_vec(),
                ..Measure::default()
            },
        }
    }

    /// Measures a patch that was read.
    pub fn of_parsed(patch: &Patch) -> Measure {
        let mut measure = Measure {
            only_tests: !patch.files.is_empty(),
            ..Measure::default()
        };
        let mut settings = BTreeSet::new();
        for file in &patch.files {
            if file_is_test(file) {
                measure.take_test(file);
                continue;
            }
            measure.only_tests = false;
            measure.lines += changed_lines(file);
            write_content(file, &mut measure.content);
            let paths = [&file.old_path, &file.new_path].into_iter().flatten();
            settings.extend(
                paths
                    .filter(|path| is_setting(path))
                    .map(|path| bytes_path::display(path)),
            );
        }
        if measure.only_tests {
            for file in &patch.files {
                measure.lines += changed_lines(file);
                write_content(file, &mut measure.content);
            }
        }
        measure.settings = settings.into_iter().collect();
        measure
    }

    fn take_test(&mut self, file: &FilePatch) {
        let old = file.old_path.as_deref().unwrap_or_default();
        self.tests
            .push(bytes_path::display(file.new_path.as_deref().unwrap_or(old)));
        if file.change == Change::Deleted {
            self.deleted_tests.push(bytes_path::display(old));
        } else if file.change != Change::Added && weakens(file) {
            self.weakened_tests.push(bytes_path::display(old));
        }
    }
}

/// Whether all that a file's change touches is a test: a test that moves out of the tests is none.
pub(in crate::scaling) fn file_is_test(file: &FilePatch) -> bool {
    [&file.old_path, &file.new_path]
        .into_iter()
        .flatten()
        .all(|path| is_test_path(path))
}

fn is_setting(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let of_javascript = ["jest.config.", "vitest.config.", "vite.config.", "babel.config."];
    SETTINGS.contains(&name.as_str()) || of_javascript.iter().any(|start| name.starts_with(start))
}

fn changed_lines(file: &FilePatch) -> usize {
    match &file.body {
        Body::Text(hunks) => changed(hunks).count(),
        Body::Binary { forward, .. } => {
            usize::try_from(1 + forward.size / BYTES_OF_A_LINE).unwrap_or(usize::MAX)
        }
        Body::None | Body::BinaryOmitted => 1,
    }
}

fn changed(hunks: &[Hunk]) -> impl Iterator<Item = &Line> {
    let lines = hunks.iter().flat_map(|hunk| &hunk.lines);
    lines.filter(|line| line.kind != LineKind::Context)
}

/// Whether a test checks less than before, as far as lines tell.
fn weakens(file: &FilePatch) -> bool {
    let Body::Text(hunks) = &file.body else {
        return false;
    };
    let (mut removed, mut added, mut skips) = (0, 0, 0_i64);
    for line in changed(hunks) {
        let text = String::from_utf8_lossy(&line.text).to_lowercase();
        let checks = usize::from(CHECKS.iter().any(|word| text.contains(word)));
        let skip = i64::from(SKIPS.iter().any(|word| text.contains(word)));
        if line.kind == LineKind::Removed {
            removed += checks;
            skips -= skip;
        } else {
            added += checks;
            skips += skip;
        }
    }
    removed > added || skips > 0
}

/// The paths, modes and changed lines; neither places nor context.
fn write_content(file: &FilePatch, to: &mut Vec<u8>) {
    let modes = (file.old_mode, file.new_mode);
    let modes = if modes.0 == modes.1 { (None, None) } else { modes };
    let kind = match file.change {
        Change::Renamed { .. } => "renamed",
        Change::Copied { .. } => "copied",
        Change::Added => "added",
        Change::Deleted => "deleted",
        Change::Modified => "modified",
    };
    to.extend(format!("{kind} {:?} {:?} {modes:?}\n", file.old_path, file.new_path).bytes());
    match &file.body {
        Body::Text(hunks) => {
            for line in changed(hunks) {
                to.push(if line.kind == LineKind::Added { b'+' } else { b'-' });
                to.extend(&line.text);
                to.push(b'\n');
            }
        }
        Body::Binary { forward, .. } => to.extend(&forward.deflated),
        Body::None | Body::BinaryOmitted => {}
    }
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
