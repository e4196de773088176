//! Patches handed in, and what is none.

use std::fs;

use super::*;

#[test]
fn a_patch_is_read_and_anything_else_refused() {
    let folder = tempfile::tempdir().unwrap();
    let area = FileArea::open(&[folder.path().to_path_buf()], folder.path().to_path_buf()).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let patch = b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-\xff\n+b\n";
    write("fix.patch", patch);
    write("empty.patch", b"");
    write("blank.patch", b"\n \n");
    write("plain.patch", b"--- a/a\n+++ b/a\n");
    write("large.patch", &vec![b'd'; (4 << 20) + 1]);

    let path = |name: &str| name.to_owned();
    let done = Submitted {
        path: path("fix.patch"),
        bytes: patch.to_vec(),
    };
    assert_eq!(run(&area, "fix.patch"), Ok(done.clone()));
    assert_eq!(run(&area, "\n fix.patch \n\n"), Ok(done));
    assert_eq!(
        run(&area, "empty.patch"),
        Err(SubmitError::Empty {
            path: path("empty.patch")
        })
    );
    assert_eq!(
        run(&area, "blank.patch"),
        Err(SubmitError::Empty {
            path: path("blank.patch")
        })
    );
    let not_a_diff = SubmitError::NotADiff {
        path: path("plain.patch"),
        first_line: "--- a/a".to_owned(),
    };
    assert_eq!(run(&area, "plain.patch"), Err(not_a_diff));
    let limit = MAX_PATCH_BYTES;
    let too_large = FileError::TooLarge {
        path: path("large.patch"),
        limit,
    };
    assert_eq!(run(&area, "large.patch"), Err(too_large.into()));
    let missing = FileError::NotFound {
        path: path("none.patch"),
    };
    assert_eq!(run(&area, "none.patch"), Err(missing.into()));
    assert_eq!(
        run(&area, "diff --git\n+x"),
        Err(SubmitError::MoreThanPath { lines: 2 })
    );
    assert_eq!(run(&area, " \n"), Err(SubmitError::MissingPath));
}
