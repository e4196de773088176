//! Every kind of repository.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::fixture::{Fixture, git, inside, inside_command, write};
use crate::patch::manifest::{Checkout, FileMode, Manifest};
use crate::workspace::snapshot::read_manifest;
use crate::workspace::{Note, Snapshot, SnapshotOptions, WorkspaceError};

pub(super) fn committed() -> SnapshotOptions {
    SnapshotOptions {
        environment: false,
        ..SnapshotOptions::default()
    }
}

pub(super) fn uncommitted() -> SnapshotOptions {
    SnapshotOptions {
        uncommitted: true,
        ..committed()
    }
}

pub(super) fn untracked() -> SnapshotOptions {
    SnapshotOptions {
        untracked: true,
        ..uncommitted()
    }
}

pub(super) fn manifest(fixture: &Fixture) -> Manifest {
    read_manifest(&fixture.run.join("manifest")).unwrap()
}

pub(super) fn read(fixture: &Fixture, path: &str) -> Vec<u8> {
    std::fs::read(fixture.run.join("tree").join(path)).unwrap()
}

#[test]
fn a_clean_repository_is_laid_out_as_it_is() {
    let fixture = Fixture::new();
    let snapshot = fixture.snapshot(&committed());
    assert_eq!(
        snapshot.base_commit.to_string(),
        fixture.git(&["rev-parse", "HEAD"])
    );
    assert_eq!(snapshot.root, fixture.repo);
    assert_eq!(fixture.inside(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(
        fixture.inside(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/main"
    );
    assert_eq!(fixture.inside(&["log", "--format=%s"]), "second\nfirst");
    assert_eq!(fixture.inside(&["fsck", "--full", "--strict"]), "");
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
    let output = std::process::Command::new("diff")
        .args(["-r", "--no-dereference", "--exclude=.git"])
        .args([&fixture.repo, &fixture.run.join("tree")])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let mode = |path: &str| {
        std::fs::metadata(fixture.run.join("tree").join(path))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!((mode("run.sh") & 0o777, mode("README") & 0o777), (0o755, 0o644));
    let time = |root: &Path| {
        std::fs::metadata(root.join("src/lib.py"))
            .unwrap()
            .modified()
            .unwrap()
    };
    assert_eq!(time(&fixture.repo), time(&fixture.run.join("tree")));
}

#[test]
fn the_manifest_names_every_path_with_its_stat() {
    let fixture = Fixture::new();
    fixture.snapshot(&committed());
    let listed = fixture.git(&["ls-tree", "-r", "-z", "HEAD"]);
    let listed: Vec<_> = listed.split('\0').filter(|line| !line.is_empty()).collect();
    let manifest = manifest(&fixture);
    assert_eq!(listed.len(), manifest.entries.len());
    for line in listed {
        let (fields, path) = line.split_once('\t').unwrap();
        let recorded = &manifest.entries[path.as_bytes()];
        assert_eq!(
            fields,
            format!("{:06o} blob {}", recorded.mode.bits(), recorded.id)
        );
        let stat = rustix::fs::lstat(fixture.run.join("tree").join(path)).unwrap();
        assert_eq!(
            recorded.stat,
            Some(crate::patch::manifest::StatKey::of(&stat)),
            "{path:?}"
        );
    }
}

#[test]
fn only_ancestors_are_seen() {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-qb", "future"]);
    fixture.write("fix.py", "the fix\n");
    fixture.commit("future fix");
    let future = fixture.git(&["rev-parse", "HEAD"]);
    let blob = fixture.git(&["rev-parse", "HEAD:fix.py"]);
    fixture.git(&["tag", "v9"]);
    fixture.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("README", "stashed\n");
    fixture.git(&["stash", "-q"]);
    fixture.git(&["gc", "-q"]);
    let dangling = fixture.git(&["commit-tree", "-m", "dangling", "HEAD^{tree}"]);
    fixture.snapshot(&committed());
    for object in [&future, &blob, &dangling] {
        assert!(
            !inside_command(&fixture.run, &["cat-file", "-e", object])
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(fixture.inside(&["log", "--all", "--format=%s"]), "second\nfirst");
    for name in [
        "logs",
        "ORIG_HEAD",
        "FETCH_HEAD",
        "packed-refs",
        "refs/stash",
        "hooks",
    ] {
        assert!(!fixture.run.join("gitdir").join(name).exists(), "{name}");
    }
}

#[test]
fn an_older_base_is_detached_and_sees_less() {
    let fixture = Fixture::new();
    let options = SnapshotOptions {
        base: Some("HEAD~1".into()),
        ..committed()
    };
    let snapshot = fixture.snapshot(&options);
    assert_eq!(
        snapshot.base_commit.to_string(),
        fixture.git(&["rev-parse", "HEAD~1"])
    );
    assert_eq!(fixture.inside(&["log", "--all", "--format=%s", "HEAD"]), "first");
    assert!(
        !inside_command(&fixture.run, &["symbolic-ref", "-q", "HEAD"])
            .status()
            .unwrap()
            .success()
    );
    let error = Snapshot::create(
        &fixture.repo,
        &fixture.run,
        &SnapshotOptions {
            base: options.base,
            ..uncommitted()
        },
    );
    assert!(matches!(error, Err(WorkspaceError::UncommittedElsewhere(_))));
    let missing = SnapshotOptions {
        base: Some("nowhere".into()),
        ..committed()
    };
    assert!(matches!(
        Snapshot::create(&fixture.repo, &fixture.run, &missing),
        Err(WorkspaceError::MissingBase { .. })
    ));
}

/// Changes of every kind in the working tree and in the index.
pub(super) fn dirty(fixture: &Fixture) {
    fixture.write("README", "changed, not staged\n");
    fixture.write("staged.py", "staged\n");
    fixture.git(&["add", "staged.py"]);
    fixture.write("staged.py", "staged, then changed\n");
    fixture.git(&["rm", "-q", "--cached", "empty"]);
    std::fs::remove_file(fixture.repo.join("src-x")).unwrap();
    std::fs::remove_file(fixture.repo.join("link")).unwrap();
    std::os::unix::fs::symlink("README", fixture.repo.join("link")).unwrap();
    std::fs::set_permissions(
        fixture.repo.join("run.sh"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    std::fs::remove_file(fixture.repo.join("binary")).unwrap();
    fixture.write("binary/now/a/folder", "new\n");
    fixture.write(".gitignore", "*.log\n");
    fixture.write("noise.log", "ignored\n");
}

/// The tree that git itself makes of the working tree.
pub(super) fn tree_by_git(fixture: &Fixture, add: &[&str]) -> String {
    let index = fixture.folder.path().join("index-of-the-test");
    std::fs::copy(fixture.repo.join(".git/index"), &index).unwrap();
    let run = |arguments: &[&str]| {
        let output = super::fixture::git_command(&fixture.repo, arguments)
            .env("GIT_INDEX_FILE", &index)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run(add);
    let tree = run(&["write-tree"]);
    std::fs::remove_file(index).unwrap();
    tree
}

#[test]
fn uncommitted_work_is_a_commit_of_its_own() {
    let fixture = Fixture::new();
    dirty(&fixture);
    let snapshot = fixture.snapshot(&uncommitted());
    let head = fixture.git(&["rev-parse", "HEAD"]);
    assert_eq!(fixture.inside(&["rev-parse", "HEAD~1"]), head);
    assert_eq!(
        fixture.inside(&["log", "-1", "--format=%an %ae %cn"]),
        "cwm cwm@localhost cwm"
    );
    assert_eq!(
        fixture.inside(&["rev-parse", "HEAD^{tree}"]),
        tree_by_git(&fixture, &["add", "-u"])
    );
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
    assert_eq!(fixture.inside(&["fsck", "--full"]), "");
    let again = fixture.folder.path().join("again");
    std::fs::create_dir(&again).unwrap();
    let again = Snapshot::create(&fixture.repo, &again, &uncommitted()).unwrap();
    assert_eq!(snapshot.base_commit, again.base_commit);
}

#[test]
fn untracked_files_come_on_request() {
    let fixture = Fixture::new();
    dirty(&fixture);
    fixture.write("deep/new/file", "new\n");
    fixture.snapshot(&untracked());
    assert_eq!(
        fixture.inside(&["rev-parse", "HEAD^{tree}"]),
        tree_by_git(&fixture, &["add", "-A"])
    );
    assert!(!fixture.run.join("tree/noise.log").exists());
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
}

#[test]
fn a_clean_tree_needs_no_commit_of_its_own() {
    let fixture = Fixture::new();
    let snapshot = fixture.snapshot(&untracked());
    assert_eq!(
        snapshot.base_commit.to_string(),
        fixture.git(&["rev-parse", "HEAD"])
    );
}

#[test]
fn conflicts_are_refused_only_when_the_working_tree_is_wanted() {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-qb", "other", "HEAD~1"]);
    fixture.write("README", "theirs\n");
    fixture.commit("theirs");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("README", "ours\n");
    fixture.commit("ours");
    assert!(
        !super::fixture::git_command(&fixture.repo, &["merge", "other"])
            .output()
            .unwrap()
            .status
            .success()
    );
    match fixture.snapshot_of(&fixture.repo, &uncommitted()) {
        Err(WorkspaceError::Unmerged { count: 1, first }) => assert_eq!(first, "README"),
        other => panic!("{other:?}"),
    }
    std::fs::remove_dir_all(&fixture.run).unwrap();
    std::fs::create_dir(&fixture.run).unwrap();
    fixture.snapshot(&committed());
    assert_eq!(read(&fixture, "README"), b"ours\n");
}

#[test]
fn refusals_say_what_it_is() {
    let fixture = Fixture::empty();
    let refuse = |path: &Path| Snapshot::create(path, &fixture.run, &committed()).unwrap_err();
    assert!(matches!(refuse(&fixture.repo), WorkspaceError::NoCommit(_)));
    let folder = fixture.folder.path();
    git(folder, &["init", "-q", "--bare", "bare"]);
    assert!(matches!(refuse(&folder.join("bare")), WorkspaceError::Bare(_)));
    git(folder, &["init", "-q", "--object-format=sha256", "sha256"]);
    write(&folder.join("sha256/a"), "a");
    git(&folder.join("sha256"), &["add", "."]);
    git(&folder.join("sha256"), &["commit", "-qm", "a"]);
    assert!(matches!(
        refuse(&folder.join("sha256")),
        WorkspaceError::Sha256(_)
    ));
    assert!(matches!(refuse(folder), WorkspaceError::NotARepository(_)));
    assert!(matches!(
        refuse(&folder.join("missing")),
        WorkspaceError::Io { .. }
    ));
    assert_eq!(std::fs::read_dir(&fixture.run).unwrap().count(), 0);
}

#[test]
fn a_detached_head_stays_detached() {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "--detach"]);
    fixture.snapshot(&committed());
    assert!(
        !inside_command(&fixture.run, &["symbolic-ref", "-q", "HEAD"])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(fixture.inside(&["for-each-ref"]), "");
}

#[test]
fn a_shallow_clone_stays_shallow() {
    let fixture = Fixture::new();
    let clone = fixture.folder.path().join("clone");
    let url = format!("file://{}", fixture.repo.display());
    git(
        fixture.folder.path(),
        &["clone", "-q", "--depth=1", &url, "clone"],
    );
    fixture.snapshot_of(&clone, &committed()).unwrap();
    assert_eq!(fixture.inside(&["log", "--format=%s"]), "second");
    assert_eq!(fixture.inside(&["fsck", "--full"]), "");
}

#[test]
fn a_partial_clone_works_with_what_it_has() {
    let fixture = Fixture::new();
    fixture.write("README", "two\n");
    fixture.commit("third");
    fixture.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = fixture.folder.path().join("clone");
    let url = format!("file://{}", fixture.repo.display());
    git(
        fixture.folder.path(),
        &["clone", "-q", "--filter=blob:none", &url, "clone"],
    );
    let snapshot =
        Snapshot::create_with_store_at(&clone, &fixture.run, &committed(), &fixture.run.join("store"))
            .unwrap();
    assert!(
        snapshot.notes.contains(&Note::PartialHistory),
        "{:?}",
        snapshot.notes
    );
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
    assert_eq!(read(&fixture, "README"), b"two\n");
    // The first README was never downloaded, and still is not.
    let old = fixture.git(&["rev-parse", "HEAD~1:README"]);
    let missing = super::fixture::git_command(&clone, &["cat-file", "-e", &old])
        .env("GIT_NO_LAZY_FETCH", "1")
        .status();
    assert!(!missing.unwrap().success());
}

#[test]
fn a_sparse_checkout_leaves_out_the_same() {
    for sparse_index in ["--no-sparse-index", "--sparse-index"] {
        let fixture = Fixture::new();
        fixture.git(&["sparse-checkout", "set", "--cone", sparse_index, "src"]);
        assert!(!fixture.repo.join("odd").exists());
        fixture.write("src/lib.py", "changed\n");
        fixture.snapshot(&uncommitted());
        assert!(!fixture.run.join("tree/odd").exists());
        assert_eq!(read(&fixture, "src/lib.py"), b"changed\n");
        assert_eq!(
            fixture.inside(&["diff", "--name-status", "HEAD~1", "HEAD"]),
            "M\tsrc/lib.py"
        );
        assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
        let manifest = manifest(&fixture);
        let absent = manifest
            .entries
            .iter()
            .filter(|(_, recorded)| recorded.checkout == Checkout::Absent)
            .count();
        assert_eq!(absent, 1, "{sparse_index}");
    }
}

#[test]
fn a_linked_worktree_is_itself() {
    let fixture = Fixture::new();
    let linked = fixture.folder.path().join("linked");
    fixture.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    write(&linked.join("README"), "linked\n");
    let snapshot = fixture.snapshot_of(&linked, &uncommitted()).unwrap();
    assert_eq!(snapshot.root, std::fs::canonicalize(&linked).unwrap());
    assert_eq!(fixture.inside(&["symbolic-ref", "HEAD"]), "refs/heads/side");
    assert_eq!(
        fixture.inside(&["diff", "--name-status", "HEAD~1", "HEAD"]),
        "M\tREADME"
    );
}

#[test]
fn alternates_are_followed() {
    let fixture = Fixture::new();
    git(
        fixture.folder.path(),
        &["clone", "-q", "--shared", "repo", "clone"],
    );
    fixture
        .snapshot_of(&fixture.folder.path().join("clone"), &committed())
        .unwrap();
    assert_eq!(fixture.inside(&["fsck", "--full"]), "");
}

#[test]
fn a_split_index_is_read() {
    let fixture = Fixture::new();
    fixture.git(&["update-index", "--split-index"]);
    fixture.write("README", "split\n");
    fixture.snapshot(&uncommitted());
    assert_eq!(
        fixture.inside(&["diff", "--name-status", "HEAD~1", "HEAD"]),
        "M\tREADME"
    );
}

#[test]
fn nested_repositories_are_apart() {
    let fixture = Fixture::new();
    let inner = fixture.repo.join("inner");
    std::fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "-q"]);
    write(&inner.join("own"), "own\n");
    git(&inner, &["add", "."]);
    git(&inner, &["commit", "-qm", "inner"]);
    let snapshot = fixture.snapshot(&untracked());
    assert!(!fixture.run.join("tree/inner").exists());
    assert_eq!(snapshot.notes, [Note::NestedRepository("inner".into())]);
    let run = fixture.folder.path().join("run-2");
    std::fs::create_dir(&run).unwrap();
    let snapshot = Snapshot::create_with_store_at(&inner, &run, &committed(), &run.join("store")).unwrap();
    assert_eq!(snapshot.root, inner);
    assert_eq!(inside(&run, &["ls-files"]), "own");
}

#[test]
fn submodules_are_filled_when_checked_out() {
    let fixture = Fixture::new();
    let other = Fixture::new();
    let url = other.repo.to_str().unwrap();
    fixture.git(&["submodule", "--quiet", "add", url, "filled"]);
    fixture.git(&["submodule", "--quiet", "add", url, "hollow"]);
    fixture.git(&["commit", "-qm", "submodules"]);
    fixture.git(&["submodule", "--quiet", "deinit", "hollow"]);
    let snapshot = fixture.snapshot(&committed());
    assert_eq!(
        read(&fixture, "filled/src/lib.py"),
        std::fs::read(fixture.repo.join("filled/src/lib.py")).unwrap()
    );
    assert!(!fixture.run.join("tree/filled/.git").exists());
    assert_eq!(
        std::fs::read_dir(fixture.run.join("tree/hollow"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(snapshot.notes, [Note::SubmoduleEmpty("hollow".into())]);
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
    assert_eq!(manifest(&fixture).entries[&b"filled"[..]].mode, FileMode::Gitlink);
    assert!(!manifest(&fixture).entries.contains_key(&b"filled/README"[..]));
}

#[test]
fn a_moved_submodule_is_part_of_uncommitted_work() {
    let fixture = Fixture::new();
    let other = Fixture::new();
    fixture.git(&["submodule", "--quiet", "add", other.repo.to_str().unwrap(), "sub"]);
    fixture.git(&["commit", "-qm", "submodule"]);
    fixture.write("sub/README", "moved\n");
    git(&fixture.repo.join("sub"), &["commit", "-qam", "moved"]);
    fixture.write("sub/README", "and changed\n");
    fixture.snapshot(&uncommitted());
    assert_eq!(
        fixture.inside(&["rev-parse", "HEAD:sub"]),
        git(&fixture.repo.join("sub"), &["rev-parse", "HEAD"])
    );
    assert_eq!(read(&fixture, "sub/README"), b"and changed\n");
}

#[test]
fn a_folder_behind_a_link_is_not_read() {
    let fixture = Fixture::new();
    std::fs::rename(fixture.repo.join("src"), fixture.folder.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("../moved", fixture.repo.join("src")).unwrap();
    fixture.snapshot(&uncommitted());
    assert_eq!(
        fixture.inside(&["diff", "--name-status", "HEAD~1", "HEAD"]),
        "D\tsrc/lib.py"
    );
    assert!(!fixture.run.join("tree/src").exists());
}

#[test]
fn the_library_packs_the_same_objects_as_git() {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-qb", "other"]);
    fixture.write("other", "other\n");
    fixture.commit("other");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.snapshot(&committed());
    let objects = |run: &Path| {
        inside(
            run,
            &["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
        )
    };
    let by_git = objects(&fixture.run);
    for entry in std::fs::read_dir(fixture.run.join("store/objects/pack")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let packing = crate::workspace::store::Packing {
        root: fixture.repo.clone(),
        gitdir: fixture.repo.join(".git"),
        objects: fixture.repo.join(".git/objects"),
        store: fixture.run.join("store"),
        commit: git2::Oid::from_str(&fixture.git(&["rev-parse", "HEAD"])).unwrap(),
        partial: false,
    };
    packing.with_library().unwrap();
    assert_eq!(objects(&fixture.run), by_git);
    assert_eq!(fixture.inside(&["fsck", "--full"]), "");
}

#[test]
fn the_user_may_go_on_editing() {
    let fixture = Fixture::new();
    for number in 0..300 {
        fixture.write(&format!("many/{number}"), "0\n".repeat(500));
    }
    fixture.commit("many");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0_usize;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let path = fixture.repo.join(format!("many/{}", round % 300));
                match round % 5 {
                    0 => drop(std::fs::remove_file(path)),
                    1 => write(&fixture.repo.join(format!("fresh/{round}")), "new\n"),
                    _ => write(&path, format!("{round}\n").repeat(round % 2_000)),
                }
            }
        });
        let made: Vec<_> = (0..5)
            .map(|number| {
                let run = fixture.run.join(number.to_string());
                std::fs::create_dir(&run).unwrap();
                (
                    Snapshot::create_with_store_at(&fixture.repo, &run, &untracked(), &run.join("store")),
                    run,
                )
            })
            .collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for (snapshot, run) in made {
            let snapshot = snapshot.unwrap();
            assert_eq!(
                inside(&run, &["rev-parse", "HEAD"]),
                snapshot.base_commit.to_string()
            );
            assert_eq!(inside(&run, &["status", "--porcelain"]), "");
            assert_eq!(inside(&run, &["fsck", "--full"]), "");
        }
    });
}
