//! What sets the samples of one run apart: how tokens are chosen, and how the question is put.

use cwm_runtime::engine::SamplingParameters;

use crate::prompts::{AnswerFormat, AskFor};

/// One sample's way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rung {
    temperature: f32,
    top_p: f32,
    ask: AskFor,
}

const fn rung(temperature: f32, top_p: f32, format: AnswerFormat, explain: bool, hint: &'static str) -> Rung {
    Rung {
        temperature,
        top_p,
        ask: AskFor {
            format,
            explain,
            hint,
        },
    }
}

/// The first is the best guess; the others leave it further and further, each in a direction of its own. Asking to repair makes small
/// models copy the bug about as often as not, asking to write again what is hidden makes them lose what was right: so both are tried.
const LADDER: &[Rung] = &[
    rung(0.0, 1.0, AnswerFormat::File, false, ""),
    rung(0.6, 0.95, AnswerFormat::Rewrite, false, ""),
    rung(0.6, 0.95, AnswerFormat::Rewrite, false, ""),
    rung(0.8, 0.95, AnswerFormat::Blocks, false, ""),
    rung(0.8, 0.95, AnswerFormat::Rewrite, false, ""),
    rung(0.8, 0.95, AnswerFormat::Blocks, false, "operators"),
    rung(1.0, 0.95, AnswerFormat::Rewrite, false, ""),
    rung(0.9, 0.95, AnswerFormat::Blocks, false, ""),
    // Who asks for more than eight is not in a hurry: each hint once.
    rung(0.8, 0.95, AnswerFormat::File, false, ""),
    rung(0.8, 0.95, AnswerFormat::Blocks, false, "edges"),
    rung(0.8, 0.95, AnswerFormat::Rewrite, false, ""),
    rung(0.8, 0.95, AnswerFormat::Blocks, false, "values"),
    rung(0.8, 0.95, AnswerFormat::File, false, "all"),
];

/// Further samples take these rungs again, from the first that is not greedy on, with seeds of their own.
fn at(index: usize) -> Rung {
    let greedy = LADDER.iter().take_while(|rung| rung.temperature == 0.0).count();
    let index = if index < LADDER.len() {
        index
    } else {
        greedy + (index - LADDER.len()) % LADDER.len().saturating_sub(greedy).max(1)
    };
    LADDER
        .get(index)
        .copied()
        .unwrap_or(rung(0.8, 0.95, AnswerFormat::Blocks, false, ""))
}

/// A request without a temperature of its own is asked again with this one: at 0 the answer would be the same.
const RETRY_TEMPERATURE: f32 = 0.7;

/// What of the sampling is the user's word, which no ladder changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fixed {
    /// The temperature. The base's top-p goes with it.
    pub temperature: bool,
    /// Top-p.
    pub top_p: bool,
}

/// How a sample's tokens are chosen: as its rung says, but for what the user has fixed. The seed stays the base's. What the model's own
/// files advise for conversations is left out: a penalty for repetitions makes a model spell names otherwise than the file does.
pub fn ladder(index: usize, base: &SamplingParameters, fixed: Fixed) -> SamplingParameters {
    if fixed.temperature {
        return base.clone();
    }
    let rung = at(index);
    SamplingParameters {
        temperature: rung.temperature,
        top_p: if fixed.top_p { base.top_p } else { rung.top_p },
        top_k: 0,
        repetition_penalty: 1.0,
        ..base.clone()
    }
}

/// How a sample's question is put.
pub(super) fn ask(index: usize) -> AskFor {
    at(index).ask
}

/// How a small model is asked anew when the tests fail with a file that it has repaired: being shown what fails it repeats itself, while
/// writing the function again is another way to the same end.
pub(super) fn ask_anew(ask: AskFor) -> Option<AskFor> {
    (ask.format == AnswerFormat::File).then_some(AskFor {
        format: AnswerFormat::Rewrite,
        ..ask
    })
}

/// How the tokens of one try are chosen. The first try of the first round has the sample's own parameters; the others have seeds of
/// their own, which follow from it.
pub(super) fn sampling(base: &SamplingParameters, round: usize, again: usize) -> SamplingParameters {
    let mut own = base.clone();
    if round == 0 && again == 0 {
        return own;
    }
    own.seed = mixed(base.seed ^ mixed(((round as u64) << 32) | again as u64));
    if again > 0 {
        own = warmer(&own);
    }
    own
}

/// The same without greed: for what another one is asked word for word.
pub(super) fn warmer(base: &SamplingParameters) -> SamplingParameters {
    let mut own = base.clone();
    if own.temperature == 0.0 {
        own.temperature = RETRY_TEMPERATURE;
        own.top_p = own.top_p.min(0.95);
    }
    own
}

/// A number in which every bit depends on all of another one's; small enough to be exact wherever JSON is read.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) & ((1 << 53) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_is_greedy_and_a_given_temperature_wins() {
        let base = SamplingParameters {
            temperature: 0.3,
            seed: 7,
            ..SamplingParameters::default()
        };
        let free = Fixed::default();
        let temperature = Fixed {
            temperature: true,
            ..free
        };
        assert_eq!(ladder(0, &base, free).temperature, 0.0);
        assert_eq!(ladder(5, &base, temperature), base);
        for index in 0..100 {
            let own = ladder(index, &base, free);
            assert_eq!(own.seed, 7);
            assert!(own.check().is_ok());
            assert_eq!(own.temperature > 0.0, index > 0, "{index}");
        }
    }

    #[test]
    fn a_given_top_p_counts_and_the_models_own_advice_does_not() {
        let base = SamplingParameters {
            top_p: 0.5,
            top_k: 20,
            repetition_penalty: 1.1,
            ..SamplingParameters::default()
        };
        let fixed = Fixed {
            top_p: true,
            ..Fixed::default()
        };
        for index in 0..10 {
            let own = ladder(index, &base, fixed);
            assert_eq!(own.top_p, 0.5);
            assert_eq!(
                (own.top_k, own.repetition_penalty),
                (0, 1.0),
                "the model's own advice"
            );
            assert_eq!(
                own.temperature,
                ladder(index, &base, Fixed::default()).temperature
            );
        }
    }

    #[test]
    fn every_try_has_a_seed_of_its_own() {
        let base = ladder(0, &SamplingParameters::default(), Fixed::default());
        assert_eq!(sampling(&base, 0, 0), base);
        let mut seeds = std::collections::BTreeSet::new();
        for round in 0..8 {
            for again in 0..8 {
                let own = sampling(&base, round, again);
                assert!(seeds.insert(own.seed), "{round} {again}");
                assert_eq!(own.temperature > 0.0, again > 0);
            }
        }
    }
}
