//! What fails is said, with the suspects, and goes on failing; nothing panics.

use cwm_kernels::cuda::{Accelerator, DeviceError, DevicePointer, Gpu, MatrixLibrary, Unusable};

use super::support::{PUSH, PUSH_TOO, assert_nothing_left, gpu, play, play_with, push};

#[test]
fn an_illegal_address_is_reported_later_with_the_suspects() {
    let name = "failures::an_illegal_address_is_reported_later_with_the_suspects";
    play(name, &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        gpu.fill(list, 0, 256).unwrap();
        for value in 0..20 {
            gpu.launch(&push(PUSH, list, value)).unwrap();
        }
        gpu.launch(&push(PUSH_TOO, DevicePointer(0x1000), 1)).unwrap();
        let graph = gpu.prepare(&[push(PUSH, list, 1)]).unwrap();
        gpu.run(graph).unwrap();

        let error = gpu.read(list, &mut [0]).unwrap_err();
        let mut suspects = vec!["push"; 14];
        suspects.extend(["push_too", "push"]);
        let expected = DeviceError::Failed {
            function: "cuEventSynchronize",
            code: 700,
            name: Some("CUDA_ERROR_ILLEGAL_ADDRESS".to_owned()),
            launched: suspects,
        };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("push_too, push"), "{error}");

        // What is asked later fails in the same way.
        assert_eq!(gpu.launch(&push(PUSH, list, 1)), Err(expected.clone()));
        assert_eq!(gpu.allocate(1), Err(expected.clone()));
        assert_eq!(gpu.write(list, &[1]), Err(expected.clone()));
        assert_eq!(gpu.run(graph), Err(expected.clone()));
        assert_eq!(gpu.mark(), Err(expected.clone()));
        gpu.free(list);
        gpu.discard(graph);
        assert_eq!(gpu.synchronise(), Err(expected));
    });
}

