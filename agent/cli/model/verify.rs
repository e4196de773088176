//! `cwm model verify`: our logits beside those of an implementation that shares no code with ours, or a model's beside those of what it
//! was made of.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use cwm_runtime::formats::Checkpoint;
use cwm_runtime::model::TokenId;
use cwm_runtime::text::Tokenizer;

use super::load::{KvChoice, LoadArguments};
use super::quality;
use super::target::resolve;
use crate::cli::{Environment, ExitCode, Failure, Printer, input};

/// Compare a model's logits with those of candle, or of its source
///
/// Both compute the first positions of a text. With plain float weights every logit must be close; with quantised ones, whose
/// roundings differ, distributions must be close and every clear best token the same. The exit code is 1 when they are not.
///
/// With --against the other side is that model in 32-bit floats, computed here. What the model loses against it is said, and not
/// judged: the text's perplexity with both, how far logits and distributions are apart, how often the best token is the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model verify smollm2-135m
  cwm model verify ./checkpoint --positions 64
  cwm model verify cwm-fp8.safetensors --against ./cwm --text sample.txt --positions 1024")]
pub(crate) struct VerifyArguments {
    /// A name of `cwm model list`, a GGUF file or a model's folder
    pub(super) model: OsString,
    /// How many positions are compared
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) positions: u32,
    /// The model that the truth comes from, instead of candle
    #[arg(long, value_name = "MODEL")]
    pub(super) against: Option<OsString>,
    /// The text that is computed [default: a short piece of code, again and again]
    #[arg(long, value_name = "FILE")]
    pub(super) text: Option<PathBuf>,
    /// How the model's keys and values are stored, with --against
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = KvChoice::F32, requires = "against")]
    pub(super) kv: KvChoice,
    /// How many threads compute [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) threads: Option<u32>,
    #[command(flatten)]
    pub(super) load: LoadArguments,
}

/// A text of everyday code: a model that is run rightly is sure of much of it.
const TEXT: &str = include_str!("verify.txt");
/// The longest text that is read.
const LONGEST_TEXT: u64 = 16 << 20;

/// Compares and prints.
pub(super) fn run(
    arguments: &VerifyArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let path = resolve(&arguments.model, environment)?.path()?;
    let checkpoint = arguments.load.open(&path)?;
    if !checkpoint.is_exact() {
        printer.progress("checking the weights …");
        checkpoint
            .check_values()
            .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    }
    match &arguments.against {
        Some(source) => {
            let source = resolve(source, environment)?.path()?;
            quality::run(arguments, &checkpoint, &arguments.load.open(&source)?, printer)
        }
        None => beside_candle(arguments, &checkpoint, printer),
    }
}

/// Not in this build.
#[cfg(not(feature = "candle"))]
fn beside_candle(_: &VerifyArguments, _: &Checkpoint, _: &mut Printer) -> anyhow::Result<ExitCode> {
    Err(super::without_candle().into())
}

#[cfg(feature = "candle")]
fn beside_candle(
    arguments: &VerifyArguments,
    checkpoint: &Checkpoint,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    candle::run(arguments, checkpoint, printer)
}

/// The text's first tokens, `most` of them where it has so many; of a model without a vocabulary, any.
pub(super) fn tokens(
    arguments: &VerifyArguments,
    checkpoint: &Checkpoint,
    most: usize,
) -> anyhow::Result<Vec<TokenId>> {
    let most = most.min(checkpoint.spec.context);
    let text = match &arguments.text {
        Some(path) => {
            let bytes = input::read(path, LONGEST_TEXT).with_context(|| {
                let message = format!("The text in {} cannot be read.", input::name(path));
                Failure::new(ExitCode::Usage, message)
            })?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        None => TEXT.repeat(most.div_ceil(64)),
    };
    let mut tokens = match Tokenizer::new(&checkpoint.tokenizer) {
        Ok(tokenizer) => tokenizer.encode(&text)?,
        Err(_) => (0..most)
            .map(|index| (index * 7919 % checkpoint.spec.vocabulary) as TokenId)
            .collect(),
    };
    tokens.truncate(most);
    Ok(tokens)
}

#[cfg(feature = "candle")]
mod candle {
    use cwm_runtime::cache::KvElement;
    use cwm_runtime::comparison::Comparison;
    use cwm_runtime::formats::Checkpoint;
    use cwm_runtime::oracle::compare;
    use cwm_runtime::source::{BackendChoice, load_backend};
    use serde::Serialize;

    use super::{VerifyArguments, tokens};
    use crate::cli::values::plain;
    use crate::cli::{ExitCode, Failure, Printer, Style};

    #[derive(Serialize)]
    struct VerifyEvent {
        positions: usize,
        largest_difference: f32,
        largest_logit: f32,
        mean_divergence: f64,
        clear_positions: usize,
        wrong_positions: Vec<usize>,
        agrees: bool,
    }

    pub(super) fn run(
        arguments: &VerifyArguments,
        checkpoint: &Checkpoint,
        printer: &mut Printer,
    ) -> anyhow::Result<ExitCode> {
        let window = checkpoint.spec.window().unwrap_or(usize::MAX);
        let tokens = tokens(arguments, checkpoint, window.min(arguments.positions as usize))?;
        if tokens.len() < arguments.positions as usize {
            printer.note(format_args!(
                "{} positions are compared: candle knows no windows, so no more than the window, the context or the text has.",
                tokens.len()
            ));
        }
        printer.progress("loading the model …");
        let failed = |error: String| Failure::new(ExitCode::Environment, error);
        let threads = arguments.threads.map(|threads| threads as usize);
        let mut backend = load_backend(checkpoint, BackendChoice::Cpu, KvElement::F32, threads)
            .map_err(|error| failed(format!("{error}.")))?;
        printer.progress("comparing with candle …");
        let comparison =
            compare(checkpoint, backend.as_mut(), &tokens).map_err(|error| failed(format!("{error}.")))?;
        show(&comparison, printer)?;
        Ok(if comparison.agrees() {
            ExitCode::Success
        } else {
            ExitCode::Unverified
        })
    }

    fn show(comparison: &Comparison, printer: &mut Printer) -> anyhow::Result<()> {
        let agrees = comparison.agrees();
        printer.event(
            "model.verify",
            &VerifyEvent {
                positions: comparison.positions,
                largest_difference: comparison.largest_difference,
                largest_logit: comparison.largest_logit,
                mean_divergence: comparison.mean_divergence,
                clear_positions: comparison.clear,
                wrong_positions: comparison.wrong.clone(),
                agrees,
            },
        )?;
        if printer.is_json() {
            return Ok(());
        }
        let verdict = if agrees {
            printer.paint(Style::Good, "agrees with candle")
        } else {
            printer.paint(Style::Bad, "does not agree with candle")
        };
        let clear = match comparison.clear {
            0 => String::new(),
            clear => format!(", {} of {clear} clear best tokens differ", comparison.wrong.len()),
        };
        printer.result(format!(
            "{verdict}: {} positions, logits differ by at most {} (the largest is {:.1}), divergence {} nats{clear}\n",
            comparison.positions,
            plain(f64::from(comparison.largest_difference)),
            comparison.largest_logit,
            plain(comparison.mean_divergence),
        ))
    }
}
