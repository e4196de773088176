//! All stages on the emulation.

use std::path::Path;

use serde_json::Value;

use super::model_plan::ModelPlan;
use super::{CheckError, library_report, run};
use crate::cache::PageLayout;
use crate::model::WeightFormat;
use cwm_kernels::KvElement;
use cwm_kernels::cuda::NoMatrixLibrary;

/// A stage's lines.
fn lines(arguments: &[&str]) -> (Vec<Value>, Result<(), CheckError>) {
    let binary = std::env::current_exe().unwrap();
    let folder = binary.parent().unwrap().join("cuda-emulated");
    let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    all.extend(["--emulated".to_owned(), folder.to_str().unwrap().to_owned()]);
    let mut out = Vec::new();
    let done = run(&all, &mut out);
    let text = String::from_utf8(out).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), done)
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    folder.join(name).to_str().unwrap().to_owned()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn logits_are_compared_in_all_formats_and_chunks() {
    let (lines, done) = lines(&["logits", &fixture("cwm16"), &fixture("qwen2")]);
    done.unwrap();
    // Of each model three comparisons of chunks of bf16 (none of 200), and two of each of five other pairs of formats.
    assert_eq!(of_kind(&lines, "logits").len(), 2 * (3 + 5 * 2));
    for line in &lines {
        assert_eq!(line["passed"], true);
        assert!(line["largest_difference"].as_f64().unwrap() > 0.0, "{line}");
        println!(
            "{} {} {} {}: {:.3} of {}",
            line["model"],
            line["weights"],
            line["kv"],
            line["chunk"],
            line["largest_difference"],
            line["tolerance"]
        );
    }
}

#[test]
fn logits_that_are_others_fail() {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture("qwen2")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let path = folder.path().join("logits.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4 * 1000..4 * 1001].copy_from_slice(&20.0_f32.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let (lines, done) = lines(&["logits", folder.path().to_str().unwrap()]);
    assert!(matches!(done, Err(CheckError::Failed(_))), "{done:?}");
    assert!(lines.iter().any(|line| line["passed"] == false));
}

#[test]
fn a_short_run_takes_all_formats() {
    let (lines, done) = lines(&["short", &fixture("cwm17")]);
    done.unwrap();
    assert_eq!(of_kind(&lines, "short").len(), 6);
}

#[test]
fn limits_are_two_rows_and_a_model_stands_beside_them() {
    let (found, done) = lines(&["limits"]);
    done.unwrap();
    assert_eq!(of_kind(&found, "kernel").len(), 2);
    let limits = &of_kind(&found, "limits")[0]["limits"];
    let (bandwidth, flops) = (&limits["bytes_per_second"], &limits["flops_per_second"]);
    for (weights, kv) in [("bf16", "fp8"), ("fp8", "bf16"), ("int4", "bf16")] {
        let (found, done) = lines(&[
            "model",
            "--weights",
            weights,
            "--kv",
            kv,
            "--bandwidth",
            &bandwidth.to_string(),
            "--flops",
            &flops.to_string(),
        ]);
        done.unwrap();
        let decode = of_kind(&found, "decode");
        assert_eq!((decode.len(), of_kind(&found, "prefill").len()), (4, 2));
        for line in found.iter().filter(|line| line["kind"] != "model") {
            assert!(line["skipped"].is_null(), "{line}");
            assert!(line["tokens_per_second"].as_f64().unwrap() > 0.0, "{line}");
            assert!(line["share_of_limit"].as_f64().unwrap() > 0.0, "{line}");
        }
    }
}

#[test]
fn what_there_is_no_time_for_is_named() {
    let (found, done) = lines(&["model", "--seconds", "0"]);
    done.unwrap();
    assert_eq!(found.len(), 1 + 4 + 2);
    assert!(
        found
            .iter()
            .skip(1)
            .all(|line| line["skipped"] == "no time is left")
    );
}

#[test]
fn a_wrong_call_is_refused() {
    for wrong in [
        &["nothing"][..],
        &["logits"],
        &["model", "--weights", "int3"],
        &["model", "--kv", "f16"],
        &["speed", "--seconds", "soon"],
        &["limits", "--matrix-library", "always"],
        &["kernels", "--after", "nothing"],
        &["kernels", "--what", "1"],
    ] {
        let (_, done) = lines(wrong);
        assert_eq!(done.unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn a_matrix_library_is_reported_with_its_version_or_the_reason() {
    let there = library_report(&Ok("13.0.1".to_owned()));
    assert_eq!(
        (&there["version"], &there["reason"]),
        (&"13.0.1".into(), &Value::Null)
    );
    let (version, function) = (Value::Null, "cublasLtMatmul");
    let lacking = library_report(&Err(NoMatrixLibrary::Lacks { function }));
    assert_eq!(lacking["version"], version);
    assert!(lacking["reason"].as_str().unwrap().contains(function));
}

#[test]
fn kernels_are_checked_from_the_one_that_is_asked_for() {
    let (all, done) = lines(&["kernels", "--seed", "5"]);
    done.unwrap();
    let checks = of_kind(&all, "check");
    assert!(
        checks.len() > 15
            && checks
                .iter()
                .all(|line| line["passed"] == true && line["seed"] == 5)
    );
    assert_eq!(of_kind(&all, "begun").len(), checks.len());
    let (last, before) = checks.split_last().unwrap();
    let (rest, done) = lines(&[
        "kernels",
        "--after",
        before.last().unwrap()["check"].as_str().unwrap(),
    ]);
    done.unwrap();
    let rest = of_kind(&rest, "check");
    assert_eq!((rest.len(), &rest[0]["check"]), (1, &last["check"]));
}

#[test]
fn limits_of_the_largest_shape_are_those_worked_out_by_hand() {
    let plan = ModelPlan::cwm_32b();
    let bytes = plan.decode_bytes(WeightFormat::Bf16, KvElement::BF16, 8192);
    // 63.58 GB of weights, and 8192 positions of 64 layers of 4096 bytes.
    let expected = 63.58e9 + 8192.0 * 64.0 * 4096.0;
    assert!((bytes as f64 - expected).abs() < 0.02e9, "{bytes}");
    // Windows end at 8192 positions.
    let further = plan.kv_bytes(131_072, KvElement::E4M3) - plan.kv_bytes(8192, KvElement::E4M3);
    assert_eq!(further, 16 * (131_072 - 8192) * 2048);
    // Two operations for each of 31.79 billion weights, and four for each element of the 48 heads at each position.
    let flops = plan.decode_flops(8192, 8) as f64 / 8.0;
    let expected = 2.0 * 31.793e9 + 64.0 * 8192.0 * 4.0 * 6144.0;
    assert!((flops / expected - 1.0).abs() < 1e-3, "{flops} {expected}");
    // The whole context fits beside bf16 weights on 80 GB.
    let layout = PageLayout::of(&plan.spec, 64, KvElement::BF16);
    let need = plan.page_need(&layout, 131_072, 16);
    assert!(need > 9 << 30 && need < plan.page_bytes, "{need}");
}
