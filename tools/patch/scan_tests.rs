//! What a scan leaves out, and what it does not even read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::super::apply::FileState;
use super::super::manifest::{Checkout, FileMode, Manifest};
use super::super::testing::{Files, change, git, manifest, repository};
use super::super::{BaseObjects, Patch, diff_worktree};
use super::{LeftOut, Scan, ScanOptions, scan};

fn files(list: &[(&str, &str)]) -> Files {
    let file = |text: &str| FileState {
        mode: FileMode::Regular,
        content: text.as_bytes().to_vec(),
    };
    list.iter()
        .map(|(path, text)| (path.as_bytes().to_vec(), file(text)))
        .collect()
}

/// A base repository with its manifest, and a worktree of it.
fn laid_out(scratch: &Path, base: &Files) -> (std::path::PathBuf, Manifest) {
    let origin = scratch.join("origin");
    let worktree = scratch.join("worktree");
    repository(&origin, base);
    fs::create_dir(&worktree).expect("a folder");
    change(&worktree, &Files::new(), base);
    // Past the kernel's clock tick, so that every file's time is surely older than now.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let mut manifest = manifest(&origin);
    manifest.record_stats(&worktree).expect("stats");
    (worktree, manifest)
}

fn put(root: &Path, path: &str, text: &str) {
    let at = root.join(path);
    fs::create_dir_all(at.parent().expect("a parent")).expect("folders");
    fs::write(at, text).expect("write");
}

fn paths(scan: &Scan) -> Vec<String> {
    scan.changes
        .iter()
        .map(|change| String::from_utf8_lossy(&change.path).into_owned())
        .collect()
}

#[test]
fn junk_ignored_excluded_nested_and_special_files_stay_out_with_a_reason() {
    let scratch = tempfile::tempdir().expect("a folder");
    let base = files(&[
        (".gitignore", "build/\n*.log\n!keep.log\n"),
        ("build/tracked.txt", "1\n"),
        ("src/a.py", "a\n"),
    ]);
    let (root, manifest) = laid_out(scratch.path(), &base);
    put(&root, "build/tracked.txt", "2\n");
    put(&root, "build/output.o", "x");
    put(&root, "debug.log", "x");
    put(&root, "keep.log", "x");
    put(&root, "src/__pycache__/a.pyc", "x");
    put(&root, "repro.py", "x");
    put(&root, "src/new.py", "x");
    put(&root, ".hidden", "x");
    put(&root, "src/.gitignore", "!debug.log\nlocal\n");
    put(&root, "src/debug.log", "x");
    put(&root, "src/local", "x");
    put(&root, "vendor/lib/.git/config", "x");
    put(&root, "vendor/lib/x.c", "x");
    put(&root, "vendor/plain.c", "x");
    put(&root, "git~1", "x");
    put(&root, "src/.git/planted", "x");
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), rustix::fs::Mode::RUSR).expect("a fifo");
    fs::set_permissions(root.join("src/a.py"), fs::Permissions::from_mode(0o755)).expect("mode");
    symlink("/etc", root.join("etc")).expect("symlink");
    let options = ScanOptions {
        exclude: vec![b"repro.py".to_vec()],
        ..ScanOptions::default()
    };
    let scan = scan(&root, &manifest, &options).expect("a scan");
    assert_eq!(
        paths(&scan),
        [
            ".hidden",
            "build/tracked.txt",
            "etc",
            "keep.log",
            "src/.gitignore",
            "src/a.py",
            "src/debug.log",
            "src/new.py",
            "vendor/plain.c"
        ]
    );
    let notes: Vec<_> = scan
        .notes
        .iter()
        .map(|note| (String::from_utf8_lossy(&note.path).into_owned(), note.reason))
        .collect();
    let expected = [
        ("build/", LeftOut::Ignored),
        ("debug.log", LeftOut::Ignored),
        ("git~1", LeftOut::ForbiddenName),
        ("pipe", LeftOut::SpecialFile),
        ("repro.py", LeftOut::Excluded),
        ("src/__pycache__/", LeftOut::Junk),
        ("src/local", LeftOut::Ignored),
        ("vendor/lib/", LeftOut::NestedRepository),
    ];
    assert_eq!(notes, expected.map(|(path, reason)| (path.to_owned(), reason)));
}

