//! The emulation itself: it finds what is wrong with kernels that are.

use std::path::Path;

use cwm_kernels::cuda::emulate::{EmulateError, Emulator, Order};
use cwm_kernels::cuda::{Artefact, DevicePointer, Kernel, Launch};

use crate::support::folder;

#[derive(Clone, Copy)]
#[repr(C)]
struct FaultArguments {
    out: DevicePointer,
    input: DevicePointer,
}

/// Runs a kernel on the numbers from 0 to 63; returns what it gives in each order.
fn run(name: &'static str, shared_bytes: u32) -> Vec<Result<Vec<u8>, EmulateError>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/emulate/faults.cu");
    let emulator = Emulator::new(&folder());
    let input: Vec<u32> = (0..64).collect();
    let results = Order::SOME.iter().map(|order| {
        let mut out = vec![u32::MAX; 64];
        let launch = Launch {
            // The source is named below.
            kernel: Kernel {
                artefact: Artefact::Norm,
                name,
            },
            grid: [1, 1, 1],
            threads: 64,
            shared_bytes,
            arguments: FaultArguments {
                out: DevicePointer(out.as_mut_ptr() as u64),
                input: DevicePointer(input.as_ptr() as u64),
            },
        };
        // SAFETY: the kernels read and write 64 numbers.
        #[allow(unsafe_code, reason = "kernels take addresses")]
        unsafe {
            emulator.launch_from(&source, &launch, *order)?;
        }
        Ok(out.iter().flat_map(|number| number.to_le_bytes()).collect())
    });
    results.collect()
}

/// What a kernel without faults gives.
fn reversed() -> Vec<u8> {
    (0..64_u32).rev().flat_map(u32::to_le_bytes).collect()
}

fn message(result: &Result<Vec<u8>, EmulateError>) -> String {
    result.as_ref().unwrap_err().to_string()
}

#[test]
fn a_missing_barrier_shows_in_the_result() {
    assert!(
        run("fault_none", 256)
            .iter()
            .all(|result| *result.as_ref().unwrap() == reversed())
    );
    let results = run("fault_no_barrier", 256);
    assert!(
        results
            .iter()
            .any(|result| *result.as_ref().unwrap() != reversed())
    );
}

#[test]
fn a_copy_that_is_not_waited_for_has_not_arrived() {
    let results = run("fault_none_fetched", 256);
    assert!(
        results
            .iter()
            .all(|result| *result.as_ref().unwrap() == reversed())
    );
    let results = run("fault_early_read", 256);
    // In every other order copies happen at once.
    let late = results
        .iter()
        .filter(|result| *result.as_ref().unwrap() == vec![0xff; 256]);
    assert_eq!(late.count(), results.len() / 2);
}

#[test]
fn threads_that_part_ways_are_errors() {
    assert!(
        run("fault_divergence", 0)
            .iter()
            .all(|result| message(result).contains("different things"))
    );
    assert!(
        run("fault_deadlock", 0)
            .iter()
            .all(|result| message(result).contains("in vain"))
    );
}

#[test]
fn launches_that_do_not_fit_their_kernel_are_errors() {
    assert!(
        run("fault_none", 252)
            .iter()
            .all(|result| message(result).contains("shared memory"))
    );
}
