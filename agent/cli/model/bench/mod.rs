//! `cwm model bench`: how fast a model runs here, beside what the machine could do and what others do with the same file.

mod contender;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cwm_runtime::cache::PageLayout;
use cwm_runtime::formats::Checkpoint;
use cwm_runtime::source::{BackendChoice, PAGE_TOKENS, load_backend};
use cwm_runtime::speed::{Limits, Speed, median};
use serde::Serialize;

use super::load::{KvChoice, LoadArguments};
use super::target::resolve;
use crate::cli::{Environment, ExitCode, Failure, Printer, Style};
use contender::Contender;
use work::{Measure, Work};

/// Measure how fast a model runs on this machine
///
/// Prints prefill and decode rates beside the memory bandwidth and the speed of 8-bit products, measured in the same run. Sequences
/// of a batch share their context, as samples of one prompt do. With --against, the others run the same work in turn with us, and
/// ratios are ours by theirs: above 1 we are faster.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model bench smollm2-135m
  cwm model bench qwen2.5-coder-1.5b --prefill 512,2048 --decode-at 512 --batch 1,8
  cwm model bench qwen2.5-coder-1.5b --against llama.cpp --python \"$(scripts/fetch-peers llama.cpp)\"")]
pub(crate) struct BenchArguments {
    /// A name of `cwm model list`, a GGUF file or a model's folder
    model: OsString,
    /// Lengths of prompts, in tokens
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_value = "512,2048", value_parser = clap::value_parser!(u32).range(1..))]
    prefill: Vec<u32>,
    /// Contexts behind which tokens are decoded, in tokens
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_value = "512,2048", value_parser = clap::value_parser!(u32).range(1..))]
    decode_at: Vec<u32>,
    /// How many sequences are decoded at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,8", value_parser = clap::value_parser!(u32).range(1..=64))]
    batch: Vec<u32>,
    /// How many steps a decode takes
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// How often each is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// With whom to compare
    #[arg(long, value_name = "NAME", value_enum)]
    against: Vec<Against>,
    /// A Python that has llama-cpp-python, for --against llama.cpp
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// How many threads compute [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// How keys and values are stored
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    kv: KvChoice,
    #[command(flatten)]
    load: LoadArguments,
}

/// Others that run the same models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// llama.cpp, through llama-cpp-python
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// candle, batch 1 only
    Candle,
}

/// The machine, as an event.
#[derive(Serialize)]
struct MachineEvent<'a> {
    model: &'a str,
    instructions: &'a str,
    threads: usize,
    bytes_per_second: f64,
    int8_operations_per_second: f64,
    load_seconds: f64,
}

/// One measurement, as an event.
#[derive(Serialize)]
struct RateEvent {
    measure: &'static str,
    context: usize,
    batch: usize,
    tokens_per_second: f64,
    share_of_limit: f64,
    limit: &'static str,
    others: Vec<OtherEvent>,
}

/// Another's rate for the same work.
#[derive(Serialize)]
struct OtherEvent {
    name: &'static str,
    tokens_per_second: f64,
    ratio: f64,
}

/// Measures and prints, line by line.
pub(super) fn run(
    arguments: &BenchArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let path = resolve(&arguments.model, environment)?.path()?;
    let checkpoint = arguments.load.open(&path)?;
    let works = arguments.works(&checkpoint)?;
    let threads = arguments.threads.map(|threads| threads as usize);
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    printer.progress("measuring the machine …");
    let limits = Limits::measure(threads);
    printer.progress("loading the model …");
    let begun = std::time::Instant::now();
    let mut backend = load_backend(
        &checkpoint,
        BackendChoice::Cpu,
        arguments.kv.into(),
        Some(threads),
    )
    .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    let load = begun.elapsed();
    let mut others = arguments.contenders(&checkpoint, threads, printer)?;
    announce(&checkpoint, threads, &limits, load, &others, printer)?;
    let mut ours = Speed::of(backend.as_mut());
    for work in works {
        printer.progress(format_args!("measuring {work} …"));
        let (time, times) = arguments.measure(&work, &mut ours, &mut others)?;
        report(&work, &checkpoint, arguments, &limits, time, &times, printer)?;
    }
    Ok(ExitCode::Success)
}

impl BenchArguments {
    /// What is measured, checked against the model's context.
    fn works(&self, checkpoint: &Checkpoint) -> Result<Vec<Work>, Failure> {
        let prefills = self.prefill.iter().map(|tokens| Work::prefill(*tokens as usize));
        let decodes = self.decode_at.iter().flat_map(|context| {
            let decode = |batch: &u32| Work::decode(*context as usize, *batch as usize, self.steps as usize);
            self.batch.iter().map(decode)
        });
        let works: Vec<Work> = prefills.chain(decodes).collect();
        let most = checkpoint.spec.context;
        match works.iter().find(|work| work.positions() > most) {
            Some(work) => Err(Failure::new(
                ExitCode::Usage,
                format!(
                    "{work} needs {} positions, but the model's context is {most}.",
                    work.positions()
                ),
            )),
            None => Ok(works),
        }
    }

