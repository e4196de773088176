//! Measurements can be made: every launch is possible, and numbers come out.

use std::time::Duration;

use cwm_kernels::cuda::checks::speed::{Budget, Plan, measure};

use crate::support::subject;

#[test]
fn everything_of_a_plan_is_measured() {
    let mut told = 0;
    let budget = Budget {
        whole: Duration::from_secs(600),
        rounds: 1,
        round: Duration::ZERO,
    };
    let table = measure(&subject(0), &Plan::TINY, budget, &mut |_| told += 1).unwrap();
    assert_eq!(table.left_out, [""; 0]);
    assert_eq!(told, table.rows.len());
    for row in &table.rows {
        assert!(row.seconds > 0.0 && row.bytes > 0, "{row:?}");
        assert!(
            row.bytes_per_second > 0.0 && row.bytes_per_second.is_finite(),
            "{row:?}"
        );
        assert!(
            row.share_of_limit > 0.0 && row.share_of_limit.is_finite(),
            "{row:?}"
        );
    }
    for kernel in [
        "copy_pages",
        "gemm_bf16",
        "skinny_q4_k_16",
        "decode_fp8_16 + merge_splits",
        "prefill_bf16_16",
        "dequantise_q6_k",
        "norm_fp8",
        "rope_bf16_16",
        "silu_gate",
        "embedding",
        "sample",
    ] {
        assert!(
            table.rows.iter().any(|row| row.kernel == kernel),
            "{kernel} was not measured"
        );
    }
    let text = serde_json::to_string(&table).unwrap();
    assert!(text.contains("\"share_of_limit\":1.0"));
}

#[test]
fn what_there_is_no_time_for_is_left_out() {
    let budget = Budget {
        whole: Duration::ZERO,
        rounds: 1,
        round: Duration::ZERO,
    };
    let table = measure(&subject(0), &Plan::TINY, budget, &mut |_| {}).unwrap();
    // The limits.
    assert_eq!(table.rows.len(), 2);
    assert!(table.left_out.len() > 50);
}
