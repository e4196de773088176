//! `cwm sandbox -- true` as a user runs it: a whole process, from its start to the removal of the copy.

use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::fixture::{Fixture, MIDDLE, SMALL, git};
use crate::measure::{compare, in_turn, timed};

const ROUNDS: usize = 15;

/// On a small repository and on one of 5,000 files.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("`cwm sandbox -- true`, the whole process ({ROUNDS} rounds)");
    for size in [SMALL, MIDDLE] {
        let fixture = Fixture::new(size)?;
        let state = fixture.beside("state")?;
        let sandbox = |more: &[&str]| {
            timed(|| {
                let status = Command::new(env!("CARGO_BIN_EXE_cwm"))
                    .arg("sandbox")
                    .args(more)
                    .args(["--", "true"])
                    .current_dir(&fixture.repository)
                    .env("XDG_STATE_HOME", &state)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()?;
                ensure!(status.success(), "{status}");
                Ok(())
            })
        };
        let tree = fixture
            .beside("worktrees")?
            .join("1")
            .to_string_lossy()
            .into_owned();
        let [ours, with_diff, theirs] = in_turn(
            ROUNDS,
            [&mut || sandbox(&[]), &mut || sandbox(&["--diff"]), &mut || {
                timed(|| {
                    git(&fixture.repository, &["worktree", "add", "-q", "--detach", &tree])?;
                    git(&fixture.repository, &["worktree", "remove", "--force", &tree])
                })
            }],
        )?;
        let peer = "git worktree add and remove";
        compare(&format!("{} files", size.files), &ours, peer, &theirs);
        compare(
            &format!("{} files, --diff", size.files),
            &with_diff,
            peer,
            &theirs,
        );
    }
    Ok(())
}
