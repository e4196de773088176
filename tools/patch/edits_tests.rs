//! Random edits of random trees: our diff of the attempt must make `git apply --index` turn the base into exactly
//! the tree that git sees in the attempt, our parser must read it back, and our own `apply` must do what git's does.

use std::fs;

use super::apply::{ApplyOptions, FileState, apply_to, to_repository};
use super::manifest::FileMode;
use super::testing::{
    Files, Random, change, git, git_line, git_with, manifest, read_tree, repository, tree_of,
};
use super::{BaseObjects, ScanOptions, diff_worktree, parse};

const WORDS: [&[u8]; 14] = [
    b"return x",
    b"def f(a, b):",
    b"    pass",
    b"",
    b"}",
    b"--- a/x",
    b"+++ b/x",
    b"@@ -1,2 +3,4 @@",
    b"diff --git a/x b/x",
    b"\\ No newline at end of file",
    b"-- ",
    b" leading",
    b"trailing \t",
    b"caf\xc3\xa9 \xff\xfe",
];
const NAMES: [&[u8]; 22] = [
    b"main.py",
    b"lib.rs",
    b"a b",
    b" lead",
    b"trail ",
    b"tab\there",
    b"line\nbreak",
    b"quo\"te",
    b"back\\slash",
    b"caf\xc3\xa9",
    b"raw\xff\x80",
    b"-dash",
    b"star*?[x]",
    b"#hash",
    b"!bang",
    b"test_x.py",
    b"b",
    b"a",
    b"dev null",
    b"new file",
    b"bell\x07\x1b",
    b"x.tar.gz",
];

fn name(random: &mut Random) -> Vec<u8> {
    let mut name = random.pick(&NAMES).to_vec();
    if random.below(2) == 0 {
        name.extend_from_slice(random.below(40).to_string().as_bytes());
    }
    name
}

/// A path at which a new file may be.
fn free_path(random: &mut Random, files: &Files) -> Vec<u8> {
    loop {
        let mut path = name(random);
        for _ in 0..random.below(3) {
            path = [name(random), path].join(&b'/');
        }
        let below = [path.as_slice(), b"/"].concat();
        let is_folder = files
            .range(below.clone()..)
            .next()
            .is_some_and(|(other, _)| other.starts_with(&below));
        let mut parents = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| &path[..at]);
        if !is_folder && !files.contains_key(&path) && parents.all(|parent| !files.contains_key(parent)) {
            return path;
        }
    }
}

fn text(random: &mut Random) -> Vec<u8> {
    let end: &[u8] = if random.below(5) == 0 { b"\r\n" } else { b"\n" };
    let most = if random.below(4) == 0 { 200 } else { 20 };
    let mut text = Vec::new();
    for number in 0..1 + random.below(most) {
        text.extend_from_slice(random.pick::<&[u8]>(&WORDS));
        if random.below(2) == 0 {
            text.extend_from_slice(format!(" {number}").as_bytes());
        }
        text.extend_from_slice(end);
    }
    if random.below(5) == 0 {
        text.truncate(text.len() - end.len());
    }
    text
}

fn content(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => Vec::new(),
        1 => (0..random.below(3_000))
            .map(|_| random.below(256) as u8)
            .chain([0])
            .collect(),
        _ => text(random),
    }
}

/// Where a symlink leads. Never to itself: `git apply` refuses to make a folder of a symlink that goes in circles,
/// however the diff is written.
fn target(random: &mut Random) -> Vec<u8> {
    let start: &[u8] = random.pick::<&[u8]>(&[b"gone/", b"../../gone ", b"/gone/"]);
    [start, &name(random)].concat()
}

fn file(random: &mut Random) -> FileState {
    match random.below(8) {
        0 => FileState {
            mode: FileMode::Symlink,
            content: target(random),
        },
        1 | 2 => FileState {
            mode: FileMode::Executable,
            content: content(random),
        },
        _ => FileState {
            mode: FileMode::Regular,
            content: content(random),
        },
    }
}

fn edit_lines(random: &mut Random, text: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    for _ in 0..1 + random.below(4) {
        let at = random.below(lines.len() + 1);
        let line = [*random.pick(&WORDS), b"\n"].concat();
        match random.below(3) {
            0 => lines.insert(at, line),
            1 if at < lines.len() => drop(lines.remove(at)),
            _ if at < lines.len() => lines[at] = line,
            _ => lines.push(line),
        }
    }
    *text = lines.concat();
}

