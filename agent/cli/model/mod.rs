//! `cwm model`: which models can be had, what they are, and what they compute.

mod bench;
mod fit;
mod info;
mod list;
mod load;
mod logits;
mod open;
mod pull;
mod quality;
mod quantize;
mod replay;
mod store;
mod target;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::{Environment, ExitCode, Printer};

pub(crate) use load::{KvChoice, LoadArguments};
pub(crate) use logits::BackendArgument;
pub(crate) use open::{OpenArguments, Opened, model_failure};
pub(crate) use target::{Target, resolve, resolve_or_pull, settled};

/// List, fetch and look at models
#[derive(Debug, Args)]
#[command(after_help = "\
MODEL is a name of `cwm model list`, a GGUF file, or a folder with safetensors and config.json.

Examples:
  cwm model list
  cwm model pull smollm2-135m
  cwm model info smollm2-135m --context 8192")]
pub(crate) struct ModelArguments {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    List(list::ListArguments),
    Pull(pull::PullArguments),
    Info(info::InfoArguments),
    Quantize(quantize::QuantizeArguments),
    Bench(bench::BenchArguments),
    Logits(logits::LogitsArguments),
    Replay(replay::ReplayArguments),
    Verify(verify::VerifyArguments),
}

/// Runs the subcommand.
pub(crate) fn run(
    arguments: &ModelArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        ModelCommand::List(list) => list::run(list, environment, printer),
        ModelCommand::Pull(pull) => pull::run(pull, environment, printer),
        ModelCommand::Info(info) => info::run(info, environment, printer),
        ModelCommand::Quantize(quantize) => quantize::run(quantize, environment, printer),
        ModelCommand::Bench(bench) => bench::run(bench, environment, printer),
        ModelCommand::Verify(verify) => verify::run(verify, environment, printer),
        ModelCommand::Logits(logits) => logits::run(logits, environment, printer),
        ModelCommand::Replay(replay) => replay::run(replay, environment, printer),
    }
}

/// What commands that need candle say in a build without it.
#[cfg(not(feature = "candle"))]
fn without_candle() -> crate::cli::Failure {
    crate::cli::Failure::new(
        ExitCode::Environment,
        "This cwm was built without candle, and has nothing to compare with.",
    )
    .with_hint("Build it with the feature `candle`, which is on unless it was turned off.")
}
