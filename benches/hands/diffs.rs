//! The diff of a large tree, made inside the sandbox, against git's own in a worktree.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::patch::ScanOptions;
use cwm_tools::sandbox::Ending;

use crate::fixture::{Fixture, LARGE, MIDDLE, Size, file_name, git, options, walls};
use crate::measure::{compare, in_turn};

const ROUNDS: usize = 9;

/// Both sizes.
pub(crate) fn run() -> anyhow::Result<()> {
    for size in [MIDDLE, LARGE] {
        println!("diff of a tree of {} files ({ROUNDS} rounds)", size.files);
        of_size(size)?;
    }
    Ok(())
}

fn of_size(size: Size) -> anyhow::Result<()> {
    let fixture = Fixture::new(size)?;
    let snapshot = fixture.snapshot("run")?;
    let twenty: Vec<String> = (0..20)
        .map(|number| file_name(number * size.files / 20))
        .collect();
    let scripts = [
        ("nothing changed", "true".to_owned()),
        (
            "20 files changed",
            format!(
                "for f in {}; do sed -i '3s/^/# changed /' $f; done",
                twenty.join(" ")
            ),
        ),
        (
            "2 new files of 8 MB",
            "seq 1 1100000 > big1.txt && seq 2 3 3500000 > big2.txt".to_owned(),
        ),
    ];
    for (number, (what, script)) in scripts.iter().enumerate() {
        let mut copy =
            IsolatedCopy::open(&snapshot, &number.to_string(), &walls(), Path::new(""), options())?;
        let result = copy.session().run(script)?;
        ensure!(result.ending == Ending::Exited(0), "{script}: {result:?}");
        let tree = fixture.beside("worktrees")?.join(number.to_string());
        let path = tree.to_string_lossy().into_owned();
        git(&fixture.repository, &["worktree", "add", "-q", "--detach", &path])?;
        // As in the copy: files are older than the index that records them.
        std::thread::sleep(Duration::from_millis(1100));
        git(&tree, &["update-index", "-q", "--really-refresh"])?;
        let done = std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(&tree)
            .status()?;
        ensure!(done.success(), "{script}");
        let mut lines = (0, 0);
        let [ours, theirs] = in_turn(
            ROUNDS,
            [
                &mut || {
                    let start = Instant::now();
                    let diff = copy.diff(ScanOptions::default())?;
                    let time = start.elapsed();
                    lines.0 = changed_files(&diff.patch);
                    Ok(time)
                },
                &mut || {
                    git(&tree, &["reset", "-q"])?;
                    let start = Instant::now();
                    git(&tree, &["add", "-A", "-N"])?;
                    let patch = git(&tree, &["diff", "--binary", "HEAD"])?;
                    let time = start.elapsed();
                    lines.1 = changed_files(&patch);
                    Ok(time)
                },
            ],
        )?;
        ensure!(lines.0 == lines.1, "{what}: {lines:?} files");
        compare(what, &ours, "git add -A -N, git diff --binary", &theirs);
    }
    Ok(())
}

fn changed_files(patch: &[u8]) -> usize {
    patch
        .split(|&byte| byte == b'\n')
        .filter(|line| line.starts_with(b"diff --git "))
        .count()
}
