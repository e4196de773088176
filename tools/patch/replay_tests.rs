//! Replays a real repository's history: for each commit on the first-parent line, our diff of parent to child,
//! applied by our own code (and for a sample by git), must give exactly the child's tree.
//!
//! Runs on the repository named by `CWM_REPLAY_REPO` (`scripts/replay-history` sets it); without it, on a small
//! history made here.

use std::collections::BTreeMap;
use std::path::Path;

use super::apply::{FileState, apply_to};
use super::manifest::FileMode;
use super::testing::{Files, Random, change, git, git_with, repository};
use super::types::Change;
use super::{diff_trees, parse};

/// What a replay saw.
#[derive(Debug, Default)]
struct Replayed {
    commits: usize,
    files: usize,
    renames: usize,
    bytes: usize,
    by_git: usize,
}

/// The mode and blob of every path of a tree.
fn entries(store: &git2::Repository, tree: &git2::Tree<'_>) -> BTreeMap<Vec<u8>, (FileMode, git2::Oid)> {
    let mut entries = BTreeMap::new();
    let mut folders = vec![(Vec::new(), tree.id())];
    while let Some((folder, id)) = folders.pop() {
        for entry in &store.find_tree(id).expect("a tree") {
            let path = [folder.as_slice(), entry.name_bytes()].concat();
            match FileMode::from_bits(entry.filemode() as u32) {
                Some(mode) => drop(entries.insert(path, (mode, entry.id()))),
                None => folders.push(([path.as_slice(), b"/"].concat(), entry.id())),
            }
        }
    }
    entries
}

/// Replays up to `most` commits; every `sample`th is applied by git too.
fn replay(git_dir: &Path, most: usize, sample: usize, scratch: &Path) -> Replayed {
    let store = git2::Repository::open(git_dir).expect("a repository");
    let mut walk = store.revwalk().expect("a walk");
    walk.push_head().expect("a HEAD");
    walk.simplify_first_parent().expect("a first-parent walk");
    let mut replayed = Replayed::default();
    for commit in walk.take(most) {
        let commit = store.find_commit(commit.expect("an id")).expect("a commit");
        let child = commit.tree().expect("a tree");
        let parent = commit.parent(0).ok().map(|parent| parent.tree().expect("a tree"));
        let patch = diff_trees(&store, parent.as_ref(), Some(&child)).expect("a diff");
        let bytes = patch.to_bytes();
        let named = commit.id();
        replayed.commits += 1;
        replayed.files += patch.files.len();
        replayed.renames += patch
            .files
            .iter()
            .filter(|file| matches!(file.change, Change::Renamed { .. }))
            .count();
        replayed.bytes += bytes.len();
        let before = parent
            .as_ref()
            .map(|tree| entries(&store, tree))
            .unwrap_or_default();
        if patch.is_empty() {
            assert_eq!(before, entries(&store, &child), "{named}");
            continue;
        }
        let read_back = parse(&bytes).unwrap_or_else(|error| panic!("{named}: {error}"));
        assert_eq!(read_back, patch, "{named}: reading back");
        let read = |path: &[u8]| {
            let Some((mode, id)) = before.get(path).copied() else {
                return Ok(None);
            };
            let content = match mode {
                FileMode::Gitlink => format!("Subproject commit {id}\n").into_bytes(),
                _ => store.find_blob(id)?.content().to_vec(),
            };
            Ok(Some(FileState { mode, content }))
        };
        let outcomes = apply_to(&read_back, &read).unwrap_or_else(|error| panic!("{named}: {error}"));
        let mut after = before.clone();
        for outcome in &outcomes {
            assert_eq!(outcome.repairs, [], "{named}: nothing is to be repaired");
            if outcome.after.is_none() || matches!(outcome.change, Change::Renamed { .. }) {
                outcome.old_path.as_ref().map(|path| after.remove(path));
            }
        }
        for outcome in outcomes {
            let (Some(path), Some(state)) = (outcome.new_path, outcome.after) else {
                continue;
            };
            let id = match state.mode {
                FileMode::Gitlink => {
                    let text = String::from_utf8(state.content).expect("a gitlink's line");
                    git2::Oid::from_str(text.trim().rsplit(' ').next().expect("an id")).expect("an id")
                }
                _ => git2::Oid::hash_object(git2::ObjectType::Blob, &state.content).expect("a hash"),
            };
            after.insert(path, (state.mode, id));
        }
        assert_eq!(after, entries(&store, &child), "{named}: the child's tree");
        if let (Some(parent), 0) = (&parent, replayed.commits % sample) {
            check_with_git(
                git_dir,
                &parent.id().to_string(),
                &bytes,
                &child.id().to_string(),
                scratch,
            );
            replayed.by_git += 1;
        }
    }
    replayed
}

