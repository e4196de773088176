//! A little of everything that a model runs, for tools that make each launch a hundred times slower.

use std::path::Path;

use cwm_kernels::KvElement;
use serde_json::json;

use super::logits::Truth;
use super::{Call, CheckError, Output, kv_name};
use crate::backend::{Driver, Rows};
use crate::model::WeightFormat;

/// Tokens of the prompt: it ends within a page, so that forks copy that.
const PROMPT: usize = 70;
/// Sequences that go on from it.
const FORKS: usize = 3;
/// Steps that they take together; the first makes the graph, the others run it.
const STEPS: usize = 4;

/// All formats of weights and pages: a prompt, a fork, some steps.
pub(super) fn run(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    let Some(folder) = call.words.first() else {
        return Err(CheckError::Usage(
            "no folder with a checkpoint is named".to_owned(),
        ));
    };
    let truth = Truth::open(Path::new(folder))?;
    let mut failed = 0;
    for weights in [None, Some(WeightFormat::Fp8), Some(WeightFormat::Int4)] {
        for kv in [KvElement::BF16, KvElement::E4M3] {
            let mut backend = truth.load(call, weights, kv)?;
            let mut driver = Driver::new(&mut backend);
            let prompt = truth.ids.get(..PROMPT).unwrap_or(&truth.ids);
            let mut finite = true;
            let mut look = |logits: &[f32]| finite &= logits.iter().all(|logit| logit.is_finite());
            driver.feed(prompt, PROMPT, Rows::Last, &mut look)?;
            driver.fork(FORKS);
            for step in 0..STEPS {
                let tokens: Vec<_> = truth.ids.iter().skip(step).take(FORKS).copied().collect();
                look(&driver.decode(&tokens)?.logits);
            }
            failed += usize::from(!finite);
            out.print(&json!({
                "kind": "short",
                "weights": weights.map_or("as stored", WeightFormat::name),
                "kv": kv_name(kv),
                "passed": finite,
            }))?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(CheckError::Failed(format!(
            "{failed} runs gave logits that are no numbers"
        ))),
    }
}
