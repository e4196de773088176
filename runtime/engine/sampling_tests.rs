//! Sampling against definitions written out the long way, in f64 and with a whole sort.

use proptest::prelude::*;

use super::*;

const NEARLY_ONE: f64 = 1.0 - 1.0 / (1_u64 << 53) as f64;

/// Probabilities in descending order (ties by id) after temperature, and how many of them the filters may keep: the least and the
/// most that rounding allows.
struct Naive {
    ranked: Vec<(TokenId, f64)>,
    least: usize,
    most: usize,
}

fn naive(logits: &[f32], parameters: &SamplingParameters) -> Naive {
    const SLACK: f64 = 1e-5;
    let mut order: Vec<TokenId> = (0..logits.len() as TokenId).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
    let best = f64::from(logits[order[0] as usize]);
    let weight = |token: TokenId| {
        ((f64::from(logits[token as usize]) - best) / f64::from(parameters.temperature)).exp()
    };
    let limit = match parameters.top_k {
        0 => order.len(),
        k => k.min(order.len()),
    };
    let weights: Vec<f64> = order.iter().map(|token| weight(*token)).collect();
    let mass: f64 = weights[..limit].iter().sum();
    let kept = |slack: f64| {
        let mut before = 0.0;
        let mut kept = 0;
        while kept < limit
            && (kept == 0
                || (before < mass * (f64::from(parameters.top_p) + slack)
                    && weights[kept] >= f64::from(parameters.min_p) * (1.0 - slack)))
        {
            before += weights[kept];
            kept += 1;
        }
        kept
    };
    let all = parameters.top_p == 1.0 && parameters.min_p == 0.0;
    Naive {
        ranked: order
            .iter()
            .zip(&weights)
            .map(|(token, weight)| (*token, *weight))
            .collect(),
        least: if all { limit } else { kept(-SLACK) },
        most: if all { limit } else { kept(SLACK) },
    }
}

fn choose(logits: &[f32], parameters: &SamplingParameters, uniform: f64) -> TokenId {
    Sampler::default()
        .choose(logits, parameters, &TokenHistory::default(), uniform)
        .unwrap()
}

/// How many tokens are kept: the last of them is drawn by the greatest number there is.
fn kept(logits: &[f32], parameters: &SamplingParameters, naive: &Naive) -> usize {
    let last = choose(logits, parameters, NEARLY_ONE);
    let rank = naive.ranked.iter().position(|(token, _)| *token == last);
    rank.unwrap() + 1
}

fn parameters() -> impl Strategy<Value = SamplingParameters> {
    (
        prop_oneof![Just(1.0_f32), 0.05_f32..3.0],
        prop_oneof![Just(0_usize), 1_usize..40],
        prop_oneof![Just(1.0_f32), 0.01_f32..1.0],
        prop_oneof![Just(0.0_f32), 0.001_f32..1.0],
    )
        .prop_map(|(temperature, top_k, top_p, min_p)| SamplingParameters {
            temperature,
            top_k,
            top_p,
            min_p,
            ..SamplingParameters::default()
        })
}

fn logits() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        prop::collection::vec(-12.0_f32..12.0, 1..300),
        // Few values, so that many are equal.
        prop::collection::vec((-3_i8..3).prop_map(f32::from), 1..100),
    ]
}