/// `git apply --cached` on the parent's tree must give the child's.
fn check_with_git(git_dir: &Path, parent: &str, patch: &[u8], child: &str, scratch: &Path) {
    let (index, objects) = (scratch.join("replay-index"), scratch.join("objects"));
    std::fs::create_dir_all(&objects).expect("a folder");
    // What git writes goes beside, so that the repository stays as it is.
    let theirs = git2::Repository::open(git_dir)
        .expect("a repository")
        .commondir()
        .join("objects");
    let variables = [
        ("GIT_DIR", git_dir),
        ("GIT_INDEX_FILE", index.as_path()),
        ("GIT_OBJECT_DIRECTORY", objects.as_path()),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", theirs.as_path()),
    ];
    let run = |arguments: &[&str], input: &[u8]| {
        git_with(scratch, arguments, &variables, input).unwrap_or_else(|error| panic!("{child}: {error}"))
    };
    run(&["read-tree", parent], b"");
    run(&["apply", "--cached", "--whitespace=nowarn", "-"], patch);
    let tree = run(&["write-tree"], b"");
    assert_eq!(String::from_utf8_lossy(&tree).trim(), child);
}

#[test]
fn the_history_of_a_repository_is_reproduced() {
    let scratch = tempfile::tempdir().expect("a folder");
    if let Some(git_dir) = std::env::var_os("CWM_REPLAY_REPO") {
        let number = |name: &str, default| {
            std::env::var(name)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let (most, sample) = (
            number("CWM_REPLAY_COMMITS", usize::MAX),
            number("CWM_REPLAY_SAMPLE", 10),
        );
        let started = std::time::Instant::now();
        let replayed = replay(Path::new(&git_dir), most, sample.max(1), scratch.path());
        assert!(replayed.commits > 0);
        println!("{replayed:?} in {:.1?}", started.elapsed());
        return;
    }
    let root = scratch.path().join("history");
    let mut files = Files::new();
    repository(&root, &files);
    let mut random = Random::new(7);
    for number in 0..12 {
        let before = files.clone();
        let path = format!("dir{}/file{}.txt", random.below(3), random.below(4)).into_bytes();
        let text: String = (0..60)
            .map(|line| format!("{} {line}\n", random.below(2)))
            .collect();
        match (number % 3, files.pop_first()) {
            (0, Some((_, file))) => drop(files.insert(format!("moved{number}").into_bytes(), file)),
            (_, Some((first, file))) => drop(files.insert(first, file)),
            (_, None) => {}
        }
        files.insert(
            path,
            FileState {
                mode: FileMode::Regular,
                content: text.into_bytes(),
            },
        );
        change(&root, &before, &files);
        git(&root, ["add", "-A"]);
        git(&root, ["commit", "-q", "--allow-empty", "-m", "next"]);
    }
    let replayed = replay(&root.join(".git"), usize::MAX, 1, scratch.path());
    assert_eq!((replayed.commits, replayed.by_git), (13, 12), "{replayed:?}");
    assert!(replayed.renames > 0, "{replayed:?}");
}
