//! Isolated copies against `git worktree add`: one, then 8 and 64 at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::sandbox::Ending;
use cwm_tools::workspace::{Copying, Snapshot};

use crate::fixture::{Fixture, MIDDLE, file_name, git, options, walls};
use crate::measure::{compare, in_turn, shown, timed};

const ROUNDS: usize = 15;
const SNAPSHOTS: usize = 5;

/// All of them.
pub(crate) fn run() -> anyhow::Result<()> {
    println!(
        "copies of a repository of {} files ({ROUNDS} rounds; target: ratio of at least 5)",
        MIDDLE.files
    );
    let fixture = Fixture::new(MIDDLE)?;
    snapshots(&fixture)?;
    let snapshot = fixture.snapshot("run")?;
    one(&fixture, &snapshot)?;
    disk(&fixture, &snapshot)?;
    for count in [8, 64] {
        many(&fixture, &snapshot, count)?;
    }
    Ok(())
}

/// What is paid once a run.
fn snapshots(fixture: &Fixture) -> anyhow::Result<()> {
    let costs = std::cell::RefCell::new(Vec::new());
    let number = AtomicUsize::new(0);
    let [ours, clones] = in_turn(
        SNAPSHOTS,
        [
            &mut || {
                let name = format!("snapshot-{}", number.fetch_add(1, Ordering::Relaxed));
                let start = Instant::now();
                let snapshot = fixture.snapshot(&name)?;
                let time = start.elapsed();
                costs.borrow_mut().push(snapshot.cost);
                fs::remove_dir_all(fixture.beside(&name)?)?;
                Ok(time)
            },
            &mut || {
                let folder = fixture.beside("clone")?;
                let target = folder.join("1");
                let time = timed(|| {
                    git(
                        &fixture.repository,
                        &["clone", "-q", "--no-local", ".", text(&target)?],
                    )
                })?;
                fs::remove_dir_all(&folder)?;
                Ok(time)
            },
        ],
    )?;
    compare("snapshot, once a run", &ours, "git clone --no-local", &clones);
    let costs = costs.into_inner();
    let median = |of: &dyn Fn(&cwm_tools::workspace::SnapshotCost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "    store {} | tree {} | looking for the environment {} (store and tree at the same time)",
        shown(median(&|cost| cost.store)),
        shown(median(&|cost| cost.tree)),
        shown(median(&|cost| cost.environment)),
    );
    if let Some(cost) = costs.last() {
        println!(
            "    store {} KB | tree {} files, {} KB",
            cost.store_bytes >> 10,
            cost.tree_files,
            cost.tree_bytes >> 10
        );
    }
    Ok(())
}

/// One copy: its folders alone, with its sandbox, and up to the end of a first `git status` in it.
fn one(fixture: &Fixture, snapshot: &Snapshot) -> anyhow::Result<()> {
    let walls = walls();
    let open = || IsolatedCopy::open(snapshot, "1", &walls, Path::new(""), options());
    let worktrees = fixture.beside("worktrees")?;
    let tree = worktrees.join("1");
    let status = "git status --porcelain";
    let [folders, mounted, ready, worktree, worktree_ready] = in_turn(
        ROUNDS,
        [
            &mut || {
                let start = Instant::now();
                let attempt = snapshot.attempt("1", Copying::Overlay)?;
                let time = start.elapsed();
                attempt.remove()?;
                Ok(time)
            },
            &mut || {
                let start = Instant::now();
                let _copy = open()?;
                Ok(start.elapsed())
            },
            &mut || {
                let start = Instant::now();
                let mut copy = open()?;
                command(&mut copy, status)?;
                Ok(start.elapsed())
            },
            &mut || {
                let time = timed(|| add(fixture, &tree))?;
                take_away(fixture, &tree)?;
                Ok(time)
            },
            &mut || {
                let time = timed(|| {
                    add(fixture, &tree)?;
                    git(&tree, &["status", "--porcelain"])
                })?;
                take_away(fixture, &tree)?;
                Ok(time)
            },
        ],
    )?;
    let peer = "git worktree add";
    compare("a copy's folders", &folders, peer, &worktree);
    compare("a copy, mounted in its sandbox", &mounted, peer, &worktree);
    compare(
        "the same and `git status` in it",
        &ready,
        "git worktree add, git status",
        &worktree_ready,
    );
    Ok(())
}

