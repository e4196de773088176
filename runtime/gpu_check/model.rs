//! Decode and prefill of a whole model of the largest shape, with random weights: tokens a second, beside what the device's limits allow.

use std::time::{Duration, Instant};

use cwm_kernels::KvElement;
use cwm_kernels::cuda::PAGE_TOKENS;
use serde_json::{Value, json};

use super::model_plan::{CHUNK, ModelPlan};
use super::{Call, CheckError, Output, kv_name};
use crate::backend::{Backend, CudaBackend, Driver, Rows};
use crate::cache::PageLayout;
use crate::model::{TokenId, WeightFormat};

/// Steps of decode that are not counted: the first makes the graph, and loads code.
const WARM: usize = 3;
/// How often a chunk of a prompt is timed, once more for the first time.
const PREFILLS: usize = 3;
/// As long as one combination may take, however few steps that leaves.
const MOST_SECONDS: f64 = 3.0;
/// Decode that is measured ends at most so many positions before its context does.
const LAST_POSITIONS: usize = PAGE_TOKENS;

/// One model being measured.
struct Measured<'a> {
    plan: ModelPlan,
    format: WeightFormat,
    kv: KvElement,
    layout: PageLayout,
    capacity: u64,
    bandwidth: Option<f64>,
    flops: Option<f64>,
    driver: Driver<'a>,
}

/// Measures all combinations, the most important first, until there is no time left.
pub(super) fn run(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    let begun = Instant::now();
    let allowed = Duration::from_secs(call.number("seconds")?.unwrap_or(600));
    let (format, kv) = (call.weights()?, call.keys_and_values()?);
    let plan = if call.target.is_emulated() {
        ModelPlan::tiny()
    } else {
        ModelPlan::cwm_32b()
    };
    let layout = PageLayout::of(&plan.spec, PAGE_TOKENS, kv);
    let (spec, device) = (plan.spec.clone(), call.target.open(call.matrix_library()?)?);
    let mut backend = CudaBackend::random(spec, layout.clone(), format, device, plan.page_bytes)?;
    let capacity = backend.page_capacity().unwrap_or(0) as u64;
    out.print(&json!({
        "kind": "model",
        "weights": format.name(),
        "kv": kv_name(kv),
        "weight_bytes": format.weight_bytes(&plan.spec),
        "streamed_bytes": format.streamed_bytes(&plan.spec),
        "page_bytes": capacity,
        "load_seconds": begun.elapsed().as_secs_f64(),
    }))?;
    let mut measured = Measured {
        format,
        kv,
        layout,
        capacity,
        bandwidth: call.number("bandwidth")?,
        flops: call.number("flops")?,
        driver: Driver::new(&mut backend),
        plan,
    };
    for case in measured.cases() {
        if begun.elapsed() >= allowed {
            out.print(&measured.skipped(case, "no time is left"))?;
            continue;
        }
        let line = match measured.measure(case) {
            Ok(line) => line,
            Err(error) if error.is_out_of_memory() => measured.skipped(case, &error.to_string()),
            Err(error) => return Err(error),
        };
        out.print(&line)?;
    }
    Ok(())
}

/// Something to be measured.
#[derive(Clone, Copy)]
enum Case {
    Decode { context: usize, batch: usize },
    Prefill { context: usize },
}