proptest! {
    #[test]
    fn filters_keep_the_tokens_that_their_definitions_keep(logits in logits(), parameters in parameters()) {
        let naive = naive(&logits, &parameters);
        // Tokens that weigh less than a draw can tell from nothing cannot be seen.
        let total: f64 = naive.ranked.iter().map(|(_, weight)| weight).sum();
        prop_assume!(naive.ranked.iter().all(|(_, weight)| weight / total > 1e-14));
        let kept = kept(&logits, &parameters, &naive);
        prop_assert!((naive.least..=naive.most).contains(&kept), "{kept} of {}..={}", naive.least, naive.most);
    }

    #[test]
    fn a_draw_is_the_inverse_of_the_distribution(logits in logits(), parameters in parameters(), uniform in 0.0..1.0_f64) {
        let naive = naive(&logits, &parameters);
        prop_assume!(naive.least == naive.most);
        let kept = &naive.ranked[..naive.least];
        let mass: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let token = choose(&logits, &parameters, uniform);
        let rank = kept.iter().position(|(candidate, _)| *candidate == token);
        prop_assert!(rank.is_some(), "{token} is not kept");
        let before: f64 = kept[..rank.unwrap()].iter().map(|(_, weight)| weight).sum();
        let after = before + kept[rank.unwrap()].1;
        prop_assert!(before / mass - 1e-6 <= uniform && uniform <= after / mass + 1e-6);
    }

    #[test]
    fn logprobs_are_the_logarithm_of_softmax(logits in logits(), top in 0_usize..20) {
        let reported = token_logprobs(&logits, 0, top);
        let naive = naive(&logits, &SamplingParameters::default());
        let mass: f64 = naive.ranked.iter().map(|(_, weight)| weight).sum();
        let expected: Vec<(TokenId, f64)> = naive.ranked.iter().map(|(token, weight)| (*token, (weight / mass).ln())).collect();
        prop_assert_eq!(reported.top.len(), top.min(logits.len()));
        for (found, (token, logprob)) in reported.top.iter().zip(&expected) {
            prop_assert_eq!(found.token, *token);
            prop_assert!((f64::from(found.logprob) - logprob).abs() < 1e-5);
        }
        let own = expected.iter().find(|(token, _)| *token == 0).unwrap().1;
        prop_assert!((f64::from(reported.sampled.logprob) - own).abs() < 1e-5);
    }

    #[test]
    fn the_exponential_is_exact_to_two_units_in_the_last_place(x in -86.0_f32..=0.0) {
        let truth = f64::from(x).exp();
        prop_assert!((f64::from(exp(x)) / truth - 1.0).abs() < 2.4e-7);
    }
}

/// Pearson's statistic stays below its 99.9 % quantile.
#[test]
fn draws_of_many_positions_have_the_distribution_of_the_logits() {
    let probabilities = [0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005];
    let logits: Vec<f32> = probabilities.iter().map(|p: &f64| p.ln() as f32 + 3.0).collect();
    let mut sampler = Sampler::default();
    for (seed, sequence) in [(0, 0), (1, 0), (1, 5), (u64::MAX, 1)] {
        let parameters = SamplingParameters {
            seed,
            ..SamplingParameters::default()
        };
        let mut counts = [0_u32; 8];
        let draws = 40_000;
        for position in 0..draws {
            let history = TokenHistory::default();
            let token = sampler.sample(&logits, &parameters, &history, sequence, position);
            counts[token.unwrap() as usize] += 1;
        }
        let statistic: f64 = probabilities
            .iter()
            .zip(counts)
            .map(|(p, count)| {
                let expected = p * draws as f64;
                (f64::from(count) - expected).powi(2) / expected
            })
            .sum();
        assert!(
            statistic < 24.3,
            "seed {seed}, sequence {sequence}: {statistic} {counts:?}"
        );
    }
}

/// Draws at the same position of two samples tell nothing of each other.
#[test]
fn draws_of_two_samples_are_independent() {
    let mut sampler = Sampler::default();
    let mut table = [[0_u32; 2]; 2];
    let (logits, parameters) = ([0.0, 0.0], SamplingParameters::default());
    for position in 0..40_000 {
        let mut draw = |sequence| {
            let history = TokenHistory::default();
            let token = sampler.sample(&logits, &parameters, &history, sequence, position);
            token.unwrap() as usize
        };
        table[draw(0)][draw(1)] += 1;
    }
    let statistic: f64 = table
        .iter()
        .flatten()
        .map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0)
        .sum();
    assert!(statistic < 16.3, "{statistic} {table:?}");
}

#[test]
fn a_sampler_that_was_used_before_draws_the_same() {
    let logits: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1000) as f32 / 80.0).collect();
    let parameters = SamplingParameters {
        top_p: 0.9,
        seed: 11,
        ..SamplingParameters::default()
    };
    let mut used = Sampler::default();
    for position in 0..200 {
        let other: Vec<f32> = logits.iter().map(|logit| -logit).collect();
        let history = TokenHistory::default();
        used.sample(&other, &SamplingParameters::default(), &history, 9, position)
            .unwrap();
        let again = used.sample(&logits, &parameters, &history, 2, position);
        let fresh = Sampler::default().sample(&logits, &parameters, &history, 2, position);
        assert_eq!(again, fresh);
    }
}

#[test]
fn temperature_zero_takes_the_best_and_of_equals_the_first() {
    let greedy = SamplingParameters {
        temperature: 0.0,
        ..SamplingParameters::default()
    };
    assert_eq!(choose(&[0.5, 2.0, -1.0, 2.0], &greedy, 0.99), 1);
    assert_eq!(choose(&[-3.0, -2.0], &greedy, 0.0), 1);
}

