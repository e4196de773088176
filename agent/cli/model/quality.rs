//! `cwm model verify --against`: what a model lost against the one that it was made of.

use cwm_runtime::cache::KvElement;
use cwm_runtime::comparison::{Comparison, compare_backends};
use cwm_runtime::formats::Checkpoint;
use cwm_runtime::source::{BackendChoice, load_backend};
use serde::Serialize;

use super::verify::{VerifyArguments, tokens};
use crate::cli::values::plain;
use crate::cli::{ExitCode, Failure, Printer};

/// The figures, as an event.
#[derive(Serialize)]
struct QualityEvent {
    positions: usize,
    perplexity: f64,
    expected_perplexity: f64,
    mean_divergence: f64,
    rms_difference: f64,
    largest_difference: f32,
    same_best: usize,
    clear_positions: usize,
    wrong_positions: Vec<usize>,
}

/// Compares and prints.
pub(super) fn run(
    arguments: &VerifyArguments,
    model: &Checkpoint,
    source: &Checkpoint,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    if model.spec.vocabulary != source.spec.vocabulary {
        return Err(Failure::new(
            ExitCode::Usage,
            format!(
                "The models have {} and {} tokens, so that their logits cannot be compared.",
                model.spec.vocabulary, source.spec.vocabulary
            ),
        )
        .into());
    }
    let tokens = tokens(arguments, source, arguments.positions as usize)?;
    if tokens.len() < arguments.positions as usize {
        printer.note(format_args!("the text has only {} tokens.", tokens.len()));
    }
    let threads = arguments.threads.map(|threads| threads as usize);
    let load = |checkpoint: &Checkpoint, backend, element| {
        load_backend(checkpoint, backend, element, threads)
            .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))
    };
    printer.progress("loading both models …");
    let mut expected = load(source, BackendChoice::Floats, KvElement::F32)?;
    let mut found = load(model, BackendChoice::Cpu, arguments.kv.into())?;
    printer.progress("comparing …");
    let comparison = compare_backends(
        expected.as_mut(),
        found.as_mut(),
        &tokens,
        model.is_exact() && source.is_exact(),
    )
    .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    show(&comparison, printer)?;
    Ok(ExitCode::Success)
}

fn show(comparison: &Comparison, printer: &mut Printer) -> anyhow::Result<()> {
    let [perplexity, expected] = comparison.perplexity;
    if printer.is_json() {
        return printer.event(
            "model.quality",
            &QualityEvent {
                positions: comparison.positions,
                perplexity,
                expected_perplexity: expected,
                mean_divergence: comparison.mean_divergence,
                rms_difference: comparison.rms_difference,
                largest_difference: comparison.largest_difference,
                same_best: comparison.same_best,
                clear_positions: comparison.clear,
                wrong_positions: comparison.wrong.clone(),
            },
        );
    }
    let share = comparison.same_best as f64 / comparison.positions.max(1) as f64;
    printer.result(format!(
        "{} positions: perplexity {perplexity:.3}, {expected:.3} expected ({:+.2} %); divergence {} nats; logits differ by {} (root mean \
         square), at most {}; the best token is the same at {:.1} %, and another at {} of {} where it is clear\n",
        comparison.positions,
        (perplexity / expected - 1.0) * 100.0,
        plain(comparison.mean_divergence),
        plain(comparison.rms_difference),
        plain(f64::from(comparison.largest_difference)),
        share * 100.0,
        comparison.wrong.len(),
        comparison.clear,
    ))
}
