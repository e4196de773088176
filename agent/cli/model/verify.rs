//! `cwm model verify`: our logits beside those of an implementation that shares no code with ours.

use std::ffi::OsString;

use clap::Args;

use super::load::LoadArguments;
use crate::cli::{Environment, ExitCode, Printer};

/// Compare a model's logits with those of candle
///
/// Both compute the first positions of a text. With plain float weights every logit must be close; with quantised ones, whose
/// roundings differ, distributions must be close and every clear best token the same. The exit code is 1 when they are not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model verify smollm2-135m
  cwm model verify ./checkpoint --positions 64")]
pub(crate) struct VerifyArguments {
    /// A name of `cwm model list`, a GGUF file or a model's folder
    pub(super) model: OsString,
    /// How many positions are compared
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) positions: u32,
    /// How many threads compute [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) threads: Option<u32>,
    #[command(flatten)]
    pub(super) load: LoadArguments,
}

/// Not in this build.
#[cfg(not(feature = "candle"))]
pub(super) fn run(_: &VerifyArguments, _: &Environment, _: &mut Printer) -> anyhow::Result<ExitCode> {
    Err(super::without_candle().into())
}

/// Compares and prints.
#[cfg(feature = "candle")]
pub(super) fn run(
    arguments: &VerifyArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    candle::run(arguments, environment, printer)
}

#[cfg(feature = "candle")]
mod candle {
    use cwm_runtime::cache::KvElement;
    use cwm_runtime::formats::Checkpoint;
    use cwm_runtime::model::TokenId;
    use cwm_runtime::oracle::{Comparison, compare};
    use cwm_runtime::source::{BackendChoice, load_backend};
    use cwm_runtime::text::Tokenizer;
    use serde::Serialize;

    use super::VerifyArguments;
    use crate::cli::model::target::resolve;
    use crate::cli::{Environment, ExitCode, Failure, Printer, Style};

    /// A text of everyday code: a model that is run rightly is sure of much of it.
    const TEXT: &str = include_str!("verify.txt");

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
        environment: &Environment,
        printer: &mut Printer,
    ) -> anyhow::Result<ExitCode> {
        let path = resolve(&arguments.model, environment)?.path()?;
        let checkpoint = arguments.load.open(&path)?;
        let tokens = tokens(&checkpoint, arguments.positions as usize)?;
        if tokens.len() < arguments.positions as usize {
            printer.note(format_args!(
                "{} positions are compared: candle knows no windows, so no more than the window, the context or the text has.",
                tokens.len()
            ));
        }
        printer.progress("loading the model …");
        let failed = |error: String| Failure::new(ExitCode::Environment, error);
        let threads = arguments.threads.map(|threads| threads as usize);
        let mut backend = load_backend(&checkpoint, BackendChoice::Cpu, KvElement::F32, threads)
            .map_err(|error| failed(format!("{error}.")))?;
        printer.progress("comparing with candle …");
        let comparison =
            compare(&checkpoint, backend.as_mut(), &tokens).map_err(|error| failed(format!("{error}.")))?;
        show(&comparison, printer)?;
        Ok(if comparison.agrees() {
            ExitCode::Success
        } else {
            ExitCode::Unverified
        })
    }

    /// The text's first tokens; of a model without a vocabulary, any.
    fn tokens(checkpoint: &Checkpoint, positions: usize) -> anyhow::Result<Vec<TokenId>> {
        let spec = &checkpoint.spec;
        let most = positions
            .min(spec.window().unwrap_or(usize::MAX))
            .min(spec.context);
        let mut tokens = match Tokenizer::new(&checkpoint.tokenizer) {
            Ok(tokenizer) => tokenizer.encode(&TEXT.repeat(positions.div_ceil(64)))?,
            Err(_) => (0..positions)
                .map(|index| (index * 7919 % spec.vocabulary) as TokenId)
                .collect(),
        };
        tokens.truncate(most);
        Ok(tokens)
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

    /// A number as people write it, unless it is too small for that.
    fn plain(number: f64) -> String {
        match number.abs() {
            0.01.. => format!("{number:.2}"),
            0.0001.. => format!("{number:.5}"),
            _ => format!("{number:.1e}"),
        }
    }
}
