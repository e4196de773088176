//! `cwm model info`: what a model is, and how much memory it takes.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Args, ValueEnum};
use cwm_runtime::cache::{PageLayout, PoolKind};
use cwm_runtime::formats::Checkpoint;
use cwm_runtime::model::RopeScaling;
use serde::Serialize;

use super::fit;
use super::load::{KvChoice, LoadArguments};
use super::target::resolve;
use crate::cli::values::size;
use crate::cli::{Environment, ExitCode, Printer, Style};

/// Positions a page, as the engine has them.
const PAGE_TOKENS: usize = cwm_runtime::source::PAGE_TOKENS;

/// Say what a model is, and how much memory it takes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm model info qwen2.5-coder-1.5b
  cwm model info ./cwm --context 131072 --batch 16 --kv q8
  cwm model info ./cwm --device 80GiB")]
pub(crate) struct InfoArguments {
    /// A name of `cwm model list`, a GGUF file or a model's folder
    model: OsString,
    /// The context that memory is computed for, in tokens [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    context: Option<u64>,
    /// How many sequences run at once, counted as if they shared nothing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// How keys and values are stored
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    kv: KvChoice,
    /// Say instead what fits in the memory of a device: a size such as 80GiB, or `cuda` for the GPU of this machine
    #[arg(long, value_name = "SIZE", value_parser = fit::device)]
    device: Option<fit::DeviceArgument>,
    #[command(flatten)]
    load: LoadArguments,
}

/// All of it, as an event.
#[derive(Serialize)]
struct InfoEvent {
    name: String,
    path: String,
    architecture: String,
    layers: usize,
    full_layers: usize,
    window_layers: usize,
    window: Option<usize>,
    hidden: usize,
    intermediate: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocabulary: usize,
    context: usize,
    rope_theta: f32,
    rope_scaling: &'static str,
    tied_head: bool,
    parameters: u64,
    file_bytes: u64,
    weights: Vec<TypeShare>,
    kv_type: String,
    kv_bytes_per_token_full: u64,
    kv_bytes_per_token_window: u64,
    at_context: u64,
    at_batch: u64,
    weight_bytes: u64,
    kv_bytes: u64,
    memory_bytes: u64,
}

/// How much of the weights has one type.
#[derive(Debug, Clone, Default, Serialize)]
struct TypeShare {
    #[serde(rename = "type")]
    name: &'static str,
    tensors: usize,
    parameters: u64,
    bytes: u64,
}

/// Opens the model's files and describes them; no weight is read.
pub(super) fn run(
    arguments: &InfoArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let path = resolve(&arguments.model, environment)?.path()?;
    if let Some(device) = arguments.device {
        let question = fit::Question {
            device,
            context: arguments.context,
            batch: arguments.batch,
        };
        return fit::run(&path, &arguments.load, question, printer);
    }
    let checkpoint = arguments.load.open(&path)?;
    let info = describe(&checkpoint, arguments);
    if printer.is_json() {
        printer.event("model.info", &info)?;
        return Ok(ExitCode::Success);
    }
    if arguments
        .context
        .is_some_and(|context| context > info.context as u64)
    {
        printer.warning(format_args!(
            "the model was made for a context of {} tokens.",
            info.context
        ));
    }
    for (name, text) in lines(&info) {
        let name = printer.paint(Style::Strong, &format!("{name:<13}"));
        printer.result(format!("{name} {text}\n"))?;
    }
    Ok(ExitCode::Success)
}

fn describe(checkpoint: &Checkpoint, arguments: &InfoArguments) -> InfoEvent {
    let spec = &checkpoint.spec;
    let layout = PageLayout::of(spec, PAGE_TOKENS, arguments.kv.into());
    let weights = shares(checkpoint);
    let weight_bytes: u64 = weights.iter().map(|share| share.bytes).sum();
    let at_context = arguments.context.unwrap_or(spec.context as u64);
    let kv_bytes = kv_bytes(&layout, at_context).saturating_mul(arguments.batch);
    let file_bytes = checkpoint
        .files
        .iter()
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum();
    let kv_type = arguments
        .kv
        .to_possible_value()
        .map_or(String::new(), |value| value.get_name().to_owned());
    let per_token = |pool: PoolKind| (layout.page_bytes(pool) / PAGE_TOKENS) as u64;
    InfoEvent {
        name: checkpoint.name.clone(),
        path: checkpoint.path.display().to_string(),
        architecture: spec.architecture.to_string(),
        layers: spec.layers.len(),
        full_layers: layout.full_layers,
        window_layers: layout.window_layers,
        window: layout.window,
        hidden: spec.hidden,
        intermediate: spec.intermediate,
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        vocabulary: spec.vocabulary,
        context: spec.context,
        rope_theta: spec.rope.theta,
        rope_scaling: match spec.rope.scaling {
            RopeScaling::None => "none",
            RopeScaling::Linear { .. } => "linear",
            RopeScaling::Llama3 { .. } => "llama3",
            RopeScaling::Factors(_) => "factors",
        },
        tied_head: spec.tied_head,
        parameters: weights.iter().map(|share| share.parameters).sum(),
        file_bytes,
        kv_type,
        kv_bytes_per_token_full: per_token(PoolKind::Full),
        kv_bytes_per_token_window: per_token(PoolKind::Window),
        at_context,
        at_batch: arguments.batch,
        weight_bytes,
        kv_bytes,
        memory_bytes: weight_bytes.saturating_add(kv_bytes),
        weights,
    }
}

