//! `cwm apply` on real repositories: all or nothing, never outside, never through a symlink.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::super::manifest::FileMode;
use super::super::super::parse;
use super::super::super::testing::{Files, git, git_line, read_tree, repository};
use super::super::{ApplyError, FileState};
use super::{Applied, ApplyOptions, to_repository};

const PLAIN: ApplyOptions = ApplyOptions {
    index: false,
    three_way: false,
    check_only: false,
    leave_tests: false,
};
const INDEX: ApplyOptions = ApplyOptions { index: true, ..PLAIN };
const THREE_WAY: ApplyOptions = ApplyOptions {
    three_way: true,
    ..PLAIN
};

fn base() -> Files {
    let file = |text: &str| FileState {
        mode: FileMode::Regular,
        content: text.as_bytes().to_vec(),
    };
    let numbers: String = (1..=40).map(|number| format!("line {number}\n")).collect();
    Files::from([
        (b"a.txt".to_vec(), file("one\ntwo\nthree\n")),
        (b"dir/b.txt".to_vec(), file("b\n")),
        (b"n.txt".to_vec(), file(&numbers)),
    ])
}

fn apply(root: &Path, text: &str, options: ApplyOptions) -> Result<Applied, ApplyError> {
    to_repository(root, &parse(text.as_bytes()).expect("a patch"), options)
}

const EDIT_A: &str = "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
const BAD_B: &str = "--- a/dir/b.txt\n+++ b/dir/b.txt\n@@ -1 +1 @@\n-nothing like it\n+c\n";

#[test]
fn a_conflict_in_one_file_leaves_every_file() {
    let scratch = tempfile::tempdir().expect("a folder");
    repository(scratch.path(), &base());
    for options in [PLAIN, INDEX, THREE_WAY] {
        let error = apply(scratch.path(), &format!("{EDIT_A}{BAD_B}"), options).expect_err("a conflict");
        assert!(error.to_string().starts_with("dir/b.txt: hunk 1"), "{error}");
        assert_eq!(read_tree(scratch.path()), base());
        assert_eq!(git_line(scratch.path(), ["status", "--porcelain"]), "");
    }
}

#[test]
fn checking_only_changes_nothing() {
    let scratch = tempfile::tempdir().expect("a folder");
    repository(scratch.path(), &base());
    let options = ApplyOptions {
        check_only: true,
        ..INDEX
    };
    apply(scratch.path(), EDIT_A, options).expect("it would apply");
    assert_eq!(git_line(scratch.path(), ["status", "--porcelain"]), "");
}

#[test]
fn the_index_must_match_the_files() {
    let scratch = tempfile::tempdir().expect("a folder");
    repository(scratch.path(), &base());
    fs::write(scratch.path().join("a.txt"), "zero\none\ntwo\nthree\n").expect("write");
    let error = apply(scratch.path(), EDIT_A, INDEX).expect_err("the index differs");
    assert!(matches!(error, ApplyError::Index { .. }), "{error}");
    apply(scratch.path(), EDIT_A, PLAIN).expect("the working tree alone takes it");
    assert_eq!(
        fs::read(scratch.path().join("a.txt")).expect("read"),
        b"zero\none\n2\nthree\n"
    );
}

#[test]
fn hostile_paths_are_refused() {
    let outside = tempfile::tempdir().expect("a folder");
    let scratch = tempfile::tempdir().expect("a folder");
    repository(scratch.path(), &base());
    symlink(outside.path(), scratch.path().join("link")).expect("symlink");
    let before = read_tree(scratch.path());
    let config = fs::read(scratch.path().join(".git/config")).expect("config");
    for path in [
        "../evil",
        "dir/../../evil",
        "/tmp/evil",
        ".git/hooks/pre-commit",
        ".GIT/config2",
        "dir/.git/x",
        "link/evil",
        ".git./x",
        "git~1/x",
        "dir//x",
        "./x",
        "a\\\\.git/x",
        "a.txt/below",
    ] {
        let text = format!(
            "diff --git \"a/{path}\" \"b/{path}\"\nnew file mode 100755\n--- /dev/null\n+++ \"b/{path}\"\n@@ -0,0 +1 @@\n+x\n"
        );
        let error = apply(scratch.path(), &text, PLAIN).expect_err(path);
        let refused = matches!(
            error,
            ApplyError::ForbiddenPath { .. } | ApplyError::FileAndFolder { .. }
        );
        assert!(refused, "{path}: {error}");
    }
    let edit = "--- a/link/victim\n+++ b/link/victim\n@@ -1 +1 @@\n-v\n+w\n";
    fs::write(outside.path().join("victim"), "v\n").expect("write");
    assert!(matches!(
        apply(scratch.path(), edit, PLAIN),
        Err(ApplyError::Missing { .. })
    ));
    assert_eq!(fs::read(outside.path().join("victim")).expect("read"), b"v\n");
    assert_eq!(fs::read_dir(outside.path()).expect("list").count(), 1);
    assert_eq!(read_tree(scratch.path()), before);
    assert_eq!(
        fs::read(scratch.path().join(".git/config")).expect("config"),
        config
    );
}