impl Measured<'_> {
    fn cases(&self) -> Vec<Case> {
        let plan = &self.plan;
        let mut cases = Vec::new();
        for (number, context) in plan.contexts.iter().enumerate() {
            let decode = |batch: &usize| Case::Decode {
                context: *context,
                batch: *batch,
            };
            cases.extend(plan.batches.iter().map(decode));
            if number == 0 {
                let prefill = |context: &usize| Case::Prefill { context: *context };
                cases.extend(plan.prefill_contexts.iter().map(prefill));
            }
        }
        cases
    }

    fn skipped(&self, case: Case, reason: &str) -> Value {
        let mut line = self.described(case);
        line["skipped"] = json!(reason);
        line
    }

    fn described(&self, case: Case) -> Value {
        let (kind, context, batch) = match case {
            Case::Decode { context, batch } => ("decode", context, batch),
            Case::Prefill { context } => ("prefill", context, 1),
        };
        json!({
            "kind": kind,
            "weights": self.format.name(),
            "kv": kv_name(self.kv),
            "context": context,
            "batch": batch,
        })
    }

    fn measure(&mut self, case: Case) -> Result<Value, CheckError> {
        let (positions, batch) = match case {
            Case::Decode { context, batch } => (context, batch),
            Case::Prefill { context } => (context + self.plan.prefill_tokens, 1),
        };
        let needed = self.plan.page_need(&self.layout, positions, batch);
        if needed > self.capacity {
            let reason = format!(
                "pages take {needed} bytes, and beside the weights there are {} for them",
                self.capacity
            );
            return Ok(self.skipped(case, &reason));
        }
        match case {
            Case::Decode { context, batch } => self.decode(case, context, batch),
            Case::Prefill { context } => self.prefill(case, context),
        }
    }

    /// Steps of a batch whose sequences share all positions but their last.
    fn decode(&mut self, case: Case, context: usize, batch: usize) -> Result<Value, CheckError> {
        let shared = context - LAST_POSITIONS;
        self.driver.clear();
        self.driver.suppose(&self.tokens(0, shared), CHUNK)?;
        self.driver.fork(batch);
        let begun = Instant::now();
        let mut seconds = Vec::new();
        let mut finite = true;
        for step in 0..WARM + self.plan.steps {
            let tokens = self.tokens(shared + step, batch);
            let started = Instant::now();
            // Its end is the logits' arrival.
            let output = self.driver.decode(&tokens)?;
            if step >= WARM {
                seconds.push(started.elapsed().as_secs_f64());
            }
            finite &= output.logits.iter().all(|logit| logit.is_finite());
            if !seconds.is_empty() && begun.elapsed().as_secs_f64() > MOST_SECONDS {
                break;
            }
        }
        let rounds = seconds.len();
        let (plan, format, kv) = (&self.plan, self.format, self.kv);
        let median = median(seconds);
        let bytes = plan.decode_bytes(format, kv, shared);
        let unshared = bytes + (batch as u64 - 1) * plan.kv_bytes(shared, kv);
        let flops = plan.decode_flops(shared, batch);
        let mut line = self.described(case);
        line["steps"] = json!(rounds);
        line["shared_positions"] = json!(shared);
        line["seconds"] = json!(median);
        line["tokens_per_second"] = json!(batch as f64 / median);
        line["logit_bytes_to_host"] = json!(batch * plan.spec.vocabulary * 4);
        // All of these are of one step. A prefix that is read for each sequence again has the second limit.
        line["bytes"] = json!(bytes);
        line["bytes_unshared"] = json!(unshared);
        line["flops"] = json!(flops);
        self.add_limits(&mut line, bytes, flops, median, batch);
        if let Some(least) = self.least_seconds(unshared, flops) {
            line["limit_unshared"] = json!(batch as f64 / least);
        }
        checked(line, finite)
    }

    /// A chunk of a prompt behind a context.
    fn prefill(&mut self, case: Case, context: usize) -> Result<Value, CheckError> {
        let rows = self.plan.prefill_tokens;
        let tokens = self.tokens(context, rows);
        let mut seconds = Vec::new();
        let mut finite = true;
        for round in 0..=PREFILLS {
            self.driver.clear();
            self.driver.suppose(&self.tokens(0, context), CHUNK)?;
            let started = Instant::now();
            self.driver.feed(&tokens, rows, Rows::Last, |logits| {
                finite &= logits.iter().all(|logit| logit.is_finite());
            })?;
            if round > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
        let rounds = seconds.len();
        let (plan, median) = (&self.plan, median(seconds));
        let bytes = plan.decode_bytes(self.format, self.kv, context);
        let flops = plan.flops(rows, context + rows, 1);
        let mut line = self.described(case);
        line["rounds"] = json!(rounds);
        line["tokens"] = json!(rows);
        line["seconds"] = json!(median);
        line["tokens_per_second"] = json!(rows as f64 / median);
        line["bytes"] = json!(bytes);
        line["flops"] = json!(flops);
        line["flops_per_second"] = json!(flops as f64 / median);
        self.add_limits(&mut line, bytes, flops, median, rows);
        checked(line, finite)
    }

    fn add_limits(&self, line: &mut Value, bytes: u64, flops: u64, seconds: f64, tokens: usize) {
        if let Some(least) = self.least_seconds(bytes, flops) {
            line["limit"] = json!(tokens as f64 / least);
            line["share_of_limit"] = json!(least / seconds);
        }
    }

    /// As long as the device takes at least; `None` when its limits are not known.
    fn least_seconds(&self, bytes: u64, flops: u64) -> Option<f64> {
        let (bandwidth, operations) = self.bandwidth.zip(self.flops)?;
        Some((bytes as f64 / bandwidth).max(flops as f64 / operations))
    }

    /// Some tokens.
    fn tokens(&self, first: usize, count: usize) -> Vec<TokenId> {
        let token = |position: usize| (position * 7919 + 13) % self.plan.spec.vocabulary;
        (first..first + count)
            .map(|position| token(position) as TokenId)
            .collect()
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The times of a model that computes no numbers mean nothing.
fn checked(line: Value, finite: bool) -> Result<Value, CheckError> {
    if finite {
        return Ok(line);
    }
    Err(CheckError::Failed(format!("logits are no numbers: {line}")))
}
