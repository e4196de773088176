//! What a model takes on a device, worked out before anything is loaded: weights, pages of both pools, workspace; and how many samples
//! of which length fit beside each other.
//!
//! What enters are a model's description, a format of weights, a type of keys and values and the memory that there is; what leaves are bytes
//! and counts, or a refusal with the numbers. The pages are counted as the cache counts them. Of the workspace the driver's part is an
//! estimate: no model has run on a GPU yet to measure it on.

use std::fmt;

use cwm_kernels::KvElement;

use crate::cache::{Need, PageLayout};
use crate::model::ModelSpec;

/// Rows of a prompt that a step computes.
pub const STEP_TOKENS: usize = 2048;
/// Positions a page.
const PAGE_TOKENS: usize = 64;
/// Tokens by which sequences can be rolled back, for speculation.
const SLACK: usize = 64;
/// Rows of a step that want logits: as many sequences as are decoded at once.
const LOGIT_ROWS: u64 = 64;
/// Parts that attention to a context of 131,072 tokens is split into, each with a result to merge.
const SPLITS: u64 = 512;
/// The driver's own, the kernels' code, the workspace of the library of matrix products (32 MiB) with its code, and what is lost between
/// allocations.
const RESERVED: u64 = 1 << 30;

/// Sequences that are alive at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Tokens of each sequence's prompt.
    pub prompt: usize,
    /// Tokens that each adds to it.
    pub new: usize,
    /// How many there are.
    pub samples: usize,
    /// Whether they have the prompt in common.
    pub shared: bool,
}

/// The bytes that a model takes with a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// All tensors.
    pub weights: u64,
    /// Keys and values, in pages of both pools, at their most.
    pub pages: u64,
    /// Activations, logits, and what the driver takes.
    pub workspace: u64,
}

/// The model needs more than there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model needs {plan}, but the device has {}", gibibytes(*.device))]
pub struct DoesNotFit {
    /// What is needed.
    pub plan: MemoryPlan,
    /// What there is.
    pub device: u64,
}

impl DoesNotFit {
    /// What would be smaller.
    pub fn advice(&self) -> &'static str {
        if self.plan.weights.saturating_add(self.plan.workspace) > self.device {
            "use weights of fewer bits (cwm model quantize), or a larger device"
        } else {
            "use a shorter context, fewer samples, 8-bit keys and values, or weights of fewer bits"
        }
    }
}

/// A model in some format, with some type of keys and values.
#[derive(Debug, Clone)]
pub struct ModelMemory {
    layout: PageLayout,
    weights: u64,
    workspace: u64,
}

impl MemoryPlan {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights
            .saturating_add(self.pages)
            .saturating_add(self.workspace)
    }

    /// Says no when a device has less.
    ///
    /// # Errors
    ///
    /// The refusal, with what is needed for what.
    pub fn fits(&self, device: u64) -> Result<(), DoesNotFit> {
        if self.total() <= device {
            return Ok(());
        }
        Err(DoesNotFit { plan: *self, device })
    }
}

impl ModelMemory {
    /// A model whose weights take so many bytes.
    pub fn new(spec: &ModelSpec, weights: u64, keys_and_values: KvElement) -> ModelMemory {
        ModelMemory {
            layout: PageLayout::of(spec, PAGE_TOKENS, keys_and_values),
            weights,
            workspace: workspace(spec),
        }
    }

    /// What it takes with a load.
    pub fn plan(&self, load: Load) -> MemoryPlan {
        MemoryPlan {
            weights: self.weights,
            pages: self.pages(load),
            workspace: self.workspace,
        }
    }

    /// The most samples that fit, `load.samples` aside; 0 when none does.
    pub fn most_samples(&self, load: Load, device: u64) -> usize {
        let fits = |samples| self.plan(Load { samples, ..load }).total() <= device;
        if !fits(1) {
            return 0;
        }
        // More never takes less: the last that fits lies between a power of two and the next.
        let mut least = 1_usize;
        while least < MOST_SAMPLES && fits(least * 2) {
            least *= 2;
        }
        let mut step = least / 2;
        while step > 0 {
            if fits(least + step) {
                least += step;
            }
            step /= 2;
        }
        least
    }

    fn pages(&self, load: Load) -> u64 {
        let samples = load.samples.max(1);
        let need = Need {
            prompt_tokens: load.prompt,
            new_tokens: load.new,
            samples: if load.shared { samples } else { 1 },
            step_tokens: STEP_TOKENS,
        };
        let bytes = need.bytes_in(&self.layout, SLACK) as u64;
        if load.shared {
            return bytes;
        }
        // One computes its prompt; the others, with theirs behind them, hold a window each.
        let resting = Need {
            step_tokens: 1,
            ..need
        };
        let resting = resting.bytes_in(&self.layout, SLACK) as u64;
        bytes.saturating_add(resting.saturating_mul(samples as u64 - 1))
    }
}

/// More samples at once are not of interest to anybody.
const MOST_SAMPLES: usize = 1 << 20;

/// What a step needs beside weights and pages.
fn workspace(spec: &ModelSpec) -> u64 {
    let [hidden, intermediate, vocabulary] =
        [spec.hidden, spec.intermediate, spec.vocabulary].map(|size| size as u64);
    let queries = (spec.heads * spec.head_dim) as u64;
    let keys = (spec.kv_heads * spec.head_dim) as u64;
    // In 32 bits the residual stream, queries with keys and values, gate and up; in 16 its norm, rotated queries, what was attended,
    // and the gated product.
    let row =
        4 * (hidden + queries + 2 * keys + 2 * intermediate) + 2 * (hidden + 2 * queries + intermediate);
    let parts = LOGIT_ROWS * SPLITS * spec.heads as u64 * (spec.head_dim as u64 + 1) * 4;
    // The largest matrix, made bf16 for the many rows of a prompt.
    let matrix = 2 * 2 * intermediate * hidden;
    (STEP_TOKENS as u64)
        .saturating_mul(row)
        .saturating_add(LOGIT_ROWS * vocabulary * 4)
        .saturating_add(parts)
        .saturating_add(matrix)
        .saturating_add(RESERVED)
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} (weights {}, keys and values {}, workspace {})",
            gibibytes(self.total()),
            gibibytes(self.weights),
            gibibytes(self.pages),
            gibibytes(self.workspace)
        )
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
