//! From logits to tokens on the device, by the rules of the engine's sampler: the same filters, and the same draw for a seed, a sequence and a
//! position. Where a draw falls on the edge between two tokens the two may differ, since weights are rounded otherwise.

use super::launch::count;
use super::{Artefact, DevicePointer, Kernel, Launch, ShapeError};

const PENALTY_THREADS: u32 = 256;
const SAMPLE_THREADS: u32 = 512;
/// The size of `SampleShared`.
const SAMPLE_SHARED_BYTES: u32 = 2 * 256 * (4 + 8) + 4 * 16 * 4 + SAMPLE_THREADS * 4 + 16 + 16;

/// Where a row has a logit that is not finite, so that no token can be drawn.
pub const NO_TOKEN: u32 = u32::MAX;

/// What the kernel `penalise` takes: changes to single logits.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct PenaltyArguments {
    /// `[rows, vocabulary]` of f32.
    pub logits: DevicePointer,
    /// `[count, 2]` of u32: row and token, no pair twice.
    pub places: DevicePointer,
    /// `[count, 2]` of f32: what a positive logit is divided by and a negative one multiplied (1 for nothing); then what is subtracted.
    pub amounts: DevicePointer,
    /// Tokens a row.
    pub vocabulary: u32,
    /// How many logits are changed.
    pub count: u32,
}

/// How a row's token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct SampleRow {
    /// The request's seed.
    pub seed: u64,
    /// The sample's number within its request.
    pub sequence: u64,
    /// The position of the token that is drawn.
    pub position: u64,
    /// Logits are divided by it; 0 takes the most likely token.
    pub temperature: f32,
    /// Only the fewest tokens that have this share of what `top_k` leaves; 1 considers all.
    pub top_p: f32,
    /// Only tokens with at least this share of the most likely one's probability; 0 considers all.
    pub min_p: f32,
    /// Only so many of the most likely tokens; 0 considers all.
    pub top_k: u32,
}

/// What the kernel `sample` takes.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct SampleArguments {
    /// `[rows, vocabulary]` of f32.
    pub logits: DevicePointer,
    /// `[rows]` of [`SampleRow`].
    pub rows: DevicePointer,
    /// `[rows]` of u32: the tokens, or [`NO_TOKEN`].
    pub tokens: DevicePointer,
    /// `[rows]` of f32: the logarithms of their probabilities by the logits as they are; or null.
    pub logprobs: DevicePointer,
    /// Tokens a row.
    pub vocabulary: u32,
    /// Fills the struct up; 0.
    pub unused: u32,
}

impl PenaltyArguments {
    /// The launch.
    ///
    /// # Errors
    /// [`ShapeError`] when nothing is changed.
    pub fn launch(self) -> Result<Launch<PenaltyArguments>, ShapeError> {
        let name = "penalise";
        let blocks = self.count.div_ceil(PENALTY_THREADS) as usize;
        Ok(Launch {
            kernel: Kernel {
                artefact: Artefact::Sampling,
                name,
            },
            grid: [count(name, "the number of changes", blocks)?, 1, 1],
            threads: PENALTY_THREADS,
            shared_bytes: 0,
            arguments: self,
        })
    }
}

impl SampleArguments {
    /// The launch for so many rows.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or no tokens.
    pub fn launch(self, rows: usize) -> Result<Launch<SampleArguments>, ShapeError> {
        let name = "sample";
        count(name, "the vocabulary", self.vocabulary as usize)?;
        Ok(Launch {
            kernel: Kernel {
                artefact: Artefact::Sampling,
                name,
            },
            grid: [count(name, "the number of rows", rows)?, 1, 1],
            threads: SAMPLE_THREADS,
            shared_bytes: SAMPLE_SHARED_BYTES,
            arguments: self,
        })
    }
}
