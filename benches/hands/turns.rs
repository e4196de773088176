//! What a turn of an agentic attempt costs besides the model and the command: parsing, the session, the journal on disk, the budget.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::fixture::{Fixture, SMALL};
use crate::measure::{in_turn, shown, timed};

const ROUNDS: usize = 7;
const FEW: u32 = 20;
const MANY: u32 = 220;

/// Runs with few and with many turns of `true`: their difference is what turns cost. The peer is an agent that starts a shell for each
/// command and writes nothing down.
pub(crate) fn run() -> anyhow::Result<()> {
    println!(
        "a turn of `cwm fix` that runs `true`, the model's time not counted ({ROUNDS} rounds of {} turns)",
        MANY - FEW
    );
    let fixture = Fixture::new(SMALL)?;
    let state = fixture.beside("state")?;
    let script = fixture.beside("script")?.join("turns.jsonl");
    let turn = r#"{"text": "</think>\n<tool: bash>\ntrue\n</tool>"}"#;
    let head = r#"{"model": {"calls": "tags"}}"#;
    fs::write(
        &script,
        format!("{head}\n{}", format!("{turn}\n").repeat(MANY as usize)),
    )?;
    let fix = |turns: u32| timed(|| fix(&fixture.repository, &state, &script, turns));
    let [few, many, peer] = in_turn(
        ROUNDS,
        [&mut || fix(FEW), &mut || fix(MANY), &mut || {
            timed(|| {
                for _ in FEW..MANY {
                    let status = Command::new("bash").args(["-c", "true"]).status()?;
                    ensure!(status.success(), "{status}");
                }
                Ok(())
            })
        }],
    )?;
    let each = (many.median().saturating_sub(few.median())) / (MANY - FEW);
    let shell = peer.median() / (MANY - FEW);
    println!(
        "  a turn: {} | `bash -c true`: {} | overhead {} | ratio {:.2}",
        shown(each),
        shown(shell),
        shown(each.saturating_sub(shell)),
        shell.as_secs_f64() / each.as_secs_f64().max(1e-9)
    );
    println!(
        "  the rest of a run (snapshot, tests before, the candidate's trial): {}",
        shown(few.median().saturating_sub(each * FEW))
    );
    Ok(())
}

/// One run that ends because its turns are used up, without a patch.
fn fix(repository: &Path, state: &Path, script: &Path, turns: u32) -> anyhow::Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_cwm"))
        .args([
            "fix",
            "--quiet",
            "--strategy",
            "agentic",
            "-n",
            "1",
            "-m",
            "Nothing.",
        ])
        .args(["--test", "exit 1", "--max-turns", &turns.to_string(), "--model"])
        .arg(format!("script:{}", script.display()))
        .current_dir(repository)
        .env("XDG_STATE_HOME", state)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        matches!(output.status.code(), Some(1 | 4)),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
