//! Machines with, without and with half a GPU.

use cwm_runtime::backend::cuda::{ComputeCapability, CudaVersion};

use super::*;
use crate::cli::doctor::check::Status;
use crate::cli::doctor::system::check_on;

const VERSION: &str = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:15:02 UTC 2025\nGCC version: gcc 13.2.0";
const MODEL: &str = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 77\n";
const INFORMATION: &str = "proc/driver/nvidia/gpus/0000:01:00.0/information";

#[test]
fn no_gpu_is_said_plainly_and_is_no_fault() {
    let found = check_on(&[], |system| of(system, Err(Unusable::NoDriver)));
    assert_eq!(found.status, Status::Ok);
    assert_eq!(
        found.found,
        "none found, the CPU is used (there is no CUDA driver)"
    );
    assert_eq!(found.gpu.unwrap().unused, Some("no_driver"));
}

#[test]
fn a_gpu_is_named_with_its_memory_generation_and_driver() {
    let files = [("proc/driver/nvidia/version", VERSION)];
    let device = Device {
        ordinal: 0,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        memory_bytes: 81_559 << 20,
        capability: ComputeCapability { major: 9, minor: 0 },
        cuda: CudaVersion { major: 13, minor: 0 },
    };
    let found = check_on(&files, |system| of(system, Ok(vec![device])));
    assert_eq!(found.status, Status::Ok);
    assert_eq!(
        found.found,
        "NVIDIA H100 80GB HBM3, 79.6 GiB, compute capability 9.0; driver 580.65.06, CUDA 13.0; \
         used with --backend cuda only, which was not yet run on hardware"
    );
    let facts = found.gpu.unwrap();
    assert_eq!(facts.devices[0].driver.as_deref(), Some("580.65.06"));
}

#[test]
fn half_a_gpu_is_a_warning_that_names_the_missing_half() {
    let no_library = check_on(
        &[
            ("dev/nvidia0", ""),
            ("dev/nvidiactl", ""),
            ("proc/driver/nvidia/version", VERSION),
            (INFORMATION, MODEL),
        ],
        |system| of(system, Err(Unusable::NoDriver)),
    );
    assert_eq!(no_library.status, Status::Warn);
    assert_eq!(
        no_library.found,
        "NVIDIA H100 80GB HBM3, but the CPU is used: there is no CUDA driver library (libcuda.so.1)"
    );
    assert!(no_library.cure.unwrap().contains("libcuda1"));

    let no_device = check_on(&[("proc/driver/nvidia/version", VERSION)], |system| {
        of(system, Err(Unusable::NoDevice))
    });
    assert_eq!(no_device.status, Status::Warn);
    assert!(
        no_device.found.contains("driver 580.65.06 is loaded"),
        "{no_device:?}"
    );
    assert!(no_device.cure.unwrap().contains("--gpus all"));
    let unnamed = check_on(&[("dev/nvidia0", "")], |system| {
        of(system, Err(Unusable::NoDevice))
    });
    assert!(unnamed.found.starts_with("/dev/nvidia0, but"), "{unnamed:?}");
    assert!(unnamed.cure.unwrap().contains("CUDA_VISIBLE_DEVICES"));
}
