//! Attempts: layers, copies, what they cost, and their removal.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;

use super::fixture::{Fixture, assert_untouched, git_command, picture};
use crate::sandbox::policy::Mount;
use crate::workspace::snapshot::read_manifest;
use crate::workspace::{Copying, MANIFEST_INSIDE, STORE_INSIDE, Snapshot, SnapshotOptions, WorkspaceError};

#[test]
fn layers_are_empty_and_mounted_at_the_repositorys_own_path() {
    let fixture = Fixture::new();
    let snapshot = fixture.snapshot(&SnapshotOptions::default());
    let attempt = snapshot.attempt("a-1", Copying::Overlay).unwrap();
    let targets: Vec<_> = attempt
        .mounts()
        .iter()
        .map(|mount| mount.target().clone())
        .collect();
    let expected = [
        fixture.repo.clone(),
        fixture.repo.join(".git"),
        STORE_INSIDE.into(),
        MANIFEST_INSIDE.into(),
    ];
    assert_eq!(targets, expected);
    assert!(attempt.disk_usage().unwrap() < 64 << 10);
    assert!(
        snapshot.attempt("a-1", Copying::Overlay).is_err(),
        "one name, two attempts"
    );
    for name in ["", "..", "a/b", ".hidden", "a\nb"] {
        assert!(
            matches!(
                snapshot.attempt(name, Copying::Overlay),
                Err(WorkspaceError::AttemptName(_))
            ),
            "{name:?}"
        );
    }
    assert_eq!(
        snapshot.existing_attempt("a-1").unwrap().mounts(),
        attempt.mounts()
    );
    assert!(snapshot.existing_attempt("a-2").is_err());
    let path = attempt.path().to_owned();
    attempt.remove().unwrap();
    assert!(!path.exists());
}

/// Mounts an attempt as a sandbox would, in a user and mount namespace of its own, and runs a script there.
fn mounted(snapshot: &Snapshot, name: &str, script: &str) -> String {
    let attempt = snapshot.attempt(name, Copying::Overlay).unwrap();
    let mut text = String::from(
        "set -e\nmkdir -p \"$1\" 2>/dev/null || true\nmount -t tmpfs none /run\nmkdir -p /run/cwm/store\n: > /run/cwm/manifest\n",
    );
    for mount in attempt.mounts() {
        match mount {
            Mount::Overlay {
                lower,
                upper: Some(upper),
                target,
            } => text.push_str(&format!(
                "mount -t overlay -o userxattr,lowerdir={},upperdir={},workdir={} none {}\n",
                lower.display(),
                upper.upper.display(),
                upper.work.display(),
                target.display()
            )),
            Mount::ReadOnly { source, target } => {
                let (source, target) = (source.display(), target.display());
                text.push_str(&format!(
                    "mount --bind {source} {target}\nmount -o remount,bind,ro {target}\n"
                ));
            }
            other => panic!("{other:?}"),
        }
    }
    text.push_str(&format!("cd {}\n{script}\n", snapshot.root.display()));
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &text])
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn git_works_in_a_mounted_attempt() {
    let fixture = Fixture::new();
    let base = Snapshot::create(&fixture.repo, &fixture.run, &SnapshotOptions::default()).unwrap();
    let before = picture(fixture.folder.path(), &fixture.run.join("attempts"));
    let shown = mounted(
        &base,
        "1",
        "git status --porcelain\ngit log --format=%s\ngit fsck --full\necho more >> README\ngit rm -q src-x\n\
         echo new > new\ngit status --porcelain\ngit add -A\ngit commit -qm 'by the attempt'\n\
         git status --porcelain\ngit log -1 --format='%s %ae'",
    );
    assert_eq!(
        shown,
        "second\nfirst\n M README\nD  src-x\n?? new\nby the attempt cwm@localhost\n"
    );
    assert_untouched(
        &before,
        &picture(fixture.folder.path(), &fixture.run.join("attempts")),
    );
    // A second attempt sees nothing of the first.
    assert_eq!(
        mounted(
            &base,
            "2",
            "git status --porcelain; git log -1 --format=%s; cat README"
        ),
        "second\none\n"
    );
    for name in ["1", "2"] {
        base.existing_attempt(name).unwrap().remove().unwrap();
    }
}

