//! `cwm model info --device`: what of a model fits in the memory of a device, before anything is fetched or loaded.

use std::path::Path;

use cwm_runtime::backend::cuda::discover;
use cwm_runtime::cache::KvElement;
use cwm_runtime::formats::Checkpoint;
use cwm_runtime::memory::{Load, ModelMemory};
use cwm_runtime::model::{ModelSpec, WeightFormat};
use serde::Serialize;

use super::load::LoadArguments;
use crate::cli::values::{byte_count, size};
use crate::cli::{ExitCode, Failure, Printer, Style};

/// Contexts of the table, as far as the model goes.
const CONTEXTS: [usize; 4] = [8192, 32_768, 65_536, 131_072];
/// What a sample has for itself where it shares the rest: half of the context at most.
const OWN: usize = 8192;
const KEYS_AND_VALUES: [(&str, KvElement); 2] = [("bf16", KvElement::BF16), ("fp8", KvElement::E4M3)];

/// Whose memory is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeviceArgument {
    /// The first GPU of this machine.
    Cuda,
    /// Any with so many bytes.
    Bytes(u64),
}

/// Reads `cuda` or a size.
pub(super) fn device(text: &str) -> Result<DeviceArgument, String> {
    match text {
        "cuda" => Ok(DeviceArgument::Cuda),
        _ => byte_count(text)
            .map(DeviceArgument::Bytes)
            .map_err(|error| format!("{error}; or `cuda`")),
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) device: DeviceArgument,
    /// One context instead of the table's.
    pub(super) context: Option<u64>,
    /// How many samples must fit somewhere.
    pub(super) batch: u64,
}

/// The device, as an event.
#[derive(Serialize)]
struct DeviceEvent {
    device: String,
    memory_bytes: u64,
}

/// What fits with one format of weights and one type of keys and values, as an event.
#[derive(Serialize)]
struct FitEvent {
    weights: &'static str,
    kv_type: &'static str,
    weight_bytes: u64,
    workspace_bytes: u64,
    kv_room_bytes: u64,
    contexts: Vec<Cell>,
}

/// How many samples of a context fit.
#[derive(Serialize)]
struct Cell {
    context: usize,
    /// Each with all of it for itself.
    independent: usize,
    /// Each with `own_tokens` for itself, the rest in common.
    sharing: usize,
    own_tokens: usize,
}

/// Prints the table.
pub(super) fn run(
    path: &Path,
    load: &LoadArguments,
    question: Question,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let device = described(question.device)?;
    let spec = load.describe(path)?;
    let contexts = contexts(&spec, question.context)?;
    let mut rows = Vec::new();
    for (name, weights) in weights(path, load, &spec) {
        for (kv_type, element) in KEYS_AND_VALUES {
            let memory = ModelMemory::new(&spec, weights, element);
            rows.push((row(name, kv_type, &memory, &contexts, &device), memory));
        }
    }
    printer.event("model.device", &device)?;
    if printer.is_json() {
        for (event, _) in &rows {
            printer.event("model.fit", event)?;
        }
    } else {
        show(&device, &contexts, rows.iter().map(|(event, _)| event), printer)?;
    }
    refuse_if_none(&rows, &contexts, question.batch as usize, device.memory_bytes)?;
    Ok(ExitCode::Success)
}

fn described(device: DeviceArgument) -> Result<DeviceEvent, Failure> {
    match device {
        DeviceArgument::Bytes(bytes) => Ok(DeviceEvent {
            device: "a device".to_owned(),
            memory_bytes: bytes,
        }),
        DeviceArgument::Cuda => {
            let devices = discover().map_err(|reason| {
                Failure::new(ExitCode::Environment, format!("No GPU can be used: {reason}."))
                    .with_hint("`cwm doctor` says what to do; --device 80GiB asks about any device.")
            })?;
            let first = devices.into_iter().next();
            first
                .map(|device| DeviceEvent {
                    device: device.name,
                    memory_bytes: device.memory_bytes,
                })
                .ok_or_else(|| Failure::new(ExitCode::Environment, "There is no GPU."))
        }
    }
}

fn contexts(spec: &ModelSpec, asked: Option<u64>) -> Result<Vec<usize>, Failure> {
    let most = spec.context;
    match asked.map(|context| usize::try_from(context).unwrap_or(usize::MAX)) {
        Some(context) if context > most => Err(Failure::new(
            ExitCode::Usage,
            format!("The model's context is {most} tokens, and {context} were asked for."),
        )),
        Some(context) => Ok(vec![context]),
        None => {
            let mut contexts: Vec<usize> = CONTEXTS.into_iter().filter(|context| *context < most).collect();
            contexts.push(most);
            Ok(contexts)
        }
    }
}