    /// The others, with the model loaded.
    fn contenders(
        &self,
        checkpoint: &Checkpoint,
        threads: usize,
        printer: &mut Printer,
    ) -> anyhow::Result<Vec<Contender>> {
        let positions = self
            .prefill
            .iter()
            .chain(&self.decode_at)
            .max()
            .copied()
            .unwrap_or(1)
            + self.steps;
        let sequences = self.batch.iter().max().copied().unwrap_or(1) as usize;
        let mut others = Vec::new();
        for against in &self.against {
            printer.progress("loading the model on the other side …");
            others.push(match against {
                Against::LlamaCpp => {
                    // Beside the shared context, each sequence has its own steps.
                    let room = positions as usize + sequences * self.steps as usize + 256;
                    Contender::llama_cpp(checkpoint, &self.python, threads, room, sequences)?
                }
                Against::Candle => Contender::candle(checkpoint)?,
            });
        }
        Ok(others)
    }

    /// Our median time, and those of the others that can do the work. All take turns, so that they meet the same noise.
    fn measure(
        &self,
        work: &Work,
        ours: &mut Speed<'_>,
        others: &mut [Contender],
    ) -> anyhow::Result<(Duration, Vec<Option<Duration>>)> {
        let mut times = vec![Vec::new(); others.len() + 1];
        for _ in 0..self.rounds {
            times[0].push(work.ours(ours)?);
            for (other, times) in others.iter_mut().zip(times.iter_mut().skip(1)) {
                times.extend(other.time(work)?);
            }
        }
        let mut medians = times
            .into_iter()
            .map(|times| (!times.is_empty()).then(|| median(times)));
        Ok((medians.next().flatten().unwrap_or_default(), medians.collect()))
    }
}

fn announce(
    checkpoint: &Checkpoint,
    threads: usize,
    limits: &Limits,
    load: Duration,
    others: &[Contender],
    printer: &mut Printer,
) -> anyhow::Result<()> {
    printer.event(
        "model.bench.machine",
        &MachineEvent {
            model: &checkpoint.name,
            instructions: limits.instructions,
            threads,
            bytes_per_second: limits.bandwidth,
            int8_operations_per_second: limits.int8,
            load_seconds: load.as_secs_f64(),
        },
    )?;
    if printer.is_json() {
        return Ok(());
    }
    let name = printer.paint(Style::Strong, &checkpoint.name);
    printer.result(format!(
        "{name}: {}, {threads} thread(s), loaded in {:.2} s\nmemory is read at {:.1} GB/s, 8-bit products run at {:.0} GOP/s\n",
        limits.instructions,
        load.as_secs_f64(),
        limits.bandwidth / 1e9,
        limits.int8 / 1e9,
    ))?;
    for other in others {
        printer.result(format!(
            "against {}, loaded in {:.2} s\n",
            other.version,
            other.load.as_secs_f64()
        ))?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "a line of a table has as many columns")]
fn report(
    work: &Work,
    checkpoint: &Checkpoint,
    arguments: &BenchArguments,
    limits: &Limits,
    time: Duration,
    times: &[Option<Duration>],
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let layout = PageLayout::of(&checkpoint.spec, PAGE_TOKENS, arguments.kv.into());
    let (share, limit) = match work.measure {
        Measure::Prefill => (
            work.operations(checkpoint) / limits.int8 / time.as_secs_f64(),
            "int8",
        ),
        Measure::Decode => (
            work.bytes(checkpoint, &layout) / limits.bandwidth / time.as_secs_f64(),
            "bandwidth",
        ),
    };
    let names = arguments.against.iter().map(|against| match against {
        Against::LlamaCpp => "llama.cpp",
        Against::Candle => "candle",
    });
    let others: Vec<OtherEvent> = names
        .zip(times)
        .filter_map(|(name, theirs)| theirs.map(|theirs| (name, theirs)))
        .map(|(name, theirs)| OtherEvent {
            name,
            tokens_per_second: work.rate(theirs),
            ratio: theirs.as_secs_f64() / time.as_secs_f64(),
        })
        .collect();
    let event = RateEvent {
        measure: work.measure.name(),
        context: work.context,
        batch: work.batch,
        tokens_per_second: work.rate(time),
        share_of_limit: share,
        limit,
        others,
    };
    if printer.is_json() {
        return printer.event("model.bench.rate", &event);
    }
    let mut line = format!(
        "{:<34} {:>8.1} tokens/s  {:>3.0} % of the {limit} limit",
        work.to_string(),
        event.tokens_per_second,
        share * 100.0
    );
    for other in &event.others {
        line.push_str(&format!(
            "   {} {:.1} ({:.2}x)",
            other.name, other.tokens_per_second, other.ratio
        ));
    }
    line.push('\n');
    printer.result(line)
}
