//! `scripts/gpu-check run` with a program that plays the one that needs a GPU.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use super::context::{Outcome, TestContext};

/// A folder as `scripts/gpu-check build` makes it, with that program.
fn folder(context: &TestContext, program: &str) -> PathBuf {
    let folder = context.folder().join("check");
    std::fs::create_dir(&folder).unwrap();
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
    for name in ["gpu-check", "make-model-fixtures"] {
        std::fs::copy(scripts.join(name), folder.join(name)).unwrap();
    }
    let path = folder.join("cwm-gpu-check");
    std::fs::write(&path, format!("#!/usr/bin/env bash\n{program}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn run(context: &TestContext, stages: &str, seconds: &str) -> Outcome {
    context.shell(&format!(
        "check/gpu-check run --out out --stages {stages} --seconds {seconds}"
    ))
}

const PROGRAM: &str = r#"
case "$1 $3" in
device*) echo '{"name": "A GPU", "matrix_library": {"name": "cublasLt", "version": "13.0.1", "reason": null}}' ;;
kernels*)
    echo '{"kind": "begun", "check": "norm"}'
    echo '{"kind": "check", "check": "norm", "passed": true}'
    echo '{"kind": "check", "check": "rope", "passed": false}'
    echo '{"error": "1 checks of kernels failed"}'
    exit 1
    ;;
speed*)
    echo '{"kind": "kernel", "row": {"kernel": "skinny_fp8_8", "shape": "1 x 6144 x 8192", "seconds": 2e-5, "bytes_per_second": 2.5e12, "flops_per_second": 5e12, "share_of_limit": 0.83}}'
    echo '{"kind": "limits", "limits": {"bytes_per_second": 3e12, "flops_per_second": 6e14}}'
    ;;
"model fp8")
    echo "{\"kind\": \"decode\", \"weights\": \"fp8\", \"kv\": \"bf16\", \"context\": 8192, \"batch\": 1, \"tokens_per_second\": 71.5, \"limit\": 88.4, \"share_of_limit\": 0.81, \"told\": \"$*\"}"
    echo '{"kind": "decode", "weights": "fp8", "kv": "bf16", "context": 131072, "batch": 16, "skipped": "too little memory"}'
    ;;
model*)
    sleep 600 &
    sleep 600
    ;;
*) exit 2 ;;
esac
"#;

#[test]
fn stages_that_fail_or_hang_do_not_take_the_others_along() {
    let context = TestContext::new();
    folder(&context, PROGRAM);
    let outcome = run(&context, "kernels,speed,model-fp8,model-int4", "4");
    assert_eq!(outcome.code, 1, "{outcome:?}");
    let out = context.folder().join("out");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("gpu-check.json")).unwrap()).unwrap();
    assert_eq!(report["device"]["name"], "A GPU");
    let stage = |name: &str| &report["stages"][name];
    assert_eq!(stage("kernels")["outcome"], "failed");
    assert_eq!(stage("kernels")["reason"], "1 checks of kernels failed");
    assert_eq!(stage("speed")["outcome"], "passed");
    assert_eq!(stage("model-fp8")["outcome"], "passed");
    // The limits of the stage before are handed over.
    let told = stage("model-fp8")["lines"][0]["told"].as_str().unwrap();
    assert!(
        told.contains("--bandwidth 3000000000000.0 --flops 600000000000000.0"),
        "{told}"
    );
    assert_eq!(stage("model-int4")["outcome"], "timed out");
    let table = std::fs::read_to_string(out.join("gpu-check.md")).unwrap();
    assert_eq!(outcome.stdout.trim(), table.trim());
    for line in [
        "Products of many rows by cublasLt 13.0.1.",
        "| decode | fp8 | bf16 | 8192 | 1 | 71.5 | 88.4 | 0.81 | 60 |",
        "| decode | fp8 | bf16 | 131072 | 16 | too little memory |  |  |  |",
        "| skinny_fp8_8 | 1 x 6144 x 8192 | 20.0 | 2500.0 | 5.0 | 0.83 |",
    ] {
        assert!(table.contains(line), "{table}");
    }
    assert!(table.contains("| kernels | failed |"), "{table}");
}

#[test]
fn a_kernel_that_breaks_the_device_does_not_hide_the_others() {
    let context = TestContext::new();
    let program = r#"
check() { echo "{\"kind\": \"begun\", \"check\": \"$1\"}"; [[ $2 ]] && echo "{\"kind\": \"check\", \"check\": \"$1\", \"passed\": $2}"; }
case "$1 $5" in
device*) echo '{"name": "A GPU"}' ;;
"kernels ") check norm true; check rope ""; kill -SEGV $$ ;;
"kernels rope") check decode false; echo '{"error": "the device failed"}'; exit 1 ;;
"kernels decode") check sample true ;;
esac
"#;
    folder(&context, program);
    let outcome = run(&context, "kernels", "30");
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stdout.contains("| kernels | failed |"), "{outcome:?}");
    let report = std::fs::read(context.folder().join("out/gpu-check.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let lines = report["stages"]["kernels"]["lines"].as_array().unwrap();
    let judged = lines.iter().filter(|line| line["kind"] == "check");
    let judged: Vec<(&str, bool)> = judged
        .map(|line| (line["check"].as_str().unwrap(), line["passed"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        judged,
        [
            ("norm", true),
            ("rope", false),
            ("decode", false),
            ("sample", true)
        ]
    );
}

#[test]
fn without_a_gpu_nothing_is_run_and_the_reason_is_said() {
    let context = TestContext::new();
    folder(
        &context,
        "echo '{\"error\": \"there is no GPU to check: there is no CUDA driver library\"}'; exit 3",
    );
    let outcome = run(&context, "kernels", "4");
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(
        outcome.stderr.contains("there is no CUDA driver library"),
        "{outcome:?}"
    );
    assert!(!context.folder().join("out").exists());
}

#[test]
fn what_a_machine_lacks_is_skipped_with_the_reason() {
    let context = TestContext::new();
    folder(&context, PROGRAM);
    let outcome = run(&context, "logits,racecheck", "60");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(
        outcome
            .stdout
            .contains("| logits | skipped | 0.0 | there are no checkpoints"),
        "{outcome:?}"
    );
    assert_eq!(run(&context, "nothing", "1").code, 2);
}