/// The formats with the bytes that they take: first the files as they are, where their weights are there.
fn weights(path: &Path, load: &LoadArguments, spec: &ModelSpec) -> Vec<(&'static str, u64)> {
    let stored = load.open(path).ok().map(|checkpoint: Checkpoint| {
        let tensors = checkpoint.tensors.values();
        tensors.map(|tensor| tensor.stored_bytes() as u64).sum()
    });
    let formats = WeightFormat::ALL.map(|format| (format.name(), format.weight_bytes(spec)));
    let stored = stored.map(|bytes| ("as it is", bytes));
    stored.into_iter().chain(formats).collect()
}

fn row(
    weights: &'static str,
    kv_type: &'static str,
    memory: &ModelMemory,
    contexts: &[usize],
    device: &DeviceEvent,
) -> FitEvent {
    let cell = |context: &usize| {
        let own = OWN.min(context / 2).max(1);
        let most = |shared| memory.most_samples(load_of(*context, 1, shared), device.memory_bytes);
        Cell {
            context: *context,
            independent: most(false),
            sharing: most(true),
            own_tokens: own,
        }
    };
    let empty = memory.plan(load_of(1, 1, false));
    let taken = empty.weights.saturating_add(empty.workspace);
    FitEvent {
        weights,
        kv_type,
        weight_bytes: empty.weights,
        workspace_bytes: empty.workspace,
        kv_room_bytes: device.memory_bytes.saturating_sub(taken),
        contexts: contexts.iter().map(cell).collect(),
    }
}

fn load_of(context: usize, samples: usize, shared: bool) -> Load {
    let own = OWN.min(context / 2).max(1);
    Load {
        prompt: context - own.min(context),
        new: own,
        samples,
        shared,
    }
}

fn show<'a>(
    device: &DeviceEvent,
    contexts: &[usize],
    rows: impl Iterator<Item = &'a FitEvent>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    printer.result(format!(
        "What fits in {}, {}: samples at once, each with the whole context for itself / all but its last {OWN} tokens \
         (or half) shared.\n",
        device.device,
        size(device.memory_bytes)
    ))?;
    let heads = contexts.iter().map(|context| format!("{context:>14}"));
    let head = format!(
        "{:<9} {:<5} {:>11} {:>11}{}",
        "weights",
        "KV",
        "weights",
        "left for KV",
        heads.collect::<String>()
    );
    let head = printer.paint(Style::Strong, &head);
    printer.result(format!("{head}\n"))?;
    for row in rows {
        let cells = row.contexts.iter().map(|cell| {
            let text = match (cell.independent, cell.sharing) {
                (0, 0) => "-".to_owned(),
                (independent, sharing) => format!("{independent} / {sharing}"),
            };
            format!("{text:>14}")
        });
        printer.result(format!(
            "{:<9} {:<5} {:>11} {:>11}{}\n",
            row.weights,
            row.kv_type,
            size(row.weight_bytes),
            size(row.kv_room_bytes),
            cells.collect::<String>()
        ))?;
    }
    Ok(())
}

/// When not even the smallest of it fits: why.
fn refuse_if_none(
    rows: &[(FitEvent, ModelMemory)],
    contexts: &[usize],
    batch: usize,
    device: u64,
) -> Result<(), Failure> {
    let enough = |cell: &Cell| cell.independent.max(cell.sharing) >= batch;
    let fits = rows.iter().any(|(event, _)| event.contexts.iter().any(enough));
    let smallest = rows
        .iter()
        .min_by_key(|(event, _)| (event.weight_bytes, event.kv_type == "bf16"));
    let (false, Some((event, memory)), Some(context)) = (fits, smallest, contexts.first()) else {
        return Ok(());
    };
    match memory.plan(load_of(*context, batch, true)).fits(device) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(Failure::new(
            ExitCode::Environment,
            format!(
                "Nothing of it fits: even with {} weights and {} keys and values, {batch} sample(s) of {context} tokens do not: {refusal}.",
                event.weights, event.kv_type
            ),
        )
        .with_hint("It takes a larger device, or a smaller model.")),
    }
}