#[test]
fn a_failure_half_way_is_taken_back() {
    let scratch = tempfile::tempdir().expect("a folder");
    repository(scratch.path(), &base());
    // The index is written last; a lock held by someone else makes that fail when all files are in place.
    fs::write(scratch.path().join(".git/index.lock"), "").expect("lock");
    let text = format!(
        "{EDIT_A}--- a/dir/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n--- /dev/null\n+++ b/new/deep/c.txt\n@@ -0,0 +1 @@\n+c\n"
    );
    let error = apply(scratch.path(), &text, INDEX).expect_err("the index is locked");
    assert!(matches!(error, ApplyError::Git(_)), "{error}");
    assert_eq!(read_tree(scratch.path()), base());
    let names: Vec<_> = fs::read_dir(scratch.path())
        .expect("list")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(
        names.len(),
        4,
        "only .git, a.txt, dir and n.txt may be there: {names:?}"
    );
    fs::remove_file(scratch.path().join(".git/index.lock")).expect("unlock");
    apply(scratch.path(), &text, INDEX).expect("it applies now");
    assert_eq!(
        git_line(scratch.path(), ["status", "--porcelain"]),
        "M  a.txt\nD  dir/b.txt\nA  new/deep/c.txt"
    );
    assert!(!scratch.path().join("dir").exists());
}

#[test]
fn three_way_merges_or_names_the_conflicts() {
    let scratch = tempfile::tempdir().expect("a folder");
    repository(scratch.path(), &base());
    let numbers = base()[b"n.txt".as_slice()].content.clone();
    let numbers = String::from_utf8(numbers).expect("text");
    let id = git_line(scratch.path(), ["rev-parse", "--short", "HEAD:n.txt"]);
    let text = format!(
        "diff --git a/n.txt b/n.txt\nindex {id}..1234567 100644\n--- a/n.txt\n+++ b/n.txt\n@@ -9,5 +9,5 @@\n line 9\n line 10\n-line 11\n+eleven\n line 12\n line 13\n"
    );
    // A context line changed since, so the hunk itself has no place; the merge still finds it.
    let mine = numbers
        .replace("line 9\n", "line nine\n")
        .replace("line 13\n", "line 13\nmore\n");
    fs::write(scratch.path().join("n.txt"), &mine).expect("write");
    assert!(matches!(
        apply(scratch.path(), &text, PLAIN),
        Err(ApplyError::Hunk { .. })
    ));
    apply(scratch.path(), &text, THREE_WAY).expect("a clean merge");
    let merged = fs::read_to_string(scratch.path().join("n.txt")).expect("read");
    assert_eq!(merged, mine.replace("line 11\n", "eleven\n"));
    let conflicting = numbers.replace("line 11\n", "line ELEVEN\n");
    fs::write(scratch.path().join("n.txt"), &conflicting).expect("write");
    let error = apply(scratch.path(), &format!("{EDIT_A}{text}"), THREE_WAY).expect_err("a conflict");
    assert!(
        matches!(&error, ApplyError::Conflicts { files } if files == &["n.txt"]),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(scratch.path().join("n.txt")).expect("read"),
        conflicting
    );
    assert_eq!(git(scratch.path(), ["diff", "--name-only", "--", "a.txt"]), b"");
}

#[test]
fn tests_stay_as_they_are_when_they_are_to_be_left() {
    let scratch = tempfile::tempdir().expect("a folder");
    let mut files = base();
    let file = |text: &str| FileState {
        mode: FileMode::Regular,
        content: text.as_bytes().to_vec(),
    };
    files.insert(b"tests/test_a.py".to_vec(), file("assert 1\n"));
    files.insert(b"tests/helper.py".to_vec(), file("help\n"));
    repository(scratch.path(), &files);
    let patch = format!(
        "{EDIT_A}--- a/tests/test_a.py\n+++ b/tests/test_a.py\n@@ -1 +1 @@\n-assert 1\n+pass\n\
         diff --git a/tests/new.py b/tests/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/tests/new.py\n@@ -0,0 +1 @@\n+new\n\
         diff --git a/tests/helper.py b/helper.py\nsimilarity index 100%\nrename from tests/helper.py\nrename to helper.py\n"
    );
    let options = ApplyOptions {
        leave_tests: true,
        ..PLAIN
    };
    let applied = apply(scratch.path(), &patch, options).expect("it applies");
    assert_eq!(
        applied.left,
        [&b"tests/helper.py"[..], b"tests/new.py", b"tests/test_a.py"]
    );
    files.insert(b"a.txt".to_vec(), file("one\n2\nthree\n"));
    files.insert(b"helper.py".to_vec(), file("help\n"));
    assert_eq!(read_tree(scratch.path()), files);

    let misfit = "--- a/tests/test_a.py\n+++ b/tests/test_a.py\n@@ -1 +1 @@\n-no such line\n+pass\n";
    apply(scratch.path(), misfit, options).expect_err("a patch applies as a whole or not at all");
}
