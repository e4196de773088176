//! What a command through the session costs, against bash through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::harness::Inside;

const ROUNDS: usize = 200;

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

/// Prints the three medians. The target is 2 ms more than bash through a pipe; the test allows for a busy machine.
#[test]
fn a_command_costs_little_more_than_in_bash_through_a_pipe() {
    let mut inside = Inside::new();
    inside.ok("true");
    let session = median(|| {
        inside.ok("echo hi");
    });
    let fresh = median(|| {
        let output = Command::new("bash").args(["-c", "echo hi"]).output().unwrap();
        assert_eq!(output.stdout, b"hi\n");
    });
    let mut bash = Command::new("bash")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(bash.stdout.take().unwrap()).lines();
    let mut input = bash.stdin.take().unwrap();
    let persistent = median(|| {
        input.write_all(b"echo hi\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "hi");
    });
    drop(input);
    bash.wait().unwrap();
    eprintln!("median of {ROUNDS}: session {session:?}, `bash -c` {fresh:?}, persistent bash {persistent:?}");
    assert!(
        session < persistent + Duration::from_millis(10),
        "{session:?} against {persistent:?}"
    );
}
