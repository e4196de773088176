//! `cwm model logits`: what a model computes for given tokens, to be compared with other implementations.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cwm_runtime::backend::{CudaOptions, Driver, Rows};
use cwm_runtime::model::TokenId;
use cwm_runtime::source::{BackendChoice, load_backend};

use super::load::{KvChoice, LoadArguments};
use super::target::resolve;
use crate::cli::{Environment, ExitCode, Failure, Printer, input};

/// The longest list of tokens that is read.
const MOST_BYTES: u64 = 64 << 20;

/// How many tokens are computed at once.
const CHUNK: usize = 64;

/// Print a model's logits for given token ids
///
/// FILE is a JSON list of token ids. With --json the result is one object, {"logits": [[…] for each position]}, and
/// no event; without, the most likely token of each position and its logit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model logits smollm2-135m --ids ids.json --json > logits.json
  echo '[1, 4093, 198]' | cwm model logits smollm2-135m --ids -")]
pub(crate) struct LogitsArguments {
    /// A name of `cwm model list`, a GGUF file or a model's folder
    model: OsString,
    /// The file with the token ids; `-` is stdin
    #[arg(long, value_name = "FILE")]
    ids: PathBuf,
    /// What computes them
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    backend: BackendArgument,
    /// How many threads compute [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// How keys and values are stored
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = KvChoice::F32)]
    kv: KvChoice,
    #[command(flatten)]
    load: LoadArguments,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum BackendArgument {
    /// This machine's processor, by its fastest instructions
    #[default]
    Cpu,
    /// Plain 32-bit arithmetic, slow and obvious
    Reference,
    /// The first NVIDIA GPU; not yet proven on hardware
    Cuda,
}

impl From<BackendArgument> for BackendChoice {
    fn from(argument: BackendArgument) -> BackendChoice {
        match argument {
            BackendArgument::Cpu => BackendChoice::Cpu,
            BackendArgument::Reference => BackendChoice::Reference,
            BackendArgument::Cuda => BackendChoice::Cuda(CudaOptions::default()),
        }
    }
}

/// Computes and prints, position by position.
pub(super) fn run(
    arguments: &LogitsArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let as_json = printer.is_json();
    // The document is the whole of stdout.
    printer.leave_events();
    let tokens = read(&arguments.ids)?;
    let path = resolve(&arguments.model, environment)?.path()?;
    let checkpoint = arguments.load.open(&path)?;
    let (vocabulary, context) = (checkpoint.spec.vocabulary, checkpoint.spec.context);
    check(&tokens, vocabulary, context)?;
    printer.progress("loading the model …");
    let threads = arguments.threads.map(|threads| threads as usize);
    let mut backend = load_backend(
        &checkpoint,
        arguments.backend.into(),
        arguments.kv.into(),
        threads,
    )
    .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    let mut driver = Driver::new(backend.as_mut());
    let (mut position, mut printed) = (0, Ok(()));
    if as_json {
        printer.result("{\"logits\": [")?;
    }
    let fed = driver.feed(&tokens, CHUNK, Rows::All, |row| {
        if printed.is_ok() {
            printed = show(row, position, as_json, printer);
        }
        position += 1;
    });
    printed?;
    fed.map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    if as_json {
        printer.result("]}\n")?;
    }
    Ok(ExitCode::Success)
}

fn read(path: &Path) -> anyhow::Result<Vec<TokenId>> {
    let name = input::name(path);
    let text = input::read(path, MOST_BYTES).with_context(|| {
        Failure::new(
            ExitCode::Usage,
            format!("The token ids in {name} cannot be read."),
        )
    })?;
    serde_json::from_slice(&text).with_context(|| {
        Failure::new(
            ExitCode::Usage,
            format!("{name} is not a JSON list of token ids."),
        )
        .with_hint("Write it as [1, 2, 3].")
    })
}

fn check(tokens: &[TokenId], vocabulary: usize, context: usize) -> Result<(), Failure> {
    let wrong = |message: String| Err(Failure::new(ExitCode::Usage, message));
    if tokens.is_empty() {
        return wrong("There are no token ids.".to_owned());
    }
    if tokens.len() > context {
        return wrong(format!(
            "There are {} token ids, but the model's context is {context}.",
            tokens.len()
        ));
    }
    match tokens.iter().find(|token| **token as usize >= vocabulary) {
        Some(token) => wrong(format!(
            "The token {token} is not in the vocabulary of {vocabulary} tokens."
        )),
        None => Ok(()),
    }
}

/// The most likely token of a row of logits, and its logit.
pub(super) fn most_likely(row: &[f32]) -> Option<(usize, f32)> {
    let best = row
        .iter()
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(other.1));
    best.map(|(token, logit)| (token, *logit))
}

/// A position's logits; as JSON in digits that give the same 32-bit floats again.
fn show(row: &[f32], position: usize, as_json: bool, printer: &mut Printer) -> anyhow::Result<()> {
    if !as_json {
        let (token, logit) = most_likely(row).context("The model has no vocabulary.")?;
        return printer.result(format!("{position:>6}  token {token:>7}  logit {logit:.4}\n"));
    }
    let mut text = Vec::with_capacity(row.len() * 12);
    if position > 0 {
        text.extend_from_slice(b",\n");
    }
    text.push(b'[');
    for (index, value) in row.iter().enumerate() {
        if !value.is_finite() {
            return Err(Failure::new(
                ExitCode::Environment,
                format!(
                    "The logit of token {index} at position {position} is {value}, which JSON cannot hold."
                ),
            )
            .with_hint("The weights may be damaged.")
            .into());
        }
        let comma = if index > 0 { "," } else { "" };
        write!(text, "{comma}{value}")?;
    }
    text.push(b']');
    printer.result(text)
}
