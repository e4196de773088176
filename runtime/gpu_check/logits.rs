//! Logits of whole models: prompts in several chunks, weights and pages in several formats. As stored and with 16-bit pages they are compared with those that
//! `transformers` computed; rounded further, with those that this machine's processor computes with the same rounded numbers.

use std::path::Path;

use cwm_kernels::KvElement;
use cwm_kernels::cuda::PAGE_TOKENS;
use serde_json::json;

use super::{Call, CheckError, Output, kv_name};
use crate::backend::{CpuBackend, CpuOptions, CudaBackend, CudaOptions, Driver, Rows};
use crate::cache::PageLayout;
use crate::comparison::{Comparison, Gathering};
use crate::formats::{Checkpoint, OpenOptions, quantise};
use crate::model::{TokenId, WeightFormat};

/// How far bf16 inputs of products, keys and values may take a logit, as a share of the largest one: about twice what the emulation shows.
const TOLERANCE: f32 = 0.04;
/// The same with 8-bit keys and values: one on the edge between two steps, which are wide, may be rounded either way.
const TOLERANCE_FP8: f32 = 0.18;
/// Bytes for pages: enough for the checkpoints that are made for this.
const PAGE_BYTES: u64 = 256 << 20;
/// Tokens that the processor computes at once.
const CPU_CHUNK: usize = 64;
/// So many positions are computed one by one on the emulation.
const FEW: usize = 20;

/// A checkpoint, a prompt, and what is expected of it.
pub(super) struct Truth {
    pub(super) name: String,
    pub(super) checkpoint: Checkpoint,
    pub(super) ids: Vec<TokenId>,
    /// `[ids, vocabulary]`.
    logits: Vec<f32>,
}

impl Truth {
    pub(super) fn open(folder: &Path) -> Result<Truth, CheckError> {
        let wrong = |what: String| CheckError::Checkpoint(format!("{}: {what}", folder.display()));
        let read = |name: &str| {
            std::fs::read(folder.join(name)).map_err(|error| wrong(format!("{name} cannot be read: {error}")))
        };
        let checkpoint =
            Checkpoint::open(folder, &OpenOptions::default()).map_err(|error| wrong(error.to_string()))?;
        let ids: Vec<TokenId> = serde_json::from_slice(&read("ids.json")?)
            .map_err(|error| wrong(format!("ids.json is no list of tokens: {error}")))?;
        let bytes = read("logits.bin")?;
        let values = bytes.as_chunks::<4>().0.iter();
        let logits: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if ids.is_empty() || logits.len() != ids.len() * checkpoint.spec.vocabulary {
            return Err(wrong(
                "logits.bin is of another size than ids.json asks for".to_owned(),
            ));
        }
        let name = folder.file_name().unwrap_or_default();
        Ok(Truth {
            name: name.to_string_lossy().into_owned(),
            checkpoint,
            ids,
            logits,
        })
    }

    /// The same model with its weights rounded, and the logits that the processor computes with them and such pages.
    fn rounded(&self, weights: Option<WeightFormat>, kv: KvElement) -> Result<Truth, CheckError> {
        let wrong = |what: String| CheckError::Checkpoint(format!("{}: {what}", self.name));
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("rounded.safetensors");
        let mut from = self.checkpoint.path.clone();
        if let Some(format) = weights {
            quantise(&self.checkpoint, format, &path, |_, _| ()).map_err(|error| wrong(error.to_string()))?;
            from = path;
        }
        let checkpoint =
            Checkpoint::open(&from, &OpenOptions::default()).map_err(|error| wrong(error.to_string()))?;
        let layout = PageLayout::of(&checkpoint.spec, PAGE_TOKENS, kv);
        let options = CpuOptions {
            widen: true,
            ..CpuOptions::default()
        };
        let mut backend = CpuBackend::load(&checkpoint, layout, options)?;
        let mut logits = Vec::new();
        Driver::new(&mut backend).feed(&self.ids, CPU_CHUNK, Rows::All, |row| logits.extend(row))?;
        Ok(Truth {
            name: self.name.clone(),
            checkpoint,
            ids: self.ids.clone(),
            logits,
        })
    }

