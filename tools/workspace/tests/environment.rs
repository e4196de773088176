//! What git ignores: copied, mounted or left out.

use super::fixture::{Fixture, git};
use crate::sandbox::policy::Mount;
use crate::workspace::{Copying, Note, SnapshotOptions};

fn with_environment() -> Fixture {
    let fixture = Fixture::new();
    fixture.write(
        ".gitignore",
        "build/\n.venv/\n*.so\n_version.py\n__pycache__/\nbig/\n.env\n*.key\n.npmrc\n",
    );
    fixture.commit("ignores");
    fixture.write("src/_version.py", "v = 1\n");
    fixture.write("src/native.so", "elf");
    fixture.write("src/__pycache__/lib.pyc", "cache");
    fixture.write(".venv/pyvenv.cfg", "home = /usr\n");
    fixture.write(".venv/lib/certifi/cacert.pem", "-----BEGIN CERTIFICATE-----\n");
    fixture.write(".venv/lib/boto/credentials.py", "class Credentials: ...\n");
    fixture.write(".venv/lib/boto/__pycache__/credentials.pyc", "kept\n");
    fixture.write("build/out.o", "object");
    fixture.write(".env", "TOKEN=1\n");
    fixture.write("server.key", "-----BEGIN PRIVATE KEY-----\n");
    fixture.write(".npmrc", "//registry/:_authToken=1\n");
    fixture
}

#[test]
fn small_parts_are_copied_and_secrets_are_not() {
    let fixture = with_environment();
    let snapshot = fixture.snapshot(&SnapshotOptions::default());
    let there = |path: &str| fixture.run.join("tree").join(path).exists();
    for path in [
        "src/_version.py",
        "src/native.so",
        ".venv/pyvenv.cfg",
        ".venv/lib/certifi/cacert.pem",
        ".venv/lib/boto/credentials.py",
        ".venv/lib/boto/__pycache__/credentials.pyc",
        "build/out.o",
    ] {
        assert!(there(path), "{path}");
        let time = |root: &std::path::Path| std::fs::metadata(root.join(path)).unwrap().modified().unwrap();
        assert_eq!(time(&fixture.repo), time(&fixture.run.join("tree")), "{path}");
    }
    for path in ["src/__pycache__", ".env", "server.key", ".npmrc"] {
        assert!(!there(path), "{path}");
    }
    let mut notes: Vec<_> = snapshot.notes.iter().map(ToString::to_string).collect();
    notes.sort();
    let mut expected: Vec<_> = [".env", "server.key", ".npmrc"]
        .map(|path| Note::SecretLeftOut(path.into()))
        .to_vec();
    expected.push(Note::CachesLeftOut(1));
    let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(notes, expected);
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
}

#[test]
fn without_the_environment_only_tracked_files_are_there() {
    let fixture = with_environment();
    fixture.snapshot(&SnapshotOptions {
        environment: false,
        ..SnapshotOptions::default()
    });
    assert!(!fixture.run.join("tree/.venv").exists());
    assert!(!fixture.run.join("tree/src/_version.py").exists());
}

#[test]
fn large_folders_are_mounted_and_their_secrets_hidden() {
    let fixture = with_environment();
    for number in 0..2_100 {
        fixture.write(&format!("big/{}/{number}", number % 50), "x");
    }
    fixture.write("big/.ssh/id_rsa", "key");
    fixture.write("big/deep/.env", "TOKEN=1");
    let snapshot = fixture.snapshot(&SnapshotOptions::default());
    assert_eq!(
        std::fs::read_dir(fixture.run.join("tree/big")).unwrap().count(),
        0
    );
    let attempt = snapshot.attempt("1", Copying::Overlay).unwrap();
    let mounts = attempt.mounts();
    let target = |path: &str| fixture.repo.join(path);
    let found = |path: &str| mounts.iter().find(|mount| *mount.target() == target(path));
    match found("big") {
        Some(Mount::Overlay {
            lower,
            upper: Some(upper),
            ..
        }) => {
            assert_eq!(*lower, target("big"));
            assert!(upper.upper.is_dir() && upper.work.is_dir());
        }
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(found("big/.ssh"), Some(Mount::ReadOnly { source, .. }) if source.read_dir().unwrap().count() == 0)
    );
    assert!(matches!(found("big/deep/.env"), Some(Mount::ReadOnly { source, .. }) if source.is_file()));
    let plain = snapshot.attempt("2", Copying::Plain).unwrap();
    let copy = plain
        .mounts()
        .into_iter()
        .find(|mount| *mount.target() == target("big"));
    match copy {
        Some(Mount::Writable { source, .. }) => {
            assert!(source.join("7/7").is_file());
            assert!(!source.join(".ssh").exists() && !source.join("deep/.env").exists());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_environment_that_git_does_not_ignore_is_no_new_file() {
    let fixture = Fixture::new();
    fixture.write("venv [1]/pyvenv.cfg", "home = /usr\n");
    fixture.write("new.py", "new\n");
    fixture.snapshot(&SnapshotOptions {
        uncommitted: true,
        untracked: true,
        ..SnapshotOptions::default()
    });
    assert_eq!(
        fixture.inside(&["diff", "--name-only", "HEAD~1", "HEAD"]),
        "new.py"
    );
    assert!(fixture.run.join("tree/venv [1]/pyvenv.cfg").exists());
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
}

#[test]
fn repositories_inside_the_environment_stay_out() {
    let fixture = with_environment();
    let inner = fixture.repo.join("build/checkout");
    std::fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "-q"]);
    fixture.write("build/checkout/file", "x");
    fixture.snapshot(&SnapshotOptions::default());
    assert!(!fixture.run.join("tree/build/checkout/.git").exists());
}
