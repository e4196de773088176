//! A library of matrix products that is damaged, or does not start, or fails at work.

use cwm_kernels::cuda::{Accelerator, DeviceError, DevicePointer, Gpu, MatrixLibrary, Store};

use super::matrix_library::{OWN, first, open, product};
use super::support::{PUSH, assert_nothing_left, lines, play_with, play_with_library, push};

#[test]
fn a_library_that_lacks_a_function_or_is_of_another_version_is_not_used() {
    let name = "library_failures::a_library_that_lacks_a_function_or_is_of_another_version_is_not_used";
    for (flag, settings, expected) in [
        (
            "-DcublasLtMatmul=something_else",
            [OWN, ("FAKE_LIBRARY_VERSION", "130001")],
            "the library cublasLt that was found lacks the function cublasLtMatmul, so it is damaged or something else",
        ),
        (
            "-DcublasLtGetStatusName=something_else",
            [OWN, ("FAKE_LIBRARY_VERSION", "130001")],
            "the library cublasLt that was found lacks the function cublasLtGetStatusName, so it is damaged or something else",
        ),
        (
            "-DNOTHING",
            [OWN, ("FAKE_LIBRARY_VERSION", "140203")],
            "the library cublasLt that was found is of version 14.2.3, and only versions 12 and 13 are used",
        ),
    ] {
        let settings = [&settings[..], &[("FAKE_EXPECTED", expected)]].concat();
        let log = play_with_library(name, &[flag], &settings, || {
            let mut gpu = open();
            let reason = gpu.matrix_library().unwrap_err().to_string();
            assert_eq!(reason, std::env::var("FAKE_EXPECTED").unwrap());
            let (launch, _) = product(&mut gpu, 20, Store::F32);
            gpu.launch(&launch).unwrap();
            gpu.synchronise().unwrap();
        });
        let Some(log) = log else { return };
        assert_eq!(lines(&log, "run gemm_bf16"), 1);
        assert_nothing_left(&log);
    }
}

#[test]
fn a_library_that_does_not_start_is_not_used() {
    let name = "library_failures::a_library_that_does_not_start_is_not_used";
    let log = play_with_library(name, &[], &[("FAKE_FAIL", "cublasLtCreate:1:1")], || {
        let mut gpu = open();
        assert_eq!(
            gpu.matrix_library().unwrap_err().to_string(),
            "cublasLt cannot be used: the device failed: cublasLtCreate gives CUBLAS_STATUS_NOT_INITIALIZED (1)"
        );
        assert!(gpu.allocate(1).is_ok());
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn whatever_the_library_says_is_reported_with_its_name() {
    let name = "library_failures::whatever_the_library_says_is_reported_with_its_name";
    for failing in [
        "cublasLtMatmulDescCreate:1",
        "cublasLtMatmulDescSetAttribute:1",
        "cublasLtMatmulDescSetAttribute:5",
        "cublasLtMatrixLayoutCreate:1",
        "cublasLtMatrixLayoutCreate:3",
        "cublasLtMatmulPreferenceCreate:1",
        "cublasLtMatmulPreferenceSetAttribute:1",
        "cublasLtMatmulAlgoGetHeuristic:1",
        "cublasLtMatmul:1",
        "cublasLtMatmul:2",
    ] {
        let fail = format!("{failing}:13");
        let log = play_with_library(name, &[], &[("FAKE_FAIL", &fail)], || {
            let fail = std::env::var("FAKE_FAIL").unwrap();
            let (function, time) = fail.rsplit_once(':').unwrap().0.split_once(':').unwrap();
            let mut gpu = open();
            let (launch, out) = product(&mut gpu, 20, Store::AddF32);
            let done = gpu.launch(&launch).and_then(|()| gpu.launch(&launch));
            let error = done.unwrap_err();
            let second = function == "cublasLtMatmul" && time == "2";
            let suspects = if second { vec!["cublasLtMatmul"] } else { vec![] };
            match &error {
                DeviceError::Failed {
                    function: found,
                    code: 13,
                    name: Some(name),
                    launched,
                } => {
                    assert_eq!((*found, launched), (function, &suspects));
                    assert_eq!(name, "CUBLAS_STATUS_EXECUTION_FAILED");
                }
                other => panic!("{fail}: {other:?}"),
            }
            // Nothing that was computed before it can be relied on.
            assert_eq!(gpu.launch(&launch), Err(error.clone()));
            assert_eq!(first(&mut gpu, out), Err(error));
        });
        let Some(log) = log else { return };
        assert_nothing_left(&log);
    }
}

#[test]
fn a_status_that_has_no_name_is_a_number() {
    let name = "library_failures::a_status_that_has_no_name_is_a_number";
    play_with_library(name, &[], &[("FAKE_FAIL", "cublasLtMatmul:1:99")], || {
        let mut gpu = open();
        let (launch, _) = product(&mut gpu, 20, Store::F32);
        let error = gpu.launch(&launch).unwrap_err().to_string();
        assert_eq!(
            error,
            "the device failed: cublasLtMatmul gives an unknown error (99)"
        );
    });
}

#[test]
fn an_error_of_the_device_names_products_among_the_suspects() {
    let name = "library_failures::an_error_of_the_device_names_products_among_the_suspects";
    play_with_library(name, &[], &[], || {
        let mut gpu = open();
        let (launch, out) = product(&mut gpu, 20, Store::F32);
        gpu.launch(&launch).unwrap();
        gpu.launch(&push(PUSH, DevicePointer(0x1000), 1)).unwrap();
        match first(&mut gpu, out) {
            Err(DeviceError::Failed {
                code: 700, launched, ..
            }) => {
                assert_eq!(launched, ["cublasLtMatmul", "push"]);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_driver_that_fails_while_the_library_starts_is_found_out() {
    let name = "library_failures::a_driver_that_fails_while_the_library_starts_is_found_out";
    let log = play_with(name, &[], &[("FAKE_FAIL", "cuMemAlloc_v2:1:719")], || {
        let opened = Gpu::open(0, MatrixLibrary::Never).and_then(|mut gpu| gpu.allocate(1));
        assert!(matches!(opened, Err(DeviceError::Failed { code: 719, .. })));
    });
    if log.is_none() {
        return;
    }
    play_with_library(name, &[], &[("FAKE_FAIL", "cuMemAlloc_v2:1:719")], || {
        let error = Gpu::open(0, MatrixLibrary::WhenPresent).err().unwrap();
        assert!(
            matches!(error, DeviceError::Failed { code: 719, .. }),
            "{error:?}"
        );
    });
}
