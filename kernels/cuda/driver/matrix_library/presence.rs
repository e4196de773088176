//! Whether there is a library of matrix products, and why there is none.

use super::functions;

/// Whether a GPU leaves products of many rows to NVIDIA's library for them, cublasLt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatrixLibrary {
    /// Where the library is there and finds an algorithm. A row's last bits may then depend on how many rows are computed together, so on
    /// how a prompt is cut into steps.
    #[default]
    WhenPresent,
    /// Never: all products are computed by our own kernels, whose rows do not depend on one another.
    Never,
}

/// The library that a device leaves products to, and what it has done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixLibraryUse {
    /// Its version, such as `13.0.1`.
    pub version: String,
    /// How many products it has computed.
    pub products: u64,
    /// How many products of many rows it could not, so that our own kernel has computed them.
    pub refused: u64,
}

/// Why a device computes all products by our own kernels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoMatrixLibrary {
    /// Nobody asked for it, or the device is none that it is made for.
    #[error("cublasLt is not asked for")]
    NotWanted,
    /// The loader does not find it, or cannot load it.
    #[error("cublasLt cannot be loaded: {reason}")]
    NotFound {
        /// What the loader says of each of its names.
        reason: String,
    },
    /// A library of that name is there, and is something else.
    #[error(
        "the library cublasLt that was found lacks the function {function}, so it is damaged or something else"
    )]
    Lacks {
        /// What it lacks.
        function: &'static str,
    },
    /// It is of a version that may mean other things by the same numbers.
    #[error(
        "the library cublasLt that was found is of version {found}, and only versions 12 and 13 are used"
    )]
    OtherVersion {
        /// Its version.
        found: String,
    },
    /// It is there, and cannot be used on this device.
    #[error("cublasLt cannot be used: {reason}")]
    Failed {
        /// What failed.
        reason: String,
    },
}

/// Loads the library of matrix products, and returns its version. Takes no memory on a device, and does not tell whether the library can be
/// used on one: [`super::super::Gpu::open`] tries.
///
/// # Errors
///
/// Why it cannot be loaded.
pub fn find_matrix_library() -> Result<String, NoMatrixLibrary> {
    functions::find().map(functions::Functions::version)
}