/// The weights by type, the largest share first.
fn shares(checkpoint: &Checkpoint) -> Vec<TypeShare> {
    let mut shares: BTreeMap<&'static str, TypeShare> = BTreeMap::new();
    for tensor in checkpoint.tensors.values() {
        let name = tensor.element.name();
        let share = shares.entry(name).or_default();
        share.name = name;
        share.tensors += 1;
        share.parameters += tensor.shape.iter().map(|length| *length as u64).product::<u64>();
        share.bytes += tensor.stored_bytes() as u64;
    }
    let mut shares: Vec<TypeShare> = shares.into_values().collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

/// What the pages of one sequence take: those of window layers stop growing at the window and the page that it ends in.
fn kv_bytes(layout: &PageLayout, context: u64) -> u64 {
    let page = PAGE_TOKENS as u64;
    let pages = context.div_ceil(page);
    let window = layout
        .window
        .map_or(0, |window| (window as u64).div_ceil(page) + 1)
        .min(pages);
    let full = pages.saturating_mul(layout.page_bytes(PoolKind::Full) as u64);
    full.saturating_add(window.saturating_mul(layout.page_bytes(PoolKind::Window) as u64))
}

/// What a token takes, by kind of layer where there are two.
fn cache_line(info: &InfoEvent) -> String {
    let (full, window) = (info.kv_bytes_per_token_full, info.kv_bytes_per_token_window);
    let all = format!("{} a token in {}", size(full + window), info.kv_type);
    if info.window_layers == 0 {
        return all;
    }
    format!(
        "{all}: {} in full layers, {} in window layers",
        size(full),
        size(window)
    )
}

fn lines(info: &InfoEvent) -> Vec<(&'static str, String)> {
    let kinds = match info.window {
        Some(window) => format!(
            "{} ({} full, {} with a window of {window} tokens)",
            info.layers, info.full_layers, info.window_layers
        ),
        None => format!("{} (all full)", info.layers),
    };
    let types: Vec<String> = info
        .weights
        .iter()
        .map(|share| {
            format!(
                "{} {} in {} {}",
                share.name,
                size(share.bytes),
                share.tensors,
                if share.tensors == 1 { "tensor" } else { "tensors" }
            )
        })
        .collect();
    vec![
        ("name", info.name.clone()),
        ("path", info.path.clone()),
        ("architecture", info.architecture.clone()),
        ("layers", kinds),
        (
            "heads",
            format!(
                "{}, {} for keys and values, {} elements each",
                info.heads, info.kv_heads, info.head_dim
            ),
        ),
        (
            "width",
            format!("{}, feed-forward {}", info.hidden, info.intermediate),
        ),
        (
            "vocabulary",
            format!(
                "{}{}",
                info.vocabulary,
                if info.tied_head {
                    ", output tied to the embedding"
                } else {
                    ""
                }
            ),
        ),
        ("context", format!("{} tokens", info.context)),
        (
            "positions",
            format!("rope, theta {}, scaling {}", info.rope_theta, info.rope_scaling),
        ),
        (
            "parameters",
            match info.parameters {
                1_000_000_000.. => format!("{:.3} billion", info.parameters as f64 / 1e9),
                _ => format!("{:.3} million", info.parameters as f64 / 1e6),
            },
        ),
        ("files", size(info.file_bytes)),
        (
            "weights",
            format!("{}: {}", size(info.weight_bytes), types.join(", ")),
        ),
        ("KV cache", cache_line(info)),
        (
            "memory",
            format!(
                "{} at a context of {} tokens and batch {}: weights {}, KV cache {}",
                size(info.memory_bytes),
                info.at_context,
                info.at_batch,
                size(info.weight_bytes),
                size(info.kv_bytes)
            ),
        ),
    ]
}
