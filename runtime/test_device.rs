//! A GPU for tests, emulated.

use cwm_kernels::cuda::emulate::{EmulatedAccelerator, Order};

/// A device of that much memory. Its compiled kernels lie beside the tests' binary, so that they go when everything built does.
pub(crate) fn emulated(order: Order, bytes: u64) -> Box<EmulatedAccelerator> {
    let binary = std::env::current_exe().unwrap();
    let folder = binary.parent().unwrap().join("cuda-emulated");
    // SAFETY: the back end launches kernels on what it allocated, as large as it says; that is what its tests are about.
    #[allow(unsafe_code, reason = "emulated kernels take addresses")]
    Box::new(unsafe { EmulatedAccelerator::new(&folder, order, bytes) })
}
