//! What earlier commits changed.

use std::path::Path;
use std::time::Duration;

use super::fixture::Fixture;
use crate::workspace::{History, WorkspaceError, working_tree};

/// The paths of the newest commits, those of each in order.
fn newest(repository: &Path, most: usize) -> Vec<Vec<String>> {
    let history = History::open(repository).unwrap();
    let commits = history.newest(most, Duration::from_secs(60)).unwrap();
    let paths = commits.into_iter().map(|mut commit| {
        commit.paths.sort();
        commit.paths
    });
    paths.collect()
}

#[test]
fn the_newest_commits_tell_their_paths_newest_first_and_merges_are_left_out() {
    let fixture = Fixture::empty();
    // Names that look like the times between commits, or need quotes elsewhere.
    for (path, message) in [
        ("a.py", "one"),
        ("1700000000", "two"),
        ("odd \"name\".py", "three"),
    ] {
        fixture.write(path, message);
        fixture.commit(message);
    }
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("folder/side.py", "side");
    fixture.write("a.py", "side");
    fixture.commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.git(&["commit", "-q", "--allow-empty", "-m", "nothing"]);
    fixture.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let mut expected = vec![
        vec!["odd \"name\".py".to_owned()],
        vec!["1700000000".to_owned()],
        vec!["a.py".to_owned()],
    ];
    let all = newest(&fixture.repo, 100);
    // The side's commit and the empty one may have the same second.
    let (side, rest) = all.split_at(2);
    assert_eq!(rest, expected);
    let mut side = side.to_vec();
    side.sort();
    expected = vec![vec![], vec!["a.py".to_owned(), "folder/side.py".to_owned()]];
    assert_eq!(side, expected);
    assert_eq!(newest(&fixture.repo.join("folder"), 1).len(), 1);
}

#[test]
fn commits_tell_what_was_said_of_them() {
    let fixture = Fixture::empty();
    // Messages that look like what git writes between commits.
    for message in ["one\n\n1700000000\n\na.py", "1700000000"] {
        fixture.write("a.py", message);
        fixture.commit(message);
    }
    fixture.write("b.py", "b");
    fixture.git(&["add", "-A"]);
    fixture.git(&["commit", "-q", "--allow-empty-message", "-m", ""]);
    let history = History::open(&fixture.repo).unwrap();
    let commits = history.newest(5, Duration::from_secs(60)).unwrap();
    let told: Vec<(&str, &[String])> = commits
        .iter()
        .map(|commit| (commit.message.as_str(), commit.paths.as_slice()))
        .collect();
    let (a, b) = (["a.py".to_owned()], ["b.py".to_owned()]);
    let expected: [(&str, &[String]); 3] = [("", &b), ("1700000000", &a), ("one\n\n1700000000\n\na.py", &a)];
    assert_eq!(told, expected);
}

#[test]
fn paths_that_are_no_utf8_are_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let fixture = Fixture::empty();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.py");
    std::fs::write(fixture.repo.join(odd), "odd").unwrap();
    fixture.write("plain.py", "plain");
    fixture.commit("both");
    assert_eq!(newest(&fixture.repo, 5), [["plain.py".to_owned()]]);
}

#[test]
fn history_needs_a_repository_with_a_commit_and_time() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        History::open(folder.path()).err(),
        Some(WorkspaceError::NotARepository(_))
    ));
    let fixture = Fixture::empty();
    assert!(matches!(
        History::open(&fixture.repo).err(),
        Some(WorkspaceError::NoCommit(_))
    ));
    fixture.write("a.py", "a");
    fixture.commit("one");
    let history = History::open(&fixture.repo).unwrap();
    assert_eq!(history.head(), fixture.git(&["rev-parse", "HEAD"]));
    assert_eq!(history.newest(5, Duration::ZERO), None);
    // An index that is damaged keeps nobody from finding the tree and its past.
    std::fs::write(fixture.repo.join(".git/index"), "damaged").unwrap();
    assert_eq!(newest(&fixture.repo, 5).len(), 1);
    assert_eq!(
        working_tree(&fixture.repo).unwrap(),
        fixture.repo.canonicalize().unwrap()
    );
}