#[test]
fn a_folder_replaced_by_a_symlink_is_not_followed() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (root, manifest) = laid_out(scratch.path(), &files(&[("d/x", "1\n"), ("d/y", "2\n")]));
    fs::rename(root.join("d"), scratch.path().join("elsewhere")).expect("rename");
    symlink(scratch.path().join("elsewhere"), root.join("d")).expect("symlink");
    let scan = scan(&root, &manifest, &ScanOptions::default()).expect("a scan");
    assert_eq!(paths(&scan), ["d", "d/x", "d/y"]);
    assert!(
        scan.changes
            .iter()
            .all(|change| (change.path == b"d") == change.new.is_some())
    );
}

#[test]
fn checkout_forms_absent_carriage_returns_and_lfs() {
    let scratch = tempfile::tempdir().expect("a folder");
    let base = files(&[
        ("absent", "a\n"),
        ("crlf", "1\n2\n"),
        ("lfs", "pointer\n"),
        ("same", "1\n2\n"),
    ]);
    let (root, mut manifest) = laid_out(scratch.path(), &base);
    let forms = [
        ("absent", Checkout::Absent),
        ("crlf", Checkout::CarriageReturns),
        ("lfs", Checkout::LfsContent),
        ("same", Checkout::CarriageReturns),
    ];
    for (path, form) in forms {
        manifest
            .entries
            .get_mut(path.as_bytes())
            .expect("an entry")
            .checkout = form;
    }
    fs::remove_file(root.join("absent")).expect("remove");
    put(&root, "crlf", "1\r\n2\r\n3\r\n");
    put(&root, "same", "1\r\n2\r\n");
    put(&root, "lfs", "large content");
    let objects = BaseObjects::open(&scratch.path().join("origin/.git/objects")).expect("objects");
    let diff = diff_worktree(&root, &manifest, &objects, &ScanOptions::default()).expect("a diff");
    let text = String::from_utf8(diff.bytes).expect("text");
    assert!(text.ends_with("@@ -1,2 +1,3 @@\n 1\n 2\n+3\n"), "{text}");
    assert_eq!(diff.patch.files.len(), 1);
    assert_eq!(
        diff.notes.iter().map(|note| note.reason).collect::<Vec<_>>(),
        [LeftOut::LfsContent]
    );
}

#[test]
fn unchanged_files_are_not_read_and_a_rewrite_with_old_size_and_time_is_seen() {
    let scratch = tempfile::tempdir().expect("a folder");
    let many: Vec<(String, String)> = (0..5_000)
        .map(|at| (format!("d{}/f{at}", at % 100), format!("{at}\n")))
        .collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let (root, manifest) = laid_out(scratch.path(), &files(&many));
    assert_eq!(
        Manifest::decode(&manifest.encode().expect("bytes")).expect("a manifest"),
        manifest
    );
    let started = std::time::Instant::now();
    let clean = scan(&root, &manifest, &ScanOptions::default()).expect("a scan");
    println!("clean scan of 5,000 files: {:?}", started.elapsed());
    assert_eq!((clean.files_read, clean.changes.len()), (0, 0));
    let victim = root.join("d7/f7");
    let time = fs::metadata(&victim)
        .expect("metadata")
        .modified()
        .expect("a time");
    fs::write(&victim, "8\n").expect("write");
    fs::File::options()
        .write(true)
        .open(&victim)
        .expect("open")
        .set_modified(time)
        .expect("a time");
    let dirty = scan(&root, &manifest, &ScanOptions::default()).expect("a scan");
    assert_eq!((dirty.files_read, paths(&dirty)), (1, vec!["d7/f7".to_owned()]));
}

#[test]
fn submodules_stay_as_they_are() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (root, _) = laid_out(scratch.path(), &files(&[("a", "1\n")]));
    let origin = scratch.path().join("origin");
    let head = String::from_utf8(git(&origin, ["rev-parse", "HEAD"])).expect("an id");
    git(
        &origin,
        [
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{},sub", head.trim()),
        ],
    );
    git(&origin, ["commit", "-q", "-m", "submodule"]);
    let mut manifest = manifest(&origin);
    manifest.record_stats(&root).expect("stats");
    put(&root, "sub/file", "x");
    let scan = scan(&root, &manifest, &ScanOptions::default()).expect("a scan");
    assert_eq!((scan.changes, scan.notes.len()), (vec![], 1));
}

#[test]
fn statistics_count_files_hunks_lines_and_tests() {
    let text = b"--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n--- a/tests/test_x.py\n+++ b/tests/test_x.py\n@@ -1 +1 @@\n-a\n+b\n";
    let patch: Patch = super::super::parse(text).expect("a patch");
    let statistics = patch.statistics();
    let counted = (
        statistics.files,
        statistics.hunks,
        statistics.added,
        statistics.removed,
        statistics.test_files,
    );
    assert_eq!(counted, (2, 2, 3, 2, 1));
}
