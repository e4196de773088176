//! A checkpoint made ready to run on this machine.

use cwm_kernels::cpu::Isa;
use cwm_kernels::cuda::{Accelerator, DeviceError, Gpu, MatrixLibrary};

use crate::backend::{
    Backend, CpuBackend, CpuOptions, CudaBackend, CudaOptions, LoadError, ReferenceBackend,
};
use crate::cache::{KvElement, PageLayout};
use crate::formats::Checkpoint;
use crate::memory::{Load, ModelMemory, STEP_TOKENS};

/// Positions a page of the KV cache.
pub const PAGE_TOKENS: usize = 64;

/// What a model must at least be able to do on a device: one prompt of a step, and an answer.
const LEAST: Load = Load {
    prompt: STEP_TOKENS,
    new: 512,
    samples: 1,
    shared: true,
};

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
    /// The first NVIDIA GPU.
    Cuda(CudaOptions),
}

impl BackendChoice {
    /// The type of keys and values that is as near as can be to the one asked for: a GPU's 16-bit floats are bf16.
    pub fn kv_element(self, asked: KvElement) -> KvElement {
        match (self, asked) {
            (BackendChoice::Cuda(_), KvElement::F16) => KvElement::BF16,
            (_, asked) => asked,
        }
    }
}

/// Loads a model's weights into a back end. `threads` counts the threads that compute; `None` is all of the processor's.
///
/// # Errors
///
/// When a tensor is unusable, or memory is short, or there is no such device.
pub fn load_backend(
    checkpoint: &Checkpoint,
    backend: BackendChoice,
    element: KvElement,
    threads: Option<usize>,
) -> Result<Box<dyn Backend>, LoadError> {
    let layout = PageLayout::of(&checkpoint.spec, PAGE_TOKENS, backend.kv_element(element));
    Ok(match backend {
        BackendChoice::Reference => Box::new(ReferenceBackend::load(checkpoint, layout)?),
        BackendChoice::Cuda(options) => {
            let mut gpu = Gpu::open(first_gpu()?, MatrixLibrary::WhenPresent)?;
            check_memory(checkpoint, layout.element, options, &mut gpu)?;
            Box::new(CudaBackend::load(checkpoint, layout, Box::new(gpu), options)?)
        }
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

fn first_gpu() -> Result<usize, LoadError> {
    let devices = cwm_kernels::cuda::discover().map_err(DeviceError::from)?;
    Ok(devices.first().map_or(0, |device| device.ordinal))
}

/// Refuses a model that could not even answer one prompt, before anything is loaded.
fn check_memory(
    checkpoint: &Checkpoint,
    element: KvElement,
    options: CudaOptions,
    device: &mut dyn Accelerator,
) -> Result<(), LoadError> {
    let weights = CudaBackend::weight_bytes(checkpoint, options.weights)?;
    let context = checkpoint.spec.context;
    let least = Load {
        prompt: LEAST.prompt.min(context),
        new: LEAST.new.min(context.saturating_sub(LEAST.prompt.min(context))),
        ..LEAST
    };
    let plan = ModelMemory::new(&checkpoint.spec, weights, element).plan(least);
    let (free, _) = device.memory()?;
    Ok(plan.fits(free)?)
}
