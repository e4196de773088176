//! What of a model is measured, and what it takes at least: bytes to be read, operations, pages.

use cwm_kernels::KvElement;
use cwm_kernels::cuda::PAGE_TOKENS;

use crate::cache::{PageLayout, PoolKind};
use crate::model::{
    Architecture, Attention, LayerSpec, ModelSpec, Rope, RopeLayout, RopeScaling, TensorRole, WeightFormat,
};

/// Tokens of a step that only supposes a prompt.
pub(super) const CHUNK: usize = 2048;

/// What is measured.
pub(super) struct ModelPlan {
    pub(super) spec: ModelSpec,
    /// Positions of decode's last step.
    pub(super) contexts: Vec<usize>,
    /// Sequences of decode, which share all but the last positions.
    pub(super) batches: Vec<usize>,
    /// Positions before the tokens of a prompt's chunk.
    pub(super) prefill_contexts: Vec<usize>,
    pub(super) prefill_tokens: usize,
    /// Steps of decode that are timed, at most.
    pub(super) steps: usize,
    /// Bytes for pages, at most.
    pub(super) page_bytes: u64,
}

impl ModelPlan {
    /// Code World Model, 32 billion parameters.
    pub(super) fn cwm_32b() -> ModelPlan {
        ModelPlan {
            spec: ModelSpec {
                architecture: Architecture::Cwm,
                layers: layers(64, 8192),
                hidden: 6144,
                intermediate: 21504,
                vocabulary: 128_256,
                context: 131_072,
                heads: 48,
                kv_heads: 8,
                head_dim: 128,
                norm_epsilon: 1e-5,
                rope: rope(8192),
                qkv_bias: false,
                tied_head: false,
            },
            contexts: vec![8 << 10, 32 << 10, 128 << 10],
            batches: vec![1, 8, 16],
            prefill_contexts: vec![0, 8 << 10, 32 << 10],
            prefill_tokens: 2048,
            steps: 30,
            page_bytes: 12 << 30,
        }
    }

    /// What the emulation can do in seconds.
    pub(super) fn tiny() -> ModelPlan {
        ModelPlan {
            spec: ModelSpec {
                architecture: Architecture::Cwm,
                layers: layers(5, 128),
                hidden: 256,
                intermediate: 256,
                vocabulary: 600,
                context: 1024,
                heads: 16,
                kv_heads: 2,
                head_dim: 16,
                norm_epsilon: 1e-5,
                rope: rope(64),
                qkv_bias: false,
                tied_head: false,
            },
            contexts: vec![256, 1024],
            batches: vec![1, 3],
            prefill_contexts: vec![0, 192],
            prefill_tokens: 32,
            steps: 2,
            page_bytes: 8 << 20,
        }
    }

    /// Multiplications and additions of so many rows, the last of which sees `seen` positions; `heads` rows have logits.
    pub(super) fn flops(&self, rows: usize, seen: usize, heads: usize) -> u64 {
        let size = |role: &TensorRole| self.spec.shape(*role).iter().product::<usize>() as u64;
        let (mut body, mut head) = (0, 0);
        for role in self.spec.roles().iter().filter(|role| !role.is_vector()) {
            match role {
                TensorRole::Embedding => {}
                TensorRole::Output => head += size(role),
                TensorRole::Layer(..) | TensorRole::OutputNorm => body += size(role),
            }
        }
        let products = 2 * (body * rows as u64 + head * heads as u64);
        let scores: u64 = (0..rows)
            .map(|row| self.positions_seen(seen - rows.min(seen) + row + 1))
            .sum();
        products + scores * 4 * (self.spec.heads * self.spec.head_dim) as u64
    }

    /// The same of a batch of sequences that each run one row.
    pub(super) fn decode_flops(&self, context: usize, batch: usize) -> u64 {
        self.flops(1, context, 1) * batch as u64
    }

    /// Positions that a row sees, of all layers.
    fn positions_seen(&self, context: usize) -> u64 {
        let seen = self.spec.layers.iter().map(|layer| match layer.attention {
            Attention::Full => context as u64,
            Attention::Window(window) => context.min(window) as u64,
        });
        seen.sum()
    }

    /// Bytes of keys and values that a row sees.
    pub(super) fn kv_bytes(&self, context: usize, kv: KvElement) -> u64 {
        let position = 2 * self.spec.kv_heads * kv.head_bytes(self.spec.head_dim);
        self.positions_seen(context) * position as u64
    }

    /// Bytes that a step of decode reads at least: all weights, and each position that any of the sequences sees, once.
    pub(super) fn decode_bytes(&self, format: WeightFormat, kv: KvElement, context: usize) -> u64 {
        format.streamed_bytes(&self.spec) + self.kv_bytes(context, kv)
    }

    /// Bytes of pages that sequences take that share a context, while it is being supposed too.
    pub(super) fn page_need(&self, layout: &PageLayout, context: usize, batch: usize) -> u64 {
        let pages = context.div_ceil(PAGE_TOKENS);
        // Each sequence has the page that it writes for itself, and the page before that for a moment.
        let own = 2 * batch + 1;
        let window = layout
            .window
            .map_or(0, |window| (window + CHUNK).div_ceil(PAGE_TOKENS) + 2);
        let full = (pages + own) * layout.page_bytes(PoolKind::Full);
        let window = (pages.min(window) + own) * layout.page_bytes(PoolKind::Window);
        (full + window) as u64
    }
}

fn layers(count: usize, window: usize) -> Vec<LayerSpec> {
    let attention = |layer: usize| match layer % 4 {
        0 => Attention::Full,
        _ => Attention::Window(window),
    };
    (0..count)
        .map(|layer| LayerSpec {
            attention: attention(layer),
        })
        .collect()
}

fn rope(original_context: usize) -> Rope {
    Rope {
        theta: 1e6,
        layout: RopeLayout::HalfSplit,
        scaling: RopeScaling::Llama3 {
            factor: 16.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context,
        },
    }
}
