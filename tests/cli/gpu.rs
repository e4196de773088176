//! GPUs as `cwm` meets them: no machine of the tests has one, so a library that plays the CUDA driver is built here and put where the
//! program looks first.

use std::process::Command;

use serde_json::{Value, json};

use super::context::TestContext;

/// A driver whose answers are variables of its environment.
const DRIVER: &str = r#"
#include <stdlib.h>
#include <string.h>

static int number(const char *name, int usual) {
    const char *text = getenv(name);
    return text ? atoi(text) : usual;
}

int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA", 13000); return 0; }
#ifndef NO_INIT
int cuInit(unsigned flags) { return flags ? 1 : number("FAKE_INIT", 0); }
#endif
int cuDeviceGetCount(int *count) { *count = number("FAKE_COUNT", 1); return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 40; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    const char *text = getenv("FAKE_NAME");
    strncpy(name, text ? text : "NVIDIA H100 80GB HBM3", length);
    return device < 40;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)81559 << 20; return number("FAKE_MEMORY", device < 40); }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int capability = number("FAKE_CAPABILITY", 90);
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : -1;
    return device < 40;
}
int cuGetErrorName(int code, const char **name) {
    *name = code == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : 0;
    return *name ? 0 : 1;
}
"#;

/// A context in which the driver above is found, compiled with those flags.
fn with_driver(flags: &[&str]) -> TestContext {
    let context = TestContext::new();
    let folder = context.folder().join("driver");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("driver.c"), DRIVER).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "libcuda.so", "driver.c"])
        .args(flags)
        .current_dir(&folder)
        .status();
    assert!(built.unwrap().success());
    let folder = folder.to_str().unwrap().to_owned();
    context.with("LD_LIBRARY_PATH", &folder)
}

/// What `cwm doctor` says of the GPU.
#[track_caller]
fn gpu(context: &TestContext) -> Value {
    let outcome = context.run(["doctor", "--json"]);
    let events = outcome.events();
    let check = events.iter().find(|event| event["name"] == "gpu");
    check.unwrap_or_else(|| panic!("{outcome:?}")).clone()
}

#[test]
fn without_a_driver_the_reason_is_said_and_nothing_fails() {
    let check = gpu(&TestContext::new());
    // A machine that has one may run these tests too.
    if check["unused"] == "no_driver" {
        assert_eq!(check["devices"], json!([]), "{check}");
        assert!(
            check["found"].as_str().unwrap().contains("the CPU is used"),
            "{check}"
        );
    }
}

#[test]
fn a_device_is_described_and_said_to_be_unused_as_yet() {
    let context = with_driver(&[]);
    let check = gpu(&context);
    assert_eq!(check["status"], "ok", "{check}");
    let found = check["found"].as_str().unwrap();
    for words in [
        "NVIDIA H100 80GB HBM3, 79.6 GiB, compute capability 9.0",
        "CUDA 13.0",
        "used with --backend cuda only",
    ] {
        assert!(found.contains(words), "{words}: {check}");
    }
    assert_eq!(check["unused"], "not_asked_for");
    assert_eq!(check["devices"][0]["memory_bytes"], json!(81_559_u64 << 20));
    assert_eq!(check["devices"][0]["compute_capability"], "9.0");

    let two = gpu(&context
        .with("FAKE_COUNT", "2")
        .with("FAKE_NAME", "NVIDIA A100-SXM4-80GB"));
    assert_eq!(two["devices"][1]["ordinal"], 1, "{two}");
    assert_eq!(two["devices"][1]["device"], "NVIDIA A100-SXM4-80GB");
}

#[test]
fn each_reason_not_to_use_a_gpu_is_named() {
    let mut context = with_driver(&[]);
    for (variable, value, word, words) in [
        (
            "FAKE_CUDA",
            "12020",
            "driver_too_old",
            "the driver is too old: it supports CUDA 12.2, and cwm's kernels need 13.0",
        ),
        ("FAKE_INIT", "100", "no_device", "finds no device"),
        ("FAKE_COUNT", "0", "no_device", "finds no device"),
        (
            "FAKE_CAPABILITY",
            "75",
            "device_too_old",
            "its compute capability is 7.5, and cwm's kernels need 8.0",
        ),
        (
            "FAKE_INIT",
            "803",
            "failed",
            "the driver's cuInit failed with CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)",
        ),
        (
            "FAKE_INIT",
            "4242",
            "failed",
            "cuInit failed with an unknown error (4242)",
        ),
        ("FAKE_MEMORY", "999", "failed", "cuDeviceTotalMem_v2 failed"),
    ] {
        context = context.with(variable, value);
        let check = gpu(&context);
        context = context.without(variable);
        assert_eq!(check["unused"], word, "{check}");
        assert_eq!(check["status"], "warn", "{check}");
        assert!(check["found"].as_str().unwrap().contains(words), "{check}");
        assert!(!check["cure"].as_str().unwrap().is_empty(), "{check}");
    }
}

#[test]
fn a_library_that_is_no_driver_is_said_to_be_none() {
    let check = gpu(&with_driver(&["-DNO_INIT"]));
    assert_eq!(check["unused"], "not_a_driver", "{check}");
    assert!(check["found"].as_str().unwrap().contains("cuInit"), "{check}");

    let context = with_driver(&[]);
    std::fs::write(context.folder().join("driver/libcuda.so"), "no library").unwrap();
    assert_eq!(gpu(&context)["devices"], json!([]));
}
