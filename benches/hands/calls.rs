//! What a tool call costs beyond the command itself, and what a session's start does.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::sandbox::{Ending, Sandbox};
use cwm_tools::session::Session;

use crate::fixture::{Fixture, SMALL, options, walls};
use crate::measure::{compare, in_turn, timed};
use crate::peers::{PipedBash, bash_once};

const CALLS: usize = 400;
const STARTS: usize = 40;

/// A command in the session against a plain bash through a pipe.
pub(crate) fn tool_call() -> anyhow::Result<()> {
    println!("tool call ({CALLS} rounds; target: at most 2 ms more than the pipe)");
    let fixture = Fixture::new(SMALL)?;
    let snapshot = fixture.snapshot("run")?;
    let mut copy = IsolatedCopy::open(&snapshot, "1", &walls(), Path::new(""), options())?;
    let session = copy.session();
    let mut bash = PipedBash::start("bash", &["--norc", "--noprofile"])?;
    for command in [":", "true", "echo x", "/bin/true", "seq 2000"] {
        let [ours, piped, once] = in_turn(
            CALLS,
            [
                &mut || timed(|| run(session, command)),
                &mut || timed(|| bash.run(command)),
                &mut || timed(|| bash_once(command)),
            ],
        )?;
        compare(&format!("`{command}`"), &ours, "persistent bash, pipe", &piped);
        compare(&format!("`{command}`"), &ours, "bash -c", &once);
        let more = ours.median().as_secs_f64() - piped.median().as_secs_f64();
        println!("    overhead against the pipe: {:.3} ms", more * 1e3);
    }
    Ok(())
}

fn run(session: &mut Session, command: &str) -> anyhow::Result<()> {
    match session.run(command)?.ending {
        Ending::Exited(0) => Ok(()),
        other => bail!("{command}: {other}"),
    }
}

/// From nothing to the first command's end.
pub(crate) fn start() -> anyhow::Result<()> {
    println!("a session's start: sandbox and first command ({STARTS} rounds)");
    let walls = walls();
    let (peer, arguments) = peer();
    let [ours, sandbox, end, others] = in_turn(
        STARTS,
        [
            &mut || {
                let start = Instant::now();
                let mut session =
                    Session::new(Sandbox::start(&walls.program, walls.policy.clone())?, options());
                run(&mut session, ":")?;
                Ok(start.elapsed())
            },
            &mut || {
                let start = Instant::now();
                let _sandbox = Sandbox::start(&walls.program, walls.policy.clone())?;
                Ok(start.elapsed())
            },
            &mut || {
                let sandbox = Sandbox::start(&walls.program, walls.policy.clone())?;
                timed(|| {
                    drop(sandbox);
                    Ok(())
                })
            },
            &mut || {
                let start = Instant::now();
                let mut bash = PipedBash::start(&peer, &arguments)?;
                bash.run(":").with_context(|| peer.clone())?;
                Ok(start.elapsed())
            },
        ],
    )?;
    let name = format!("{peer} and bash");
    compare("sandbox and first command", &ours, &name, &others);
    compare("  of it the sandbox", &sandbox, &name, &others);
    compare("  its end", &end, &name, &others);
    Ok(())
}

/// The lightest tool here that makes namespaces: bubblewrap where it is installed, else `unshare`.
fn peer() -> (String, Vec<&'static str>) {
    let bwrap = Command::new("bwrap")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if bwrap.is_ok_and(|status| status.success()) {
        let arguments = vec![
            "--unshare-all",
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--tmpfs",
            "/tmp",
            "bash",
            "--norc",
            "--noprofile",
        ];
        return ("bwrap".to_owned(), arguments);
    }
    let arguments = vec!["-Urmpfin", "--mount-proc", "bash", "--norc", "--noprofile"];
    ("unshare".to_owned(), arguments)
}
