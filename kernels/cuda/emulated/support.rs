//! Emulated devices.

use std::path::PathBuf;

use cwm_kernels::cuda::checks::Subject;
use cwm_kernels::cuda::emulate::{EmulatedAccelerator, Order};

/// Where compiled kernels are kept: beside the test's binary, so that they go when everything built does.
pub(crate) fn folder() -> PathBuf {
    let binary = std::env::current_exe().unwrap();
    binary.parent().unwrap().join("cuda-emulated")
}

/// An emulated device that runs each launch in several orders.
pub(crate) fn subject(seed: u64) -> Subject {
    // SAFETY: checks give each kernel memory of the device that is as large as its arguments say.
    #[allow(unsafe_code, reason = "kernels take addresses")]
    let device = unsafe { EmulatedAccelerator::new(&folder(), Order::Forward, 1 << 30) };
    let device = device.in_turn(&Order::SOME);
    Subject::new(Box::new(device), Order::SOME.len(), seed)
}
