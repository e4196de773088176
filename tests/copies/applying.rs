//! A patch onto an isolated copy, by our own code inside.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cwm_tools::isolated::{Backend, IsolatedCopy, Walls};
use cwm_tools::patch::ScanOptions;
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::{Snapshot, SnapshotOptions};

use super::repository::Repository;
use crate::cli::context::binary;

fn repository() -> Repository {
    Repository::new(
        "printf 'one\\ntwo\\nthree\\n' > numbers; printf '#!/bin/sh\\n' > tool; chmod +x tool; mkdir -p gone tests; echo x > gone/file
         echo check > tests/test_it.py",
    )
}

/// With a hunk at the wrong line, a mode, a rename, a deletion, a binary file, and tests.
fn patch(repository: &Repository) -> String {
    let clone = repository.clone_at("clone");
    let script =
        "sed -i 's/two/2/' numbers; git mv tool moved; git rm -q gone/file; head -c 300 /dev/urandom > binary
        echo no >> tests/test_it.py; echo new > tests/test_new.py; git add -A; git diff --cached --binary -M";
    let patch = repository.shell_in(&clone, script).ok();
    patch.replace("@@ -1,3 +1,3 @@", "@@ -7,3 +7,3 @@")
}

fn on_copy<T>(repository: &Repository, backend: Backend, work: impl FnOnce(&mut IsolatedCopy) -> T) -> T {
    let run = repository.root.with_file_name("run");
    let _ = fs::remove_dir_all(&run);
    fs::create_dir(&run).unwrap();
    let walls = Walls {
        backend,
        program: binary().into(),
        policy: MachineView::look(std::env::vars_os()).policy(&BTreeMap::new()),
        shown: Vec::new(),
    };
    let snapshot: Snapshot = walls
        .snapshot(&repository.root, &run, &SnapshotOptions::default())
        .unwrap();
    let mut copy =
        IsolatedCopy::open(&snapshot, "one", &walls, Path::new(""), SessionOptions::default()).unwrap();
    work(&mut copy)
}

fn status(copy: &mut IsolatedCopy) -> String {
    let result = copy
        .session()
        .run("git add -A && git status --porcelain --no-renames")
        .unwrap();
    String::from_utf8(result.output.head).unwrap()
}

#[test]
fn all_of_it_is_applied_in_every_kind_of_copy() {
    let repository = repository();
    let (patch, before) = (patch(&repository), repository.picture());
    let wanted = repository.tree_after(patch.replace("-7,3 +7,3", "-1,3 +1,3").as_bytes());
    for backend in [Backend::Namespaces, Backend::External] {
        on_copy(&repository, backend.clone(), |copy| {
            let applied = copy.apply(patch.as_bytes(), false).unwrap().unwrap();
            assert_eq!((applied.files.len(), applied.left.len()), (6, 0), "{backend:?}");
            let diff = copy.diff(ScanOptions::default()).unwrap();
            assert_eq!(repository.tree_after(&diff.patch), wanted, "{backend:?}");
        });
        on_copy(&repository, backend.clone(), |copy| {
            let applied = copy.apply(patch.as_bytes(), true).unwrap().unwrap();
            assert_eq!(
                applied.left,
                [&b"tests/test_it.py"[..], b"tests/test_new.py"],
                "{backend:?}"
            );
            let told = status(copy);
            assert_eq!(
                told, "A  binary\nD  gone/file\nA  moved\nM  numbers\nD  tool\n",
                "{backend:?}"
            );
        });
    }
    repository.assert_untouched(&before, "the repository");
}

#[test]
fn what_does_not_apply_changes_nothing_and_says_why() {
    let repository = repository();
    let good = patch(&repository);
    let bad = "--- a/numbers\n+++ b/numbers\n@@ -1 +1 @@\n-eleven\n+11\n";
    on_copy(&repository, Backend::Namespaces, |copy| {
        for (patch, why) in [
            (format!("{good}{bad}"), "numbers: hunk 1"),
            ("no patch\n".to_owned(), "diff"),
            (
                "--- /dev/null\n+++ b/../../outside\n@@ -0,0 +1 @@\n+x\n".to_owned(),
                "leads out of the repository",
            ),
            (
                "--- /dev/null\n+++ b/.git/hooks/post-commit\n@@ -0,0 +1 @@\n+x\n".to_owned(),
                "git keeps for itself",
            ),
        ] {
            let refused = copy.apply(patch.as_bytes(), false).unwrap().unwrap_err();
            assert!(refused.to_string().contains(why), "{why}: {refused}");
            assert_eq!(status(copy), "", "{why}");
        }
        // The session lives on, and a good patch is still taken.
        copy.apply(good.as_bytes(), false).unwrap().unwrap();
    });
}