#[test]
fn extreme_temperatures_and_logits_still_draw() {
    let logits = [f32::MIN, 0.0, f32::MAX, 1e30];
    for temperature in [f32::MIN_POSITIVE / 2.0, 1e-20, 1.0, f32::MAX] {
        let parameters = SamplingParameters {
            temperature,
            ..SamplingParameters::default()
        };
        assert_eq!(choose(&logits, &parameters, 0.1), 2, "temperature {temperature}");
    }
}

#[test]
fn penalties_follow_their_formulas() {
    let parameters = SamplingParameters {
        repetition_penalty: 2.0,
        frequency_penalty: 0.5,
        presence_penalty: 0.25,
        ..SamplingParameters::default()
    };
    let mut history = TokenHistory::new(&parameters, &[0, 1, 1]);
    [1, 2, 2].into_iter().for_each(|token| history.push(token));
    let mut logits = [4.0, -4.0, 3.0, 1.0];
    history.apply(&parameters, &mut logits);
    // In the prompt only; in the prompt and generated once; generated twice; never.
    assert_eq!(logits, [2.0, -8.0 - 0.75, 1.5 - 1.25, 1.0]);
}

#[test]
fn the_repetition_window_forgets_tokens_that_left_it() {
    let parameters = SamplingParameters {
        repetition_penalty: 2.0,
        repetition_window: 3,
        ..SamplingParameters::default()
    };
    let mut history = TokenHistory::new(&parameters, &[0, 1, 0, 2]);
    let penalised = |history: &TokenHistory| {
        let mut logits = [1.0; 5];
        history.apply(&parameters, &mut logits);
        logits.map(|logit| logit < 1.0)
    };
    assert_eq!(penalised(&history), [true, true, true, false, false]);
    history.push(3);
    assert_eq!(penalised(&history), [true, false, true, true, false]);
    history.push(4);
    assert_eq!(penalised(&history), [false, false, true, true, true]);
}

#[test]
fn a_penalised_token_loses_to_the_next() {
    let parameters = SamplingParameters {
        temperature: 0.0,
        repetition_penalty: 1.5,
        ..SamplingParameters::default()
    };
    let logits = [3.0, 2.5];
    let mut sampler = Sampler::default();
    let fresh = sampler.sample(&logits, &parameters, &TokenHistory::default(), 0, 0);
    let repeated = TokenHistory::new(&parameters, &[0]);
    assert_eq!(fresh, Ok(0));
    assert_eq!(sampler.sample(&logits, &parameters, &repeated, 0, 0), Ok(1));
}

#[test]
fn logits_that_are_no_numbers_are_refused() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for temperature in [0.0, 1.0] {
            let parameters = SamplingParameters {
                temperature,
                ..SamplingParameters::default()
            };
            let error = Sampler::default()
                .sample(&[0.0, value], &parameters, &TokenHistory::default(), 0, 0)
                .unwrap_err();
            assert!(
                matches!(error, SamplingError::NotFinite { token: 1, .. }),
                "{error}"
            );
        }
    }
    let none = Sampler::default().sample(
        &[],
        &SamplingParameters::default(),
        &TokenHistory::default(),
        0,
        0,
    );
    assert_eq!(none, Err(SamplingError::Empty));
}

#[test]
fn parameters_out_of_range_are_named() {
    let with = |change: fn(&mut SamplingParameters)| {
        let mut parameters = SamplingParameters::default();
        change(&mut parameters);
        parameters.check().map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| ()), Ok(()));
    type Change = fn(&mut SamplingParameters);
    let wrong: [(&str, Change); 9] = [
        ("temperature is -1", |p| p.temperature = -1.0),
        ("temperature is NaN", |p| p.temperature = f32::NAN),
        ("temperature is inf", |p| p.temperature = f32::INFINITY),
        ("top_p is 0", |p| p.top_p = 0.0),
        ("top_p is 1.5", |p| p.top_p = 1.5),
        ("min_p is -0.1", |p| p.min_p = -0.1),
        ("repetition_penalty is 0", |p| p.repetition_penalty = 0.0),
        ("frequency_penalty is NaN", |p| p.frequency_penalty = f32::NAN),
        ("presence_penalty is inf", |p| p.presence_penalty = f32::INFINITY),
    ];
    for (message, change) in wrong {
        let said = with(change).unwrap_err();
        assert!(said.starts_with(message), "{said}");
    }
}
