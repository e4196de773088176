//! What others do for the same end: bash through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

/// A plain bash that lives on, fed through a pipe; a printed line says that a command has ended.
pub(crate) struct PipedBash {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What the ending line begins with.
const SENTINEL: &str = "--ended-8f1c2a--";

impl PipedBash {
    /// Starts `program` with arguments, which end in a bash that reads commands from its input.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> anyhow::Result<PipedBash> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().context("the input is a pipe")?;
        let output = BufReader::new(child.stdout.take().context("the output is a pipe")?);
        Ok(PipedBash { child, input, output })
    }

    /// Runs a command and returns its output.
    pub(crate) fn run(&mut self, command: &str) -> anyhow::Result<String> {
        let line = format!("{command}\necho \"{SENTINEL}$?\"\n");
        self.input.write_all(line.as_bytes())?;
        let mut output = String::new();
        loop {
            let before = output.len();
            if self.output.read_line(&mut output)? == 0 {
                bail!("bash ended");
            }
            if output
                .get(before..)
                .is_some_and(|line| line.starts_with(SENTINEL))
            {
                output.truncate(before);
                return Ok(output);
            }
        }
    }
}

impl Drop for PipedBash {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bash of its own for one command.
pub(crate) fn bash_once(command: &str) -> anyhow::Result<()> {
    let output = Command::new("bash")
        .args(["-c", command])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("bash -c {command}: {}", output.status);
    }
    Ok(())
}