#[test]
fn the_manifest_holds_inside_a_mounted_attempt() {
    let fixture = Fixture::new();
    let snapshot = Snapshot::create(&fixture.repo, &fixture.run, &SnapshotOptions::default()).unwrap();
    let shown = mounted(&snapshot, "1", "stat -c '%s %Y %Z %i %f' README src/lib.py link");
    let manifest = read_manifest(&snapshot.manifest()).unwrap();
    let expected: String = ["README", "src/lib.py", "link"]
        .map(|path| {
            let stat = manifest.entries[path.as_bytes()].stat.unwrap();
            format!(
                "{} {} {} {} {:x}\n",
                stat.size, stat.modified.0, stat.changed.0, stat.inode, stat.mode
            )
        })
        .concat();
    assert_eq!(shown, expected);
}

#[test]
fn plain_copies_are_equal_and_clean() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "build/\n");
    fixture.write("build/out", "x");
    let snapshot = fixture.snapshot(&SnapshotOptions {
        uncommitted: true,
        untracked: true,
        ..SnapshotOptions::default()
    });
    let attempt = snapshot.attempt("p", Copying::Plain).unwrap();
    let tree = attempt.path().join("tree");
    let output = Command::new("diff")
        .args(["-r", "--no-dereference", "--exclude=.git"])
        .args([&snapshot.tree(), &tree])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let mut status = git_command(&tree, &["status", "--porcelain"]);
    let status = status
        .env("GIT_DIR", attempt.path().join("git"))
        .env("GIT_WORK_TREE", &tree)
        .output()
        .unwrap();
    assert!(status.status.success() && status.stdout.is_empty(), "{status:?}");
    let (of_copy, of_base) = (
        read_manifest(&attempt.path().join("manifest")).unwrap(),
        read_manifest(&snapshot.manifest()).unwrap(),
    );
    assert_eq!(of_copy.entries.len(), of_base.entries.len());
    for (path, recorded) in &of_copy.entries {
        let stat = rustix::fs::lstat(crate::bytes_path::join(&tree, path)).unwrap();
        assert_eq!(recorded.stat, Some(crate::patch::manifest::StatKey::of(&stat)));
        assert_eq!(recorded.id, of_base.entries[path].id);
    }
}

#[test]
fn eight_attempts_at_once() {
    let fixture = Fixture::new();
    let snapshot = fixture.snapshot(&SnapshotOptions::default());
    let paths = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (snapshot, paths) = (&snapshot, &paths);
            let copying = if number % 2 == 0 {
                Copying::Overlay
            } else {
                Copying::Plain
            };
            scope.spawn(move || {
                let attempt = snapshot.attempt(&format!("{number}"), copying).unwrap();
                paths.lock().unwrap().insert(attempt.path().to_owned());
            });
        }
    });
    assert_eq!(paths.lock().unwrap().len(), 8);
    for number in 0..8 {
        snapshot
            .existing_attempt(&number.to_string())
            .unwrap()
            .remove()
            .unwrap();
    }
    assert_eq!(
        std::fs::read_dir(fixture.run.join("attempts")).unwrap().count(),
        0
    );
}

#[test]
fn removal_takes_hostile_trees_apart_and_nothing_else() {
    let fixture = Fixture::new();
    let snapshot = fixture.snapshot(&SnapshotOptions::default());
    let attempt = snapshot.attempt("h", Copying::Overlay).unwrap();
    let upper = attempt.path().join("tree.upper");
    let outside = fixture.folder.path().join("precious");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "x").unwrap();
    std::os::unix::fs::symlink(&outside, upper.join("link")).unwrap();
    for name in ["closed", "read-only"] {
        std::fs::create_dir_all(upper.join(name).join("inner/more")).unwrap();
        std::fs::write(upper.join(name).join("inner/file"), "x").unwrap();
        let mode = if name == "closed" { 0 } else { 0o555 };
        std::fs::set_permissions(upper.join(name).join("inner"), PermissionsExt::from_mode(mode)).unwrap();
        std::fs::set_permissions(upper.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    // Deeper than any path can name.
    let python =
        "import os,sys\nos.chdir(sys.argv[1])\nfor _ in range(5000):\n os.mkdir('deep'); os.chdir('deep')\n";
    assert!(
        Command::new("python3")
            .args(["-c", python])
            .arg(&upper)
            .status()
            .unwrap()
            .success()
    );
    attempt.disk_usage().unwrap();
    let path = attempt.path().to_owned();
    attempt.remove().unwrap();
    assert!(!path.exists());
    assert!(outside.join("file").exists());
}
