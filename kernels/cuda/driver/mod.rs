//! NVIDIA's driver: which devices there are, why none can be used, and a device that runs launches.
//!
//! The driver's library is loaded when it is asked for, so that one program runs with and without a GPU, a driver or a toolkit.
//! `library` loads it and finds devices; `table` lists what running launches takes; `context`, `programs` and `staging` call that, each
//! with its own unsafe code. `discovery` and `gpu` have none. `matrix_library` is another library, for products, which need not be there.

mod context;
mod discovery;
mod gpu;
mod library;
mod matrix_library;
mod programs;
mod staging;
mod table;

pub use discovery::{ComputeCapability, CudaVersion, Device, Unusable, discover};
pub use gpu::Gpu;
pub use matrix_library::{MatrixLibrary, MatrixLibraryUse, NoMatrixLibrary, find_matrix_library};
