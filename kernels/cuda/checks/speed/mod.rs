//! How fast kernels are: times on a device, beside what it can do at best.
//!
//! The limits are measured too, by kernels of ours: bytes moved a second by a long copy, and multiplications with additions by a large product
//! (two operations each). Times are of the device, without the work of starting launches, since each round is one graph; but for products by a
//! matrix library, which are launched one by one. Numbers are random, and nobody looks at results.

mod attention;
mod products;
mod rows;
mod stage;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::shape::ModelShape;
use super::subject::Subject;
use stage::Stage;

/// How fast something is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The kernel, or the kernels that belong together.
    pub kernel: String,
    /// What it was run on.
    pub shape: String,
    /// The time of one run: the median of the rounds.
    pub seconds: f64,
    /// What has to be read and written at least.
    pub bytes: u64,
    /// Multiplications and additions; 0 where they do not matter.
    pub flops: u64,
    /// `bytes` by `seconds`.
    pub bytes_per_second: f64,
    /// `flops` by `seconds`.
    pub flops_per_second: f64,
    /// The time that the limits leave possible for the bytes, or for the operations if that is longer, by `seconds`. May be above 1 where
    /// what is read lies in a cache, or a matrix library is faster than our own product.
    pub share_of_limit: f64,
}

/// What a device can do at best, as far as our kernels get.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Read and written together.
    pub bytes_per_second: f64,
    /// Of products of bf16.
    pub flops_per_second: f64,
}

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The device's name.
    pub device: String,
    /// What the shares are of.
    pub limits: Limits,
    /// In the order in which it was measured; the first two are the limits'.
    pub rows: Vec<Measurement>,
    /// What was not measured, and why: too little memory or time.
    pub left_out: Vec<String>,
}

/// How long measuring may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// All of it; what is not measured by then is left out.
    pub whole: Duration,
    /// How often each measurement is made; the median counts. 0 is 1.
    pub rounds: usize,
    /// About as long as each of a measurement's rounds takes, if that takes more than one run.
    pub round: Duration,
}

impl Budget {
    /// What a large GPU needs.
    pub const MINUTE_AND_A_HALF: Budget = Budget {
        whole: Duration::from_secs(90),
        rounds: 5,
        round: Duration::from_millis(15),
    };
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The model whose shapes they are.
    pub model: ModelShape,
    /// Memory for weights and pages; less if the device has less.
    pub pool_bytes: u64,
    /// What is copied to measure the limit, and the pages of that copy.
    pub copied_bytes: u64,
    /// As of `copied_bytes`.
    pub copied_page_bytes: u64,
    /// Rows, outputs and columns of the product that measures the limit.
    pub side: usize,
    /// What is read again is read only after so many other bytes, so that it is in no cache.
    pub rotation_bytes: u64,
    /// Rows of products of few rows.
    pub few_rows: &'static [usize],
    /// Rows of products of many rows.
    pub many_rows: &'static [usize],
    /// Positions that a row of decode attention may see.
    pub decode_contexts: &'static [usize],
    /// Positions that the last row of prefill attention may see.
    pub prefill_contexts: &'static [usize],
    /// Rows of prefill attention.
    pub prefill_rows: usize,
    /// Layers a page; measurements go from one to the next.
    pub page_layers: usize,
}

impl Plan {
    /// The largest model's. Takes 6 GiB for weights and pages, and up to 1 GiB besides.
    pub const CWM_32B: Plan = Plan {
        model: ModelShape::CWM_32B,
        pool_bytes: 6 << 30,
        copied_bytes: 2 << 30,
        copied_page_bytes: 1 << 20,
        side: 8192,
        rotation_bytes: 512 << 20,
        few_rows: &[1, 8, 16, 64],
        many_rows: &[512, 2048],
        decode_contexts: &[8 << 10, 32 << 10, 128 << 10],
        prefill_contexts: &[8 << 10, 32 << 10],
        prefill_rows: 2048,
        page_layers: 8,
    };

    /// What the emulation can do in seconds, to see that everything can be launched.
    pub const TINY: Plan = Plan {
        model: ModelShape::TINY,
        pool_bytes: 4 << 20,
        copied_bytes: 64 << 10,
        copied_page_bytes: 4 << 10,
        side: 64,
        rotation_bytes: 0,
        few_rows: &[1, 9],
        many_rows: &[20],
        decode_contexts: &[70, 300],
        prefill_contexts: &[150],
        prefill_rows: 20,
        page_layers: 2,
    };
}

/// Measures everything, what matters most first. `each` is told of each row as soon as it is there.
///
/// # Errors
/// [`Finding`] when the device fails, or a launch is refused. Too little memory is an error only for the limits.
pub fn measure(
    subject: &Subject,
    plan: &Plan,
    budget: Budget,
    each: &mut dyn FnMut(&Measurement),
) -> Result<Table, Finding> {
    let mut stage = Stage::new(subject, plan, budget, each)?;
    products::limits(&mut stage)?;
    products::few_rows(&mut stage)?;
    attention::decode(&mut stage)?;
    attention::prefill(&mut stage)?;
    products::many_rows(&mut stage)?;
    products::many_rows_by_library(&mut stage)?;
    products::dequantise(&mut stage)?;
    rows::norm(&mut stage)?;
    rows::rope(&mut stage)?;
    rows::gate(&mut stage)?;
    rows::embedding(&mut stage)?;
    rows::sample(&mut stage)?;
    Ok(stage.into_table())
}