/// What a copy takes on disk before and after three files are touched.
fn disk(fixture: &Fixture, snapshot: &Snapshot) -> anyhow::Result<()> {
    let mut copy = IsolatedCopy::open(snapshot, "disk", &walls(), Path::new(""), options())?;
    let attempt = snapshot.existing_attempt("disk")?;
    let fresh = attempt.disk_usage()?;
    let names: Vec<String> = [1, 2_000, 4_000].map(file_name).to_vec();
    command(
        &mut copy,
        &format!("for f in {}; do echo changed >> $f; done", names.join(" ")),
    )?;
    let touched = attempt.disk_usage()?;
    command(&mut copy, "git status --porcelain")?;
    let status = attempt.disk_usage()?;
    let tree = fixture.beside("worktrees")?.join("disk");
    add(fixture, &tree)?;
    let worktree = size_of(&tree)?;
    take_away(fixture, &tree)?;
    println!(
        "  on disk: {} KB fresh, {} KB with three files changed, {} KB after `git status` | a worktree: {} KB",
        fresh >> 10,
        touched >> 10,
        status >> 10,
        worktree >> 10
    );
    Ok(())
}

/// Many at once, from as many threads as git is given processes.
fn many(fixture: &Fixture, snapshot: &Snapshot, count: usize) -> anyhow::Result<()> {
    let walls = walls();
    let start = Instant::now();
    let opened: Vec<anyhow::Result<IsolatedCopy>> = at_once(count, |number| {
        let name = format!("many-{number}");
        let mut copy = IsolatedCopy::open(snapshot, &name, &walls, Path::new(""), options())?;
        command(&mut copy, "true")?;
        Ok(copy)
    });
    let ours = start.elapsed();
    let mut copies = opened.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let usage = (0..count).map(|number| snapshot.existing_attempt(&format!("many-{number}"))?.disk_usage());
    let disk: u64 = usage.collect::<Result<Vec<u64>, _>>()?.into_iter().sum();
    // All of them stand: the first and the last still answer.
    for copy in [0, count - 1] {
        command(copies.get_mut(copy).context("a copy")?, "true")?;
    }
    let start = Instant::now();
    drop(copies);
    let end = start.elapsed();

    let worktrees = fixture.beside("worktrees")?;
    let trees: Vec<PathBuf> = (0..count)
        .map(|number| worktrees.join(format!("many-{number}")))
        .collect();
    let start = Instant::now();
    let added = at_once(count, |number| add(fixture, trees.get(number).context("a tree")?));
    let mut theirs = start.elapsed();
    let failed = added.iter().filter(|result| result.is_err()).count();
    let mut how = "at once".to_owned();
    if failed > 0 {
        for tree in &trees {
            let _ = take_away(fixture, tree);
        }
        let start = Instant::now();
        trees.iter().try_for_each(|tree| add(fixture, tree))?;
        theirs = start.elapsed();
        how = format!("one after another: {failed} failed at once");
    }
    for tree in &trees {
        take_away(fixture, tree)?;
    }
    println!(
        "  {count} copies at once, each with a first command: {} in all, {} each, {} KB on disk in all, {} to end | \
         git worktree add ({how}): {} | ratio {:.2}",
        shown(ours),
        shown(ours / u32::try_from(count)?),
        disk >> 10,
        shown(end),
        shown(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
    Ok(())
}

fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    std::thread::scope(|scope| {
        for (number, result) in results.iter_mut().enumerate() {
            let work = &work;
            scope.spawn(move || *result = Some(work(number)));
        }
    });
    results.into_iter().flatten().collect()
}

fn command(copy: &mut IsolatedCopy, command: &str) -> anyhow::Result<()> {
    let result = copy.session().run(command)?;
    anyhow::ensure!(result.ending == Ending::Exited(0), "{command}: {result:?}");
    Ok(())
}

fn add(fixture: &Fixture, tree: &Path) -> anyhow::Result<()> {
    git(
        &fixture.repository,
        &["worktree", "add", "-q", "--detach", text(tree)?],
    )
    .map(drop)
}

fn take_away(fixture: &Fixture, tree: &Path) -> anyhow::Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    git(&fixture.repository, &["worktree", "prune"]).map(drop)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path in UTF-8")
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += metadata.blocks() * 512;
        if metadata.is_dir() {
            sum += size_of(&entry.path())?;
        }
    }
    Ok(sum)
}
