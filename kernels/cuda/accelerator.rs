//! What owns memory and runs launches: a GPU, or the emulation.
//!
//! What enters are bytes and launches, as data; everything happens in the order in which it is asked for. Nothing waits for a device but
//! [`Accelerator::read`], [`Accelerator::synchronise`] and [`Accelerator::elapsed`].

use super::{DevicePointer, Kernel, MatrixLibraryUse, NoMatrixLibrary, Unusable};

/// Why a device did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// It has too little memory left.
    #[error("the device has no {bytes} bytes of memory left")]
    OutOfMemory {
        /// What was asked for.
        bytes: u64,
    },
    /// The driver reports an error, or the library of matrix products does. What a kernel does wrong is often found only by a later call: the last kernels that were
    /// launched are the suspects, and the device cannot be used any more.
    #[error(
        "the device failed: {function} gives {} ({code}){}",
        name.as_deref().unwrap_or("an unknown error"),
        suspects(launched)
    )]
    Failed {
        /// The function that reported it.
        function: &'static str,
        /// Its library's number for the error.
        code: i32,
        /// Its library's name for it, such as `CUDA_ERROR_ILLEGAL_ADDRESS`.
        name: Option<String>,
        /// The last kernels that were launched before it was reported, the latest last.
        launched: Vec<&'static str>,
    },
    /// No device, or no usable driver.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The emulation finds fault with a kernel or a launch.
    #[error("the emulation failed: {0}")]
    Emulation(String),
    /// Something that was asked for is not there: a graph or a mark that was never made, memory that was not allocated, a kernel that a
    /// module lacks.
    #[error("the device has no such {0}")]
    Unknown(&'static str),
}

fn suspects(launched: &[&'static str]) -> String {
    match launched {
        [] => String::new(),
        _ => format!(" after {}", launched.join(", ")),
    }
}

/// A launch that owns its argument, so that it can be kept and run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedLaunch {
    /// What runs.
    pub kernel: Kernel,
    /// Blocks along each axis.
    pub grid: [u32; 3],
    /// Threads a block, along the first axis.
    pub threads: u32,
    /// Dynamic shared memory a block.
    pub shared_bytes: u32,
    /// The struct that the kernel takes, byte for byte; in words, since kernels want it aligned.
    pub argument: Vec<u64>,
}

/// Launches that were made ready to run as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Graph(pub u64);

/// A point in the order of things, to measure times between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub u64);

/// A device with its memory. Addresses in launches are of memory that it allocated; a launch that names other memory is a fault of the
/// caller, which a device reports and the emulation does not survive.
pub trait Accelerator: Send {
    /// What it is, for messages and reports: the device's name.
    fn name(&self) -> String;

    /// The library that it leaves products of many rows to, or why it computes all of them by our own kernels.
    ///
    /// # Errors
    /// [`NoMatrixLibrary`]: why there is none.
    fn matrix_library(&self) -> Result<MatrixLibraryUse, NoMatrixLibrary> {
        Err(NoMatrixLibrary::NotWanted)
    }

    /// Its memory, in bytes: what is free, and all.
    ///
    /// # Errors
    /// [`DeviceError`] when the device does not answer.
    fn memory(&mut self) -> Result<(u64, u64), DeviceError>;

    /// Memory at an address that is a multiple of 256. What is in it is not defined.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`], or another when the device does not answer.
    fn allocate(&mut self, bytes: u64) -> Result<DevicePointer, DeviceError>;

    /// Gives memory back that [`Accelerator::allocate`] gave; waits for what is going on.
    fn free(&mut self, memory: DevicePointer);

    /// Puts bytes into memory. They may be changed as soon as it returns.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails.
    fn write(&mut self, to: DevicePointer, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Sets `bytes` bytes of memory to `value`.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails.
    fn fill(&mut self, to: DevicePointer, value: u8, bytes: u64) -> Result<(), DeviceError>;

    /// Waits for everything so far, and takes bytes out of memory.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails, or had failed.
    fn read(&mut self, from: DevicePointer, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Runs a kernel after everything so far. What [`super::ProductArguments::gemm`] makes may be computed by
    /// [`Accelerator::matrix_library`] instead: the same numbers up to the order of their sums.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails, or had failed.
    fn launch(&mut self, launch: &RecordedLaunch) -> Result<(), DeviceError>;

    /// Makes launches, to be run one after another, ready to be started at once. All run as the kernels that they name.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails.
    fn prepare(&mut self, launches: &[RecordedLaunch]) -> Result<Graph, DeviceError>;

    /// Runs prepared launches after everything so far.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails, or the graph is not known.
    fn run(&mut self, graph: Graph) -> Result<(), DeviceError>;

    /// Forgets prepared launches.
    fn discard(&mut self, graph: Graph);

    /// Waits for everything so far.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails, or had failed.
    fn synchronise(&mut self) -> Result<(), DeviceError>;

    /// Marks this point in the order of things.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails.
    fn mark(&mut self) -> Result<Mark, DeviceError>;

    /// Waits for the later mark, and returns the seconds that passed on the device from the earlier one. Both are forgotten.
    ///
    /// # Errors
    /// [`DeviceError`] when the device fails, or a mark is not known.
    fn elapsed(&mut self, from: Mark, to: Mark) -> Result<f64, DeviceError>;
}
