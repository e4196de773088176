//! Benchmarks of the hands: tool calls, sessions, isolated copies, diffs, turns of an attempt. Each is measured in turn with a peer in the
//! same run. `cargo bench --bench hands` runs all; names as arguments choose: `calls`, `start`, `copies`, `diffs`,
//! `process`, `turns`.
#![allow(clippy::print_stdout, reason = "the report is what a benchmark is for")]

mod calls;
mod copies;
mod diffs;
mod fixture;
mod measure;
mod peers;
mod process;
mod turns;

type Benchmark = fn() -> anyhow::Result<()>;

const ALL: [(&str, Benchmark); 6] = [
    ("calls", calls::tool_call),
    ("start", calls::start),
    ("copies", copies::run),
    ("diffs", diffs::run),
    ("process", process::run),
    ("turns", turns::run),
];

fn main() -> anyhow::Result<()> {
    // Cargo adds flags of its own, such as `--bench`.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for word in &chosen {
        anyhow::ensure!(
            ALL.iter().any(|(name, _)| name == word),
            "there is no benchmark {word}: choose among calls, start, copies, diffs, process, turns"
        );
    }
    for (name, benchmark) in ALL {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            benchmark()?;
        }
    }
    Ok(())
}
