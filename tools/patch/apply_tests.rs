//! Submitted diffs as fixtures: `fixtures/NNN_name/base` with `patch.diff` gives `expected`, or the words of
//! `error.txt`.

use std::path::Path;

use super::super::testing::{Files, read_tree};
use super::super::{Patch, parse};
use super::{FileOutcome, apply_to};

/// The tree after a patch, or the words of the error.
fn applied(base: &Files, text: &[u8]) -> Result<Files, String> {
    let patch: Patch = parse(text).map_err(|error| error.to_string())?;
    let read = |path: &[u8]| Ok(base.get(path).cloned());
    let outcomes: Vec<FileOutcome> = apply_to(&patch, &read).map_err(|error| error.to_string())?;
    let mut files = base.clone();
    for outcome in &outcomes {
        if outcome.after.is_none() || matches!(outcome.change, super::Change::Renamed { .. }) {
            outcome.old_path.as_ref().map(|path| files.remove(path));
        }
    }
    for outcome in outcomes {
        if let (Some(path), Some(after)) = (outcome.new_path, outcome.after) {
            files.insert(path, after);
        }
    }
    Ok(files)
}

#[test]
fn submitted_diffs_are_repaired_or_refused_in_clear_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("patch/fixtures");
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .expect("fixtures")
        .map(|case| case.expect("a case").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "fixtures are missing");
    for case in cases {
        let text = std::fs::read(case.join("patch.diff")).expect("a patch");
        let result = applied(&read_tree(&case.join("base")), &text);
        match std::fs::read_to_string(case.join("error.txt")) {
            Ok(error) => assert_eq!(result, Err(error.trim_end().to_owned()), "{}", case.display()),
            Err(_) => assert_eq!(
                result,
                Ok(read_tree(&case.join("expected"))),
                "{}",
                case.display()
            ),
        }
    }
}
