//! The plan for CWM's published shape against figures that were worked out by hand, and what must hold for any.

use super::*;
use crate::model::{
    Architecture, Attention, LayerSpec, Rope, RopeLayout, RopeScaling, TensorRole, WeightFormat,
};

const GIB: u64 = 1 << 30;

/// CWM 32B; `last` is whether the last layer attends to everything too, as in one of the configurations in circulation.
fn cwm(last: bool) -> ModelSpec {
    let attention = |layer: usize| match layer {
        layer if layer % 4 == 0 || last && layer == 63 => Attention::Full,
        _ => Attention::Window(8192),
    };
    ModelSpec {
        architecture: Architecture::Cwm,
        layers: (0..64)
            .map(|layer| LayerSpec {
                attention: attention(layer),
            })
            .collect(),
        hidden: 6144,
        intermediate: 21504,
        vocabulary: 128_256,
        context: 131_072,
        heads: 48,
        kv_heads: 8,
        head_dim: 128,
        norm_epsilon: 1e-5,
        rope: Rope {
            theta: 1e6,
            layout: RopeLayout::HalfSplit,
            scaling: RopeScaling::None,
        },
        qkv_bias: false,
        tied_head: false,
    }
}

fn near(found: u64, gigabytes: f64, tolerance: f64) {
    let found = found as f64 / 1e9;
    assert!((found - gigabytes).abs() < tolerance, "{found} for {gigabytes}");
}

#[test]
fn weights_of_cwm_take_what_was_worked_out_for_each_format() {
    let spec = cwm(false);
    let elements = |role: &TensorRole| spec.shape(*role).iter().product::<usize>();
    let parameters: usize = spec.roles().iter().map(elements).sum();
    assert_eq!(parameters, 32_581_097_472);
    for (format, resident, streamed) in [
        (WeightFormat::Bf16, 65.16, 63.58),
        (WeightFormat::Fp8, 33.37, 31.79),
        (WeightFormat::Int4, 18.35, 16.77),
    ] {
        // The figures leave the scales of rows and the norms out.
        near(format.weight_bytes(&spec), resident, 0.03);
        near(format.streamed_bytes(&spec), streamed, 0.03);
    }
}

#[test]
fn pages_of_cwm_take_what_was_worked_out_for_each_context() {
    let memory = |last, element| ModelMemory::new(&cwm(last), 0, element);
    for (last, element, prompt, gib) in [
        (false, KvElement::BF16, 131_072, 9.5),
        (false, KvElement::E4M3, 131_072, 4.75),
        (true, KvElement::BF16, 131_072, 9.97),
        (true, KvElement::E4M3, 131_072, 4.98),
        (false, KvElement::BF16, 65_536, 5.5),
        (false, KvElement::BF16, 8192, 2.0),
        (false, KvElement::E4M3, 8192, 1.0),
    ] {
        let memory = memory(last, element);
        let load = |samples| Load {
            prompt: prompt - 64,
            new: 64,
            samples,
            shared: false,
        };
        let (one, two) = (memory.plan(load(1)).pages, memory.plan(load(2)).pages);
        // Each further sequence; what is computed at once and what can be taken back come on top of the first.
        let further = (two - one) as f64 / GIB as f64;
        assert!(
            further >= gib - 0.01 && further < gib * 1.02 + 0.03,
            "{last} {element:?} {prompt}: {further} for {gib}"
        );
        assert!(one >= two - one);
    }
}

/// How many samples of 8k of their own share a prefix of 131k, and how many whole sequences have nothing in common, in what 75.8 GiB
/// leave beside the weights.
#[test]
fn rollouts_of_cwm_fit_as_often_as_was_worked_out() {
    let budget = (75.8 * GIB as f64) as u64;
    for (format, element, rollouts, independent) in [
        (WeightFormat::Bf16, KvElement::BF16, 3, 1),
        (WeightFormat::Bf16, KvElement::E4M3, 10, 3),
        (WeightFormat::Fp8, KvElement::BF16, 17, 4),
        (WeightFormat::Fp8, KvElement::E4M3, 40, 9),
        (WeightFormat::Int4, KvElement::BF16, 24, 5),
        (WeightFormat::Int4, KvElement::E4M3, 54, 11),
    ] {
        let spec = cwm(true);
        let mut memory = ModelMemory::new(&spec, format.weight_bytes(&spec), element);
        // The budget is what is left for weights and pages.
        memory.workspace = 0;
        let shared = Load {
            prompt: 131_072,
            new: 8192,
            samples: 1,
            shared: true,
        };
        let found = memory.most_samples(shared, budget);
        assert!(
            found.abs_diff(rollouts) <= 1,
            "{format:?} {element:?}: {found} for {rollouts}"
        );
        let whole = Load {
            prompt: 131_008,
            new: 64,
            samples: 1,
            shared: false,
        };
        let found = memory.most_samples(whole, budget);
        assert!(
            found.abs_diff(independent) <= 1,
            "{format:?} {element:?}: {found} for {independent}"
        );
    }
}

#[test]
fn the_most_samples_are_the_last_that_fit_and_sharing_never_takes_more() {
    let spec = cwm(false);
    let memory = ModelMemory::new(&spec, WeightFormat::Int4.weight_bytes(&spec), KvElement::BF16);
    let mut last = usize::MAX;
    for prompt in [1, 100, 4096, 60_000, 131_000] {
        let load = |samples, shared| Load {
            prompt,
            new: 64,
            samples,
            shared,
        };
        for shared in [false, true] {
            let most = memory.most_samples(load(1, shared), 80 * GIB);
            assert!(memory.plan(load(most, shared)).total() <= 80 * GIB);
            assert!(
                memory.plan(load(most + 1, shared)).total() > 80 * GIB,
                "{prompt} {shared}"
            );
            if !shared {
                assert!(most <= last, "a longer context leaves room for more");
                last = most;
            }
        }
        for samples in [1, 2, 16] {
            let [apart, together] = [false, true].map(|shared| memory.plan(load(samples, shared)).pages);
            assert!(together <= apart, "{prompt} {samples}: {together} {apart}");
        }
    }
    assert_eq!(
        memory.most_samples(
            Load {
                prompt: 8,
                new: 8,
                samples: 1,
                shared: true
            },
            16 * GIB
        ),
        0
    );
}

#[test]
fn a_refusal_has_the_numbers_and_the_way_out() {
    let spec = cwm(false);
    let load = Load {
        prompt: 131_000,
        new: 72,
        samples: 4,
        shared: false,
    };
    let plan = ModelMemory::new(&spec, WeightFormat::Bf16.weight_bytes(&spec), KvElement::BF16).plan(load);
    let error = plan.fits(80 * GIB).unwrap_err();
    assert!(error.advice().contains("shorter context"), "{error:?}");
    let text = error.to_string();
    for words in [
        "weights 60.7 GiB",
        "keys and values 38.",
        "the device has 80.0 GiB",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let error = plan.fits(24 * GIB).unwrap_err();
    assert!(error.advice().contains("cwm model quantize"), "{error:?}");
    assert_eq!(plan.fits(plan.total()), Ok(()));
}
