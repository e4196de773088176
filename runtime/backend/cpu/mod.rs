//! The back end for processors: all rows of a step are one matrix, quantised weights are packed for the kernels once, floats stay
//! where they lie in their files.
//!
//! A row's logits are the same bits whatever runs beside it, with any number of threads and any instructions: each kernel computes a
//! row by one fixed sequence of roundings, and nothing here adds rows together.

mod matrices;
mod pages;
mod rows;
mod step;

use cwm_kernels::cpu::{Isa, RopePairs, ThreadPool};

use crate::backend::weights::{LoadError, Weights, check_layout};
use crate::backend::{Backend, BackendError, StepOutput, StepPlan};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind};
use crate::formats::Checkpoint;
use crate::model::{ModelSpec, RopeLayout};
use matrices::{CpuWeights, Preparation};
use pages::PagePools;
use step::Buffers;

/// How the processor is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuOptions {
    /// Threads that compute, the caller's own included.
    pub threads: usize,
    /// The instructions to use.
    pub isa: Isa,
    /// Whether all weights are turned into 32-bit floats, and computed with as such: slow and large, and what roundings to fewer bits are
    /// compared with.
    pub widen: bool,
}

impl Default for CpuOptions {
    /// All of this processor's threads and its best instructions.
    fn default() -> CpuOptions {
        CpuOptions {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            isa: Isa::best(),
            widen: false,
        }
    }
}

/// A model on this machine's processor.
pub struct CpuBackend {
    spec: ModelSpec,
    layout: PageLayout,
    isa: Isa,
    pool: ThreadPool,
    weights: CpuWeights,
    /// Radians a position, `[head_dim / 2]`.
    inverse_frequencies: Vec<f32>,
    pages: PagePools,
    buffers: Buffers,
}

impl CpuBackend {
    /// Packs a model's quantised matrices, in parallel.
    ///
    /// # Errors
    /// A tensor that is missing, misshapen or unreadable, pages that do not suit the model, instructions that the processor lacks, or
    /// too little memory.
    pub fn load(
        checkpoint: &Checkpoint,
        layout: PageLayout,
        options: CpuOptions,
    ) -> Result<CpuBackend, LoadError> {
        check_layout(checkpoint, &layout)?;
        if !options.isa.is_available() {
            return Err(LoadError::Processor {
                isa: options.isa.name(),
            });
        }
        let pool = ThreadPool::new(options.threads);
        let weights = CpuWeights::of(&Preparation::new(&pool, options.widen), Weights::of(checkpoint)?)?;
        let spec = checkpoint.spec.clone();
        Ok(CpuBackend {
            inverse_frequencies: spec.rope.inverse_frequencies(spec.head_dim),
            isa: options.isa,
            pool,
            weights,
            pages: PagePools::new(&layout),
            buffers: Buffers::default(),
            spec,
            layout,
        })
    }

    fn rope_pairs(&self) -> RopePairs {
        match self.spec.rope.layout {
            RopeLayout::HalfSplit => RopePairs::HalfSplit,
            RopeLayout::Interleaved => RopePairs::Interleaved,
        }
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn layout(&self) -> &PageLayout {
        &self.layout
    }

    fn vocabulary(&self) -> usize {
        self.spec.vocabulary
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        plan.check(&self.layout, self.spec.vocabulary, self.spec.context)?;
        let tokens = plan.known_tokens(self.name())?;
        self.copy_pages(&plan.copies)?;
        let logits = self.run(plan, &tokens.concat())?;
        Ok(StepOutput {
            logits,
            vocabulary: self.spec.vocabulary,
        })
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        copies.iter().try_for_each(|copy| self.pages.copy(*copy))
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        self.pages.read(pool, page).map(<[u8]>::to_vec)
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        self.pages.import(pool, page, bytes)
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        for page in pages {
            self.pages.release(pool, *page);
        }
    }
}

#[cfg(test)]
#[path = "cpu_tests.rs"]
mod tests;
