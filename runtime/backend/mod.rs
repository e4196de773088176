//! Running a model: one coarse trait, so that a back end may fuse a whole step as it likes.
//!
//! What enters is a [`StepPlan`], plain data; what leaves are the logits that it asks for. A plan can be logged and run again on
//! another back end.

mod cpu;
pub mod cuda;
mod drive;
mod log;
mod plan;
mod reference;
mod report;
mod weights;

#[cfg(test)]
mod logits_tests;
#[cfg(test)]
mod mutation_tests;
#[cfg(test)]
mod peer_tests;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod test_support;

use crate::cache::{PageCopy, PageId, PageLayout, PoolKind};

pub use cpu::{CpuBackend, CpuOptions};
pub use cuda::{CudaBackend, CudaOptions};
pub use drive::{DriveError, Driver, Rows};
pub use log::{LogError, LoggedBackend, layout_of, replay};
use plan::oldest_seen;
pub use plan::{LogitsRow, PlanError, SequenceStep, SharedPrefix, StepPlan, TokenSource};
pub use reference::ReferenceBackend;
pub use report::ReportingBackend;
pub use weights::LoadError;

/// What a step yields: the logits of the rows that its plan asks for, in the plan's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepOutput {
    /// `[rows, vocabulary]`.
    pub logits: Vec<f32>,
    /// The vocabulary's size.
    pub vocabulary: usize,
}

impl StepOutput {
    /// The logits of a row of the plan's `logits`.
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        let start = row.checked_mul(self.vocabulary)?;
        self.logits.get(start..start + self.vocabulary)
    }
}

/// Why a back end did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The plan contradicts itself or the model.
    #[error("the step cannot be run: {0}")]
    Plan(#[from] PlanError),
    /// The pool has no such page, or it was never written.
    #[error("page {} of the {pool:?} pool holds nothing that can be read", page.0)]
    MissingPage {
        /// The pool.
        pool: PoolKind,
        /// The page.
        page: PageId,
    },
    /// A page that is imported has another size than the layout says.
    #[error("a page of the {pool:?} pool takes {expected} bytes, but {found} were given")]
    PageSize {
        /// The pool.
        pool: PoolKind,
        /// By the layout.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// The back end lacks a feature that the plan uses.
    #[error("the {backend} back end cannot {what}")]
    Unsupported {
        /// Its name.
        backend: &'static str,
        /// What was asked.
        what: String,
    },
    /// A matrix whose bytes are not what its type and shape call for, which loading should have found.
    #[error("the weights cannot be used: {0}; load the model again")]
    Weights(#[from] cwm_kernels::blocks::BlockError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] cwm_kernels::cuda::DeviceError),
    /// The device failed, and what it failed on is in a file.
    #[error(
        "{error}; what was asked of it is in {}: `cwm model replay` does that again elsewhere",
        report.display()
    )]
    Reported {
        /// How it failed.
        error: Box<BackendError>,
        /// A plan log.
        report: std::path::PathBuf,
    },
    /// No kernel for what a step asks for.
    #[error("the step cannot be run on the device: {0}")]
    Shape(#[from] cwm_kernels::cuda::ShapeError),
    /// The step was not run because its log could not be written.
    #[error(transparent)]
    Log(Box<LogError>),
    /// The memory for pages or activations could not be had.
    #[error(
        "{what} needs {bytes} bytes of memory, and the machine does not give them; ask for a shorter context or fewer samples"
    )]
    OutOfMemory {
        /// For what.
        what: &'static str,
        /// How much.
        bytes: usize,
    },
}

impl From<LogError> for BackendError {
    fn from(error: LogError) -> BackendError {
        BackendError::Log(Box::new(error))
    }
}

/// A loaded model on a device, with the memory for its cache.
pub trait Backend: Send {
    /// Its name: `reference`, `cpu`, `cuda`.
    fn name(&self) -> &'static str;

    /// The form of the pages in its pools.
    fn layout(&self) -> &PageLayout;

    /// The bytes that all pages may take together; `None` when only the machine's memory sets a limit.
    fn page_capacity(&self) -> Option<usize> {
        None
    }

    /// The vocabulary's size: the width of a row of logits.
    fn vocabulary(&self) -> usize;

    /// Runs the whole model for a plan: makes the plan's page copies, writes the new positions' keys and values into its pages, and
    /// returns the logits of the rows asked for.
    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError>;

    /// Gives the pages that a plan writes their places without running it, as if it had been run: measurements at long contexts need
    /// no long prompts.
    #[cfg(feature = "gpu-check")]
    fn suppose(&mut self, plan: &StepPlan) -> Result<(), BackendError> {
        let _ = plan;
        Err(BackendError::Unsupported {
            backend: self.name(),
            what: "suppose that a step was run".to_owned(),
        })
    }

    /// Copies pages within the pools.
    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError>;

    /// The bytes of a page, in a form that the same layout on any back end can import.
    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError>;

    /// Sets the bytes of a page.
    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError>;

    /// Gives the memory of pages back that hold nothing of use.
    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]);
}
