//! A checkpoint made ready to run on this machine.

use cwm_kernels::cpu::Isa;

use crate::backend::{Backend, CpuBackend, CpuOptions, LoadError, ReferenceBackend};
use crate::cache::{KvElement, PageLayout};
use crate::formats::Checkpoint;

/// Positions a page of the KV cache.
pub const PAGE_TOKENS: usize = 64;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// This machine's processor.
    #[default]
    Cpu,
    /// This machine's processor, with all weights as 32-bit floats: what roundings to fewer bits are compared with.
    Floats,
    /// Plain 32-bit arithmetic: slow, and what the others are compared with.
    Reference,
}

/// Loads a model's weights into a back end. `threads` counts the threads that compute; `None` is all of the processor's.
///
/// # Errors
///
/// When a tensor is unusable, or memory is short.
pub fn load_backend(
    checkpoint: &Checkpoint,
    backend: BackendChoice,
    element: KvElement,
    threads: Option<usize>,
) -> Result<Box<dyn Backend>, LoadError> {
    let layout = PageLayout::of(&checkpoint.spec, PAGE_TOKENS, element);
    Ok(match backend {
        BackendChoice::Reference => Box::new(ReferenceBackend::load(checkpoint, layout)?),
        BackendChoice::Cpu | BackendChoice::Floats => {
            let usual = CpuOptions::default();
            let options = CpuOptions {
                threads: threads.unwrap_or(usual.threads).max(1),
                isa: Isa::best(),
                widen: backend == BackendChoice::Floats,
            };
            Box::new(CpuBackend::load(checkpoint, layout, options)?)
        }
    })
}
