//! What command lines of `cwm sandbox` mean.

use clap::Parser;

use super::*;
use crate::cli::walls::{NetworkChoice, SandboxChoice};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    sandbox: SandboxArguments,
}

fn parse(words: &[&str]) -> Result<SandboxArguments, clap::error::ErrorKind> {
    let line = Line::try_parse_from(std::iter::once("sandbox").chain(words.iter().copied()));
    line.map(|line| line.sandbox).map_err(|error| error.kind())
}

#[test]
fn the_defaults_are_the_safe_ones() {
    let plain = parse(&["--", "make", "-j2", "--diff"]).unwrap();
    assert_eq!(plain.command, ["make", "-j2", "--diff"]);
    assert_eq!(
        (plain.repo.as_path(), plain.diff, plain.output),
        (".".as_ref(), false, None)
    );
    assert_eq!(
        (plain.include_uncommitted, plain.committed_only, plain.untracked),
        (false, false, false)
    );
    assert_eq!(plain.walls.network, None);
    assert_eq!((plain.walls.sandbox, plain.walls.image), (None, None));
    assert!(plain.walls.variables.is_empty() && plain.walls.readable.is_empty());
    let LimitArguments {
        memory,
        processes,
        disk,
    } = plain.limits;
    assert_eq!((memory, processes, disk, plain.timeout), (None, None, None, None));
}

#[test]
fn every_flag_arrives() {
    let full = parse(&[
        "--repo",
        "/r",
        "--diff",
        "-o",
        "fix.diff",
        "--untracked",
        "--network",
        "none",
        "--sandbox",
        "container",
        "--image",
        "python:3.12",
        "--env",
        "A=b c",
        "--env",
        "TERM",
        "--read",
        "/data",
        "--memory",
        "2G",
        "--processes",
        "64",
        "--disk",
        "512M",
        "--timeout",
        "5m",
        "--",
        "true",
    ])
    .unwrap();
    assert_eq!(
        (full.repo.as_path(), full.diff, full.untracked),
        ("/r".as_ref(), true, true)
    );
    assert_eq!(full.output.as_deref(), Some("fix.diff".as_ref()));
    assert_eq!(
        (full.walls.network, full.walls.sandbox),
        (Some(NetworkChoice::None), Some(SandboxChoice::Container))
    );
    assert_eq!(full.walls.image.as_deref(), Some("python:3.12"));
    assert_eq!(full.walls.variables, ["A=b c", "TERM"]);
    assert_eq!(full.walls.readable, [PathBuf::from("/data")]);
    assert_eq!(
        (full.limits.memory, full.limits.disk),
        (Some(2 << 30), Some(512 << 20))
    );
    assert_eq!(
        (full.limits.processes, full.timeout),
        (Some(64), Some(Duration::from_secs(300)))
    );
    assert!(
        parse(&["--include-uncommitted", "--", "true"])
            .unwrap()
            .include_uncommitted
    );
    assert!(parse(&["--committed-only", "--", "true"]).unwrap().committed_only);
}

#[test]
fn contradictions_and_nonsense_are_usage_errors() {
    use clap::error::ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};
    let kind = |words: &[&str]| parse(words).unwrap_err();
    assert_eq!(kind(&[]), MissingRequiredArgument);
    assert_eq!(kind(&["--"]), MissingRequiredArgument);
    assert_eq!(kind(&["-o", "f", "--", "true"]), MissingRequiredArgument);
    assert_eq!(
        kind(&["--committed-only", "--untracked", "--", "true"]),
        ArgumentConflict
    );
    assert_eq!(
        kind(&["--committed-only", "--include-uncommitted", "--", "true"]),
        ArgumentConflict
    );
    assert_eq!(kind(&["--memory", "lots", "--", "true"]), ValueValidation);
    assert_eq!(kind(&["--processes", "0", "--", "true"]), ValueValidation);
    assert_eq!(kind(&["--timeout", "0", "--", "true"]), ValueValidation);
}