/// One random change of a tree.
fn edit(random: &mut Random, files: &mut Files) {
    let paths: Vec<Vec<u8>> = files.keys().cloned().collect();
    let kind = if paths.is_empty() { 0 } else { random.below(15) };
    let path = paths.get(random.below(paths.len())).cloned().unwrap_or_default();
    let is_symlink = files
        .get(&path)
        .is_some_and(|file| file.mode == FileMode::Symlink);
    match kind {
        1 => drop(files.remove(&path)),
        2 | 3 => {
            let mut moved = files.remove(&path).expect("a file");
            if kind == 3 && !is_symlink {
                edit_lines(random, &mut moved.content);
            }
            let to = free_path(random, files);
            files.insert(to, moved);
        }
        12 => {
            // A file becomes a folder.
            let moved = files.remove(&path).expect("a file");
            files.insert([path.as_slice(), b"/", &name(random)].concat(), moved);
        }
        13 if path.contains(&b'/') => {
            // A folder becomes a file.
            let folder = path[..path.iter().position(|byte| *byte == b'/').expect("a slash")].to_vec();
            let below = [folder.as_slice(), b"/"].concat();
            files.retain(|path, _| !path.starts_with(&below));
            files.insert(folder, file(random));
        }
        14 if !is_symlink => {
            let copy = files[&path].clone();
            let to = free_path(random, files);
            files.insert(to, copy);
        }
        4..=11 => {
            let file = files.get_mut(&path).expect("a file");
            match kind {
                4 if !is_symlink => {
                    let run = file.mode == FileMode::Executable;
                    file.mode = if run {
                        FileMode::Regular
                    } else {
                        FileMode::Executable
                    };
                }
                5 | 6 if is_symlink => {
                    *file = FileState {
                        mode: FileMode::Regular,
                        content: content(random),
                    }
                }
                5 => {
                    *file = FileState {
                        mode: FileMode::Symlink,
                        content: target(random),
                    }
                }
                7 if !is_symlink => file.content = content(random),
                8 if !is_symlink => {
                    let lines = file.content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
                    file.content = lines.collect::<Vec<_>>().join(b"\r\n".as_slice());
                }
                9 if !is_symlink && file.content.ends_with(b"\n") => drop(file.content.pop()),
                9 if !is_symlink => file.content.push(b'\n'),
                10 if !is_symlink => file.content.clear(),
                _ if is_symlink => file.content = target(random),
                _ => edit_lines(random, &mut file.content),
            }
        }
        _ => {
            let to = free_path(random, files);
            files.insert(to, file(random));
        }
    }
}

/// One base, several edits, all checks.
fn check_batch(seed: u64, edits: usize) {
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir().expect("a folder");
    let mut base = Files::new();
    for _ in 0..40 {
        let path = free_path(&mut random, &base);
        base.insert(path, file(&mut random));
    }
    let mut attempt = base.clone();
    for _ in 0..edits {
        edit(&mut random, &mut attempt);
    }
    let (origin, worktree) = (scratch.path().join("base"), scratch.path().join("attempt"));
    repository(&origin, &base);
    fs::create_dir(&worktree).expect("a folder");
    change(&worktree, &Files::new(), &base);
    let mut manifest = manifest(&origin);
    manifest.record_stats(&worktree).expect("stats");
    change(&worktree, &base, &attempt);

    let objects = BaseObjects::open(&origin.join(".git/objects")).expect("objects");
    let diff = diff_worktree(&worktree, &manifest, &objects, &ScanOptions::default()).expect("a diff");
    assert_eq!(diff.notes, [], "seed {seed}: nothing may be left out");
    let truth = tree_of(&origin, &worktree, scratch.path());
    if diff.bytes.is_empty() {
        assert_eq!(
            truth,
            git_line(&origin, ["rev-parse", "HEAD^{tree}"]),
            "seed {seed}"
        );
        return;
    }
    let shown = || String::from_utf8_lossy(&diff.bytes).into_owned();
    assert_eq!(
        parse(&diff.bytes).as_ref(),
        Ok(&diff.patch),
        "seed {seed}: {}",
        shown()
    );

    let read = |path: &[u8]| Ok(base.get(path).cloned());
    let outcomes =
        apply_to(&diff.patch, &read).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", shown()));
    assert!(
        outcomes.iter().all(|outcome| outcome.repairs.is_empty()),
        "seed {seed}"
    );

    let ours = scratch.path().join("ours");
    repository(&ours, &base);
    let options = ApplyOptions {
        index: true,
        ..ApplyOptions::default()
    };
    to_repository(&ours, &diff.patch, options)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", shown()));
    assert_eq!(git_line(&ours, ["write-tree"]), truth, "seed {seed}: our index");
    assert_eq!(read_tree(&ours), attempt, "seed {seed}: our files");
    assert_eq!(
        git_line(&ours, ["diff-files", "--name-status"]),
        "",
        "seed {seed}: files and index must agree"
    );

    let apply = ["apply", "--index", "--whitespace=nowarn", "-"];
    git_with(&origin, apply, &[], &diff.bytes)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", shown()));
    assert_eq!(
        git_line(&origin, ["write-tree"]),
        truth,
        "seed {seed}: git's index\n{}",
        shown()
    );
    git(&origin, ["diff-files", "--quiet"]);
}

#[test]
fn random_edits_are_reproduced_by_git_apply() {
    let (batches, edits) = if std::env::var_os("CWM_SOAK").is_some() {
        (500, 24)
    } else {
        (50, 20)
    };
    for seed in 1..=batches {
        check_batch(seed, edits);
    }
}
