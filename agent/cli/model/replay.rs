//! `cwm model replay`: does again what a device was asked when it failed.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use cwm_runtime::backend::{LogError, StepOutput, layout_of, replay};
use cwm_runtime::source::load_backend;
use serde::Serialize;

use super::load::LoadArguments;
use super::logits::{BackendArgument, most_likely};
use super::target::resolve;
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// Do again what a GPU was asked when it failed
///
/// LOG is what cwm wrote when it happened; the message names it. It holds the tokens of all sequences that ran, so it is as private as
/// what was asked of the model. Prints a line for each step: its rows of logits, and the most likely token of each.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model replay ~/.local/state/cwm/device-failures/1764300000000-4711.jsonl ./cwm
  cwm model replay failure.jsonl ./cwm --backend cuda")]
pub(crate) struct ReplayArguments {
    /// The report of a failure
    log: PathBuf,
    /// The model that ran: a name of `cwm model list`, a GGUF file or a model's folder
    model: OsString,
    /// What computes
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    backend: BackendArgument,
    /// How many threads compute [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    #[command(flatten)]
    load: LoadArguments,
}

/// A step, as an event.
#[derive(Serialize)]
struct ReplayEvent {
    step: usize,
    rows: usize,
    finite: bool,
    best: Vec<usize>,
}

/// Replays and prints.
pub(super) fn run(
    arguments: &ReplayArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let path = &arguments.log;
    let open = || {
        File::open(path).map(BufReader::new).map_err(|error| {
            let message = format!("The log {} cannot be read: {error}.", path.display());
            Failure::new(ExitCode::Usage, message)
        })
    };
    let layout = layout_of(path, open()?).map_err(|error| failure(&error))?;
    let model = resolve(&arguments.model, environment)?.path()?;
    let checkpoint = arguments.load.open(&model)?;
    printer.progress("loading the model …");
    let threads = arguments.threads.map(|threads| threads as usize);
    let mut backend = load_backend(&checkpoint, arguments.backend.into(), layout.element, threads)
        .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    printer.progress("replaying …");
    let outputs = replay(path, open()?, backend.as_mut(), &checkpoint.fingerprint());
    for (step, output) in outputs.map_err(|error| failure(&error))?.iter().enumerate() {
        show(step, output, printer)?;
    }
    Ok(ExitCode::Success)
}

fn show(step: usize, output: &StepOutput, printer: &mut Printer) -> anyhow::Result<()> {
    let rows = output.logits.chunks_exact(output.vocabulary.max(1));
    let best = rows.filter_map(|row| most_likely(row).map(|(token, _)| token));
    let event = ReplayEvent {
        step,
        rows: output.logits.len() / output.vocabulary.max(1),
        finite: output.logits.iter().all(|logit| logit.is_finite()),
        best: best.collect(),
    };
    printer.event("model.replay", &event)?;
    if !printer.is_json() {
        let best: Vec<String> = event.best.iter().map(ToString::to_string).collect();
        let finite = if event.finite {
            ""
        } else {
            "; not all logits are numbers"
        };
        printer.result(format!(
            "step {step}: {} rows of logits; most likely: {}{finite}\n",
            event.rows,
            best.join(" ")
        ))?;
    }
    Ok(())
}

fn failure(error: &LogError) -> Failure {
    let code = match error {
        LogError::Backend { .. } => ExitCode::Environment,
        _ => ExitCode::Usage,
    };
    Failure::new(code, format!("{error}."))
}
