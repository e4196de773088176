//! What is checked: the first GPU, or an emulated one.

use std::path::PathBuf;

use cwm_kernels::cuda::{Accelerator, Gpu, MatrixLibrary};

use super::CheckError;

/// What is checked.
pub(super) enum Target {
    Gpu,
    /// An emulation, whose compiled kernels are kept in the folder.
    #[cfg_attr(
        not(any(test, feature = "emulate")),
        allow(dead_code, reason = "built without")
    )]
    Emulated(PathBuf),
}

impl Target {
    #[cfg(any(test, feature = "emulate"))]
    pub(super) fn emulated(folder: &str) -> Result<Target, CheckError> {
        Ok(Target::Emulated(folder.into()))
    }

    #[cfg(not(any(test, feature = "emulate")))]
    pub(super) fn emulated(_folder: &str) -> Result<Target, CheckError> {
        let reason = "this program was built without the emulation (the feature `emulate`)";
        Err(CheckError::Usage(reason.to_owned()))
    }

    pub(super) fn is_emulated(&self) -> bool {
        matches!(self, Target::Emulated(_))
    }

    pub(super) fn open(&self, library: MatrixLibrary) -> Result<Box<dyn Accelerator>, CheckError> {
        match self {
            Target::Gpu => Ok(Box::new(Gpu::open(0, library)?)),
            Target::Emulated(folder) => open_emulated(folder),
        }
    }
}

#[cfg(any(test, feature = "emulate"))]
fn open_emulated(folder: &std::path::Path) -> Result<Box<dyn Accelerator>, CheckError> {
    use cwm_kernels::cuda::emulate::{EmulatedAccelerator, Order};
    const MEMORY: u64 = 4 << 30;
    // SAFETY: checks and back ends launch kernels on what they allocated, as large as they say; that is what is checked here.
    #[allow(unsafe_code, reason = "emulated kernels take addresses")]
    let device = unsafe { EmulatedAccelerator::new(folder, Order::Forward, MEMORY) };
    Ok(Box::new(device))
}

#[cfg(not(any(test, feature = "emulate")))]
fn open_emulated(_folder: &std::path::Path) -> Result<Box<dyn Accelerator>, CheckError> {
    Err(CheckError::NoGpu(cwm_kernels::cuda::Unusable::NoDevice))
}
