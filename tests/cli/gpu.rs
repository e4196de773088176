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

/// A tiny model that is part of the repository.
fn fixture() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/runtime/fixtures/models/cwm16").to_owned()
}

/// Token ids in a file of the context.
fn ids(context: &TestContext) -> String {
    let path = context.folder().join("ids.json");
    std::fs::write(&path, "[5, 6, 7]").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_gpu_that_is_asked_for_and_is_not_there_is_an_error_that_says_why() {
    for (context, reason) in [
        (
            TestContext::new(),
            "there is no CUDA driver library (libcuda.so.1)",
        ),
        (
            with_driver(&[]).with("FAKE_COUNT", "0"),
            "the driver finds no device that this process may use",
        ),
        (
            with_driver(&[]).with("FAKE_CUDA", "12080"),
            "the driver is too old: it supports CUDA 12.8, and cwm's kernels need 13.0",
        ),
        (
            with_driver(&[]),
            "the CUDA driver library that was found lacks the function",
        ),
    ] {
        let ids = ids(&context);
        let arguments = [
            "model",
            "logits",
            &fixture(),
            "--ids",
            &ids,
            "--backend",
            "cuda",
            "--kv",
            "bf16",
        ];
        let outcome = context.run(arguments);
        assert_eq!(outcome.code, 3, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(reason), "{}", outcome.stderr);
    }
}

#[test]
fn rounding_while_loading_is_for_gpus() {
    let context = TestContext::new();
    let outcome = context.run(["generate", &fixture(), "--weights", "fp8"]);
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("--weights is for --backend cuda"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_a_device_failed_on_is_done_again_by_the_processor() {
    let context = TestContext::new();
    let log = context.folder().join("failure.jsonl");
    let plan = json!({
        "number": 3, "copies": [], "shared_prefixes": [],
        "sequences": [{
            "sequence": 0, "first_position": 0,
            "tokens": [{"known": 5}, {"known": 6}, {"known": 7}],
            "full_pages": [4], "window_pages": {"first": 0, "pages": [2]},
        }],
        "logits": [{"sequence": 0, "token": 2}],
    });
    let write = |fingerprint: &str| {
        let header = json!({
            "version": 1,
            "layout": {
                "page_tokens": 64, "full_layers": 2, "window_layers": 6, "window": 16,
                "kv_heads": 2, "head_dim": 16, "element": "f32",
            },
            "fingerprint": fingerprint,
        });
        let failure = json!({"failure": {"error": "the device failed", "plan": plan}});
        std::fs::write(&log, format!("{header}\n{failure}\n{}\n", json!({"plan": plan}))).unwrap();
    };
    let log_name = log.to_str().unwrap();
    let replay = |more: &[&str]| {
        let model = fixture();
        let words = ["model", "replay", log_name, &model]
            .into_iter()
            .chain(more.iter().copied());
        context.run(words)
    };
    write("another");
    let outcome = replay(&[]);
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    let message = outcome.stderr;
    let (_, rest) = message.split_once("the back end has model ").unwrap();
    let own: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    write(&own);
    let ids = ids(&context);
    let logits = context.run(["model", "logits", &fixture(), "--ids", &ids]);
    let best = logits.stdout.lines().last().unwrap().to_owned();
    for backend in ["cpu", "reference"] {
        let events = replay(&["--json", "--backend", backend]).events();
        let step = events
            .iter()
            .find(|event| event["event"] == "model.replay")
            .unwrap();
        assert_eq!(
            (&step["step"], &step["rows"], &step["finite"]),
            (&json!(0), &json!(1), &json!(true))
        );
        let token = step["best"][0].to_string();
        assert!(
            best.split_whitespace().any(|word| word == token),
            "{token}: {best}"
        );
    }
    let gone = context.run(["model", "replay", "nowhere.jsonl", &fixture()]);
    assert_eq!(gone.code, 2, "{}", gone.stderr);
}