    /// The model on a device.
    pub(super) fn load(
        &self,
        call: &Call,
        weights: Option<WeightFormat>,
        kv: KvElement,
    ) -> Result<CudaBackend, CheckError> {
        let layout = PageLayout::of(&self.checkpoint.spec, PAGE_TOKENS, kv);
        let options = CudaOptions {
            weights,
            cache_bytes: Some(PAGE_BYTES),
        };
        let device = call.target.open(call.matrix_library()?)?;
        Ok(CudaBackend::load(&self.checkpoint, layout, device, options)?)
    }
}

/// Compares checkpoints in all folders.
pub(super) fn run(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    if call.words.is_empty() {
        return Err(CheckError::Usage(
            "no folder with a checkpoint is named".to_owned(),
        ));
    }
    let mut failed = 0;
    for folder in &call.words {
        let truth = Truth::open(Path::new(folder))?;
        for weights in [None, Some(WeightFormat::Fp8), Some(WeightFormat::Int4)] {
            for kv in [KvElement::BF16, KvElement::E4M3] {
                failed += if weights.is_none() && kv == KvElement::BF16 {
                    compare(call, out, &truth, weights, kv)?
                } else {
                    compare(call, out, &truth.rounded(weights, kv)?, weights, kv)?
                };
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(CheckError::Failed(format!(
            "{failed} comparisons of logits failed"
        ))),
    }
}

/// In several chunks; how many of the comparisons failed.
fn compare(
    call: &Call,
    out: &mut Output<'_>,
    truth: &Truth,
    weights: Option<WeightFormat>,
    kv: KvElement,
) -> Result<usize, CheckError> {
    let exact = weights.is_none() && kv == KvElement::BF16;
    let all = truth.ids.len();
    let few = if call.target.is_emulated() { FEW } else { all };
    // Single tokens, chunks of few, of many, and the whole prompt.
    let chunkings: &[(usize, usize)] = if exact {
        &[(1, few), (16, all), (200, all), (all, all)]
    } else {
        &[(16, all), (all, all)]
    };
    // Its weights are rounded already.
    let mut backend = truth.load(call, None, kv)?;
    let share = if kv == KvElement::BF16 {
        TOLERANCE
    } else {
        TOLERANCE_FP8
    };
    let mut driver = Driver::new(&mut backend);
    let mut failed = 0;
    for (chunk, positions) in chunkings {
        if *chunk > all && *chunk != 1 {
            continue;
        }
        driver.clear();
        let found = difference(&mut driver, truth, *chunk, *positions)?;
        let finite = found.largest_difference.is_finite();
        let close = found.largest_difference <= share * found.largest_logit;
        let passed = finite && found.positions == (*positions).min(all) && close;
        failed += usize::from(!passed);
        out.print(&json!({
            "kind": "logits",
            "model": truth.name,
            "weights": weights.map_or("as stored", WeightFormat::name),
            "kv": kv_name(kv),
            "chunk": chunk,
            "positions": found.positions,
            "largest_difference": found.largest_difference,
            "rms_difference": found.rms_difference,
            "largest_logit": found.largest_logit,
            "mean_divergence": found.mean_divergence,
            "same_best": found.same_best,
            "against": if exact { "transformers" } else { "processor" },
            "tolerance": share * found.largest_logit,
            "passed": passed,
        }))?;
    }
    Ok(failed)
}

fn difference(
    driver: &mut Driver<'_>,
    truth: &Truth,
    chunk: usize,
    positions: usize,
) -> Result<Comparison, CheckError> {
    let ids = truth.ids.get(..positions).unwrap_or(&truth.ids);
    let mut expected = truth.logits.chunks_exact(truth.checkpoint.spec.vocabulary);
    let mut gathering = Gathering::new(false);
    driver.feed(ids, chunk, Rows::All, |logits| {
        if let Some(expected) = expected.next() {
            gathering.add(logits, expected, None);
        }
    })?;
    Ok(gathering.finish())
}
