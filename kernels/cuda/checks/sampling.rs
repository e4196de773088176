//! Sampling against a vocabulary that is really sorted, with the engine's generator.

use super::finding::{Finding, ensure, near, same};
use super::random::Random;
use super::shape::ModelShape;
use super::subject::{Memory, Subject};
use crate::cuda::{NO_TOKEN, PenaltyArguments, SampleArguments, SampleRow};

/// All tokens as likely as they are.
pub(super) const PLAIN: SampleRow = SampleRow {
    seed: 7,
    sequence: 0,
    position: 0,
    temperature: 1.0,
    top_p: 1.0,
    min_p: 0.0,
    top_k: 0,
};

/// Philox-4x32-10 for a counter and a key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let first = u64::from(counter[0]) * 0xd251_1f53;
        let second = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

fn uniform(row: &SampleRow) -> f64 {
    let halves = |number: u64| [number as u32, (number >> 32) as u32];
    let [a, b] = halves(row.position);
    let [c, d] = halves(row.sequence);
    let [first, second, ..] = philox([a, b, c, d], halves(row.seed));
    ((u64::from(second) << 32 | u64::from(first)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The tokens that may be drawn: the one that the draw falls on, and its neighbours where it falls next to their edge.
fn expected(logits: &[f32], row: &SampleRow) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let logit = |token: &u32| logits[*token as usize];
    order.sort_by(|a, b| logit(b).total_cmp(&logit(a)).then(a.cmp(b)));
    if row.temperature == 0.0 {
        return vec![order[0]];
    }
    let distance = |token: &u32| f64::from((logit(token) - logit(&order[0])) / row.temperature);
    let mut kept = order.len();
    if row.top_k > 0 {
        kept = kept.min(row.top_k as usize);
    }
    // Of so many of the first tokens.
    let masses = std::iter::once(0.0).chain(order.iter().scan(0.0, |sum, token| {
        *sum += distance(token).exp();
        Some(*sum)
    }));
    let masses: Vec<f64> = masses.collect();
    let mass = |count: usize| masses[count];
    if row.top_p < 1.0 {
        let wanted = mass(kept) * f64::from(row.top_p);
        kept = (1..=kept)
            .find(|count| mass(*count) >= wanted - 1e-9)
            .unwrap_or(kept);
    }
    if row.min_p > 0.0 {
        let least = f64::from(row.min_p.ln());
        kept = kept.min(order.iter().filter(|token| distance(token) >= least).count());
    }
    let wanted = mass(kept) * uniform(row);
    let close = mass(kept) * 1e-5;
    let candidates = (0..kept).filter(|at| mass(*at) <= wanted + close && mass(at + 1) >= wanted - close);
    candidates.map(|at| order[at]).collect()
}

fn sample(
    subject: &Subject,
    logits: &[Vec<f32>],
    rows: &[SampleRow],
) -> Result<(Vec<u32>, Vec<f32>), Finding> {
    let vocabulary = logits.first().map_or(0, Vec::len);
    let memory = Memory::of_f32(subject, &logits.concat())?;
    let parameters = Memory::of_bytes(subject, &row_bytes(rows))?;
    let tokens = Memory::empty(subject, rows.len() * 4)?;
    let logprobs = Memory::empty(subject, rows.len() * 4)?;
    let arguments = SampleArguments {
        logits: memory.pointer(),
        rows: parameters.pointer(),
        tokens: tokens.pointer(),
        logprobs: logprobs.pointer(),
        vocabulary: vocabulary as u32,
        unused: 0,
    };
    subject.run(&arguments.launch(rows.len())?, &[&tokens, &logprobs])?;
    Ok((tokens.u32s()?, logprobs.f32s()?))
}

/// Rows as kernels take them.
pub(super) fn row_bytes(rows: &[SampleRow]) -> Vec<u8> {
    let bytes = rows.iter().flat_map(|row| {
        let numbers = [row.seed, row.sequence, row.position].map(u64::to_le_bytes);
        let floats = [row.temperature, row.top_p, row.min_p].map(f32::to_le_bytes);
        [
            numbers.concat(),
            floats.concat(),
            row.top_k.to_le_bytes().to_vec(),
        ]
        .concat()
    });
    bytes.collect()
}

/// Parameters of every kind, each with a draw of its own.
fn parameters(random: &mut Random) -> Vec<SampleRow> {
    let seed = random.next();
    let kinds = [
        SampleRow {
            temperature: 0.0,
            ..PLAIN
        },
        PLAIN,
        SampleRow {
            temperature: 0.3,
            ..PLAIN
        },
        SampleRow {
            temperature: 3.0,
            top_k: 5,
            ..PLAIN
        },
        SampleRow { top_k: 1, ..PLAIN },
        SampleRow { top_p: 0.7, ..PLAIN },
        SampleRow { top_p: 1e-6, ..PLAIN },
        SampleRow { min_p: 0.2, ..PLAIN },
        SampleRow {
            temperature: 1.7,
            top_k: 40,
            top_p: 0.9,
            min_p: 0.05,
            ..PLAIN
        },
    ];
    let rows = (0..2_u64).flat_map(|draw| {
        kinds.iter().zip(0..).map(move |(kind, number)| SampleRow {
            position: draw << 33 | number,
            sequence: draw * 5,
            seed,
            ..*kind
        })
    });
    rows.collect()
}

/// Draws of all kinds from rounded logits, so that there are ties.
fn check_draws(subject: &Subject, vocabulary: usize, random: &mut Random) -> Result<(), Finding> {
    let rows = parameters(random);
    let row = |random: &mut Random| {
        (0..vocabulary)
            .map(|_| (random.normal(3.0) * 4.0).round() / 4.0)
            .collect()
    };
    let logits: Vec<Vec<f32>> = rows.iter().map(|_| row(random)).collect();
    let (tokens, logprobs) = sample(subject, &logits, &rows)?;
    for (((logits, row), token), logprob) in logits.iter().zip(&rows).zip(&tokens).zip(&logprobs) {
        let expected = expected(logits, row);
        ensure!(
            expected.contains(token),
            "{row:?} of {vocabulary}: {token} is none of {expected:?}"
        );
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let right = f64::from(logits[*token as usize]) - sum.ln();
        near("a token's logprob", &[*logprob], &[right as f32], 1e-4, 1e-4)?;
    }
    Ok(())
}

pub(super) fn draws_are_those_of_the_sorted_vocabulary(subject: &Subject) -> Result<(), Finding> {
    same(
        "the generator here",
        &philox([0; 4], [0; 2]),
        &[0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
    )?;
    let mut random = subject.random(40);
    for vocabulary in [1, 33, 700] {
        check_draws(subject, vocabulary, &mut random)?;
    }
    Ok(())
}

pub(super) fn draws_from_a_large_models_vocabulary_are_right(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(41);
    check_draws(subject, ModelShape::CWM_32B.vocabulary, &mut random)
}

pub(super) fn rows_with_broken_logits_have_no_token(subject: &Subject) -> Result<(), Finding> {
    let best = SampleRow {
        temperature: 0.0,
        ..PLAIN
    };
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut logits = vec![vec![0.5; 40]; 2];
        logits[0][37] = broken;
        let (tokens, _) = sample(subject, &logits, &[PLAIN, best])?;
        same("tokens", &tokens, &[NO_TOKEN, 0])?;
    }
    Ok(())
}

pub(super) fn penalties_change_single_logits(subject: &Subject) -> Result<(), Finding> {
    let before = [1.0, -2.0, 3.0, f32::NAN, 0.0, 6.0, f32::MAX, 8.0, 9.0, 10.0];
    let logits = Memory::of_f32(subject, &before)?;
    let places = Memory::of_u32(subject, &[0, 0, 0, 1, 0, 3, 1, 1, 1, 4])?;
    let amounts = Memory::of_f32(subject, &[2.0, 0.0, 2.0, 0.5, 2.0, 0.0, 1e-30, 0.0, 1.0, 3.5])?;
    let arguments = PenaltyArguments {
        logits: logits.pointer(),
        places: places.pointer(),
        amounts: amounts.pointer(),
        vocabulary: 5,
        count: 5,
    };
    subject.run(&arguments.launch()?, &[&logits])?;
    let after = logits.f32s()?;
    ensure!(after[3].is_nan(), "NaN has become a number");
    same("logits", &after[..3], &[0.5, -4.5, 3.0])?;
    same("logits", &after[4..], &[0.0, 6.0, f32::MAX, 8.0, 9.0, 6.5])
}
