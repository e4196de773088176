//! `cwm model quantize`: puts a model's weights into a smaller format once, in one file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use cwm_runtime::formats::{QuantiseError, quantise};
use cwm_runtime::model::WeightFormat;
use serde::Serialize;

use super::load::LoadArguments;
use super::target::resolve;
use crate::cli::values::size;
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// Put a model's weights into a smaller format, in one file
///
/// Reads the model a few rows at a time, so that memory does not grow with it. The file holds vocabulary and chat template too, and is
/// used wherever a command takes MODEL. It has its name only when it is whole; an interrupted run leaves nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model quantize ./cwm --to fp8 -o cwm-fp8.safetensors
  cwm model verify cwm-fp8.safetensors --against ./cwm")]
pub(crate) struct QuantizeArguments {
    /// A name of `cwm model list`, a GGUF file or a model's folder
    model: OsString,
    /// The format of matrices
    #[arg(long, value_name = "FORMAT", value_enum)]
    to: FormatArgument,
    /// The file to make; its name ends with .safetensors
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    load: LoadArguments,
}

/// A format of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArgument {
    /// 8-bit floats with a scale for each row
    Fp8,
    /// 4-bit integers with a scale for each 128 elements of a row
    Int4,
    /// 16-bit floats with the range of 32-bit ones
    Bf16,
}

impl From<FormatArgument> for WeightFormat {
    fn from(argument: FormatArgument) -> WeightFormat {
        match argument {
            FormatArgument::Fp8 => WeightFormat::Fp8,
            FormatArgument::Int4 => WeightFormat::Int4,
            FormatArgument::Bf16 => WeightFormat::Bf16,
        }
    }
}

/// What was made, as an event.
#[derive(Serialize)]
struct QuantizedEvent<'a> {
    path: &'a Path,
    weights: &'static str,
    bytes: u64,
    sha256: &'a str,
    seconds: f64,
}

/// Makes the file.
pub(super) fn run(
    arguments: &QuantizeArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let target = &arguments.output;
    if target
        .extension()
        .is_none_or(|extension| extension != "safetensors")
    {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{} does not end with .safetensors.", target.display()),
        )
        .into());
    }
    let path = resolve(&arguments.model, environment)?.path()?;
    let checkpoint = arguments.load.open(&path)?;
    if checkpoint
        .tensors
        .values()
        .any(|tensor| tensor.element.is_quantised())
    {
        printer.warning("the model is quantised already; what this format loses comes on top of it.");
    }
    let format = WeightFormat::from(arguments.to);
    let begun = Instant::now();
    let made = quantise(&checkpoint, format, target, |done, all| {
        printer.progress(format_args!("{} of {} written …", size(done), size(all)));
    });
    let made = made.map_err(|error| {
        let code = match error {
            QuantiseError::Exists { .. } | QuantiseError::Already { .. } => ExitCode::Usage,
            _ => ExitCode::Environment,
        };
        Failure::new(code, format!("{error}."))
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    if printer.is_json() {
        let event = QuantizedEvent {
            path: target,
            weights: format.name(),
            bytes: made.bytes,
            sha256: &made.sha256,
            seconds,
        };
        printer.event("model.quantized", &event)?;
        return Ok(ExitCode::Success);
    }
    printer.result(format!(
        "{}: {} in {}, made in {seconds:.1} s\n",
        target.display(),
        size(made.bytes),
        format.name()
    ))?;
    Ok(ExitCode::Success)
}