#[test]
fn a_kernel_that_is_not_there_is_named() {
    let settings = [("FAKE_KERNELS", "push=32")];
    let log = play("failures::a_kernel_that_is_not_there_is_named", &settings, || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        let launches = [push(PUSH, list, 1), push(PUSH_TOO, list, 1)];
        let error = gpu.prepare(&launches).unwrap_err();
        let expected = DeviceError::Failed {
            function: "cuModuleGetFunction",
            code: 500,
            name: Some("CUDA_ERROR_NOT_FOUND".to_owned()),
            launched: vec!["push_too"],
        };
        assert_eq!(error, expected);
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn an_error_that_leaves_the_device_at_work_is_no_reason_to_take_its_memory_away() {
    let name = "failures::an_error_that_leaves_the_device_at_work_is_no_reason_to_take_its_memory_away";
    let log = play(name, &[("FAKE_FAIL", "cuLaunchKernel:2:1")], || {
        let mut gpu = gpu();
        let (list, other) = (gpu.allocate(256).unwrap(), gpu.allocate(256).unwrap());
        gpu.write(list, &[0]).unwrap();
        gpu.launch(&push(PUSH, list, 1)).unwrap();
        let error = gpu.launch(&push(PUSH_TOO, list, 2)).unwrap_err();
        assert!(error.to_string().contains("CUDA_ERROR_INVALID_VALUE"), "{error}");
        assert_eq!(gpu.fill(other, 0, 1), Err(error));
        gpu.free(list);
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

/// Uses everything that there is.
fn tour(gpu: &mut Gpu) -> Result<(), DeviceError> {
    let list = gpu.allocate(3 << 20)?;
    gpu.memory()?;
    gpu.fill(list, 0, 3 << 20)?;
    let from = gpu.mark()?;
    let mut launch = push(PUSH, list, 1);
    launch.shared_bytes = 100 << 10;
    gpu.launch(&launch)?;
    let graph = gpu.prepare(&[launch.clone(), launch])?;
    gpu.run(graph)?;
    let to = gpu.mark()?;
    gpu.elapsed(from, to)?;
    gpu.discard(graph);
    let mut bytes = vec![1; 3 << 20];
    gpu.write(list, &bytes)?;
    gpu.read(list, &mut bytes)?;
    gpu.free(list);
    gpu.synchronise()
}

/// Functions that report what they find, and ones whose errors nobody can be told of.
const REPORTING: [&str; 24] = [
    "cuDevicePrimaryCtxRetain",
    "cuCtxSetCurrent",
    "cuStreamCreate",
    "cuStreamSynchronize",
    "cuMemGetInfo_v2",
    "cuMemAlloc_v2",
    "cuMemAllocHost_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemsetD8Async",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuGraphCreate",
    "cuGraphAddKernelNode_v2",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventElapsedTime_v2",
    // Whose errors show in whatever comes next.
    "cuFuncGetParamInfo",
    "cuGraphDestroy",
];
const QUIET: [&str; 7] = [
    "cuGraphExecDestroy",
    "cuEventDestroy_v2",
    "cuMemFree_v2",
    "cuMemFreeHost",
    "cuModuleUnload",
    "cuStreamDestroy_v2",
    "cuDevicePrimaryCtxRelease_v2",
];

#[test]
fn whatever_fails_is_reported_and_nothing_panics() {
    let name = "failures::whatever_fails_is_reported_and_nothing_panics";
    for function in REPORTING.into_iter().chain(QUIET) {
        for time in [1, 2] {
            let fail = format!("{function}:{time}:719");
            let log = play(name, &[("FAKE_FAIL", &fail)], || {
                let fail = std::env::var("FAKE_FAIL").unwrap();
                let failing = fail.split(':').next().unwrap();
                let outcome = Gpu::open(0, MatrixLibrary::Never).and_then(|mut gpu| {
                    let done = tour(&mut gpu);
                    assert!(done.is_ok() || gpu.allocate(1).is_err());
                    done
                });
                match outcome {
                    Ok(()) => assert!(QUIET.contains(&failing) || fail.contains(":2:"), "{fail}"),
                    Err(DeviceError::Failed {
                        function, code: 719, ..
                    }) => {
                        let shown = REPORTING.iter().position(|name| *name == failing);
                        assert!(
                            function == failing || shown.is_none_or(|place| place > 21),
                            "{fail}"
                        );
                    }
                    Err(other) => panic!("{fail}: {other:?}"),
                }
            });
            let Some(log) = log else { return };
            if function != "cuDevicePrimaryCtxRetain" && !function.contains("Release") {
                assert!(log.contains(&"released".to_owned()), "{fail}: {log:?}");
            }
        }
    }
}

#[test]
fn memory_that_only_the_device_lacks_is_no_failure() {
    let name = "failures::memory_that_only_the_device_lacks_is_no_failure";
    for function in ["cuModuleLoadData", "cuGraphInstantiateWithFlags"] {
        let fail = format!("{function}:1:2");
        let log = play(name, &[("FAKE_FAIL", &fail)], || {
            let mut gpu = gpu();
            let error = tour(&mut gpu).unwrap_err();
            assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error:?}");
            assert_eq!(tour(&mut gpu), Ok(()));
        });
        let Some(log) = log else { return };
        assert_nothing_left(&log);
    }
}

#[test]
fn a_library_that_lacks_a_function_is_no_driver() {
    let name = "failures::a_library_that_lacks_a_function_is_no_driver";
    for function in ["cuGraphLaunch", "cuMemAlloc_v2"] {
        let flag = format!("-D{function}=something_else");
        let log = play_with(name, &[&flag], &[("FAKE_LACKS", function)], || {
            match Gpu::open(0, MatrixLibrary::Never).err().unwrap() {
                DeviceError::Unusable(Unusable::NotADriver { function }) => {
                    assert_eq!(function, std::env::var("FAKE_LACKS").unwrap());
                }
                other => panic!("{other:?}"),
            }
        });
        if log.is_none() {
            return;
        }
    }
}

#[test]
fn reasons_not_to_use_a_device_come_out() {
    let settings = [("FAKE_CUDA", "12020")];
    let name = "failures::reasons_not_to_use_a_device_come_out";
    play(name, &settings, || {
        let error = Gpu::open(0, MatrixLibrary::Never).err().unwrap();
        assert!(
            matches!(error, DeviceError::Unusable(Unusable::DriverTooOld { .. })),
            "{error}"
        );
    });
}

#[test]
fn a_device_that_is_not_there_is_none() {
    play("failures::a_device_that_is_not_there_is_none", &[], || {
        let error = Gpu::open(1, MatrixLibrary::Never).err().unwrap();
        assert_eq!(error, DeviceError::Unusable(Unusable::NoDevice));
    });
}
