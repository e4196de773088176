//! From a row of logits to a token: penalties, temperature, top-k, top-p, min-p, draw; and how likely the token was.
//!
//! All filters keep the first tokens of the vocabulary in the order of descending probability (ties by id), and the draw goes
//! through that order as well. So nothing has to be sorted but the few tokens around a limit: tokens are thrown into classes by
//! their distance from the best one, and only the class in which a limit falls is put in order.

use crate::engine::draw::DrawKey;
use crate::engine::penalties::TokenHistory;
use crate::engine::{SamplingParameters, TokenLogprob, TokenLogprobs};
use crate::model::TokenId;

/// How many classes of distance from the best token there are; a class's number fits a byte.
const CLASSES: usize = 256;

/// How many tokens are looked at together in search of those of one class.
const CHUNK: usize = 64;

/// Tokens that are further than so many nats below the best share the last class. Together they weigh less than a draw can tell.
const CLASSIFIED_NATS: f32 = 64.0;

/// Logits that no token can be drawn from.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SamplingError {
    /// A logit that is no number, or infinite.
    #[error(
        "the model gave {value} as the logit of token {token}: its weights are damaged, or the arithmetic overflowed; check the file with `cwm model verify`"
    )]
    NotFinite {
        /// The token.
        token: TokenId,
        /// Its logit.
        value: f32,
    },
    /// There is none.
    #[error("the model gave no logits")]
    Empty,
}

/// Draws tokens. Its memory is reused from token to token; it keeps nothing else between them.
#[derive(Debug, Default)]
pub struct Sampler {
    penalised: Vec<f32>,
    order: Descending,
}

impl Sampler {
    /// The token that `parameters` choose from `logits` `[vocabulary]` for the sequence of that history. `sequence` and `position`
    /// key the draw together with the seed.
    pub fn sample(
        &mut self,
        logits: &[f32],
        parameters: &SamplingParameters,
        history: &TokenHistory,
        sequence: usize,
        position: usize,
    ) -> Result<TokenId, SamplingError> {
        let key = DrawKey {
            seed: parameters.seed,
            sequence: sequence as u64,
            position: position as u64,
        };
        self.choose(logits, parameters, history, key.uniform())
    }

    /// The token for a number in `[0, 1)`.
    pub(super) fn choose(
        &mut self,
        logits: &[f32],
        parameters: &SamplingParameters,
        history: &TokenHistory,
        uniform: f64,
    ) -> Result<TokenId, SamplingError> {
        check(logits)?;
        let values = if history.changes_logits() {
            self.penalised.clear();
            self.penalised.extend_from_slice(logits);
            history.apply(parameters, &mut self.penalised);
            &self.penalised
        } else {
            logits
        };
        if parameters.temperature == 0.0 {
            return argmax(values).ok_or(SamplingError::Empty);
        }
        self.order.classify(values, parameters.temperature);
        let kept = self.order.kept(values, parameters);
        self.order.at(values, kept, uniform).ok_or(SamplingError::Empty)
    }
}

/// The probabilities of a token and of the `top` best ones, from the raw logits `[vocabulary]`.
pub fn token_logprobs(logits: &[f32], token: TokenId, top: usize) -> TokenLogprobs {
    let (_, best) = extremes(logits);
    let sum: f64 = logits
        .iter()
        .map(|logit| (f64::from(*logit) - f64::from(best)).exp())
        .sum();
    let normaliser = f64::from(best) + sum.ln();
    let entry = |token: TokenId| {
        let logit = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        TokenLogprob {
            token,
            logprob: (f64::from(logit) - normaliser) as f32,
        }
    };
    let mut members: Vec<(f32, TokenId)> = Vec::new();
    if top > 0 {
        members.extend(logits.iter().zip(0..).map(|(logit, token)| (*logit, token)));
        if top < members.len() {
            members.select_nth_unstable_by(top, descending);
            members.truncate(top);
        }
        members.sort_unstable_by(descending);
    }
    TokenLogprobs {
        sampled: entry(token),
        top: members.iter().map(|(_, token)| entry(*token)).collect(),
    }
}

fn check(logits: &[f32]) -> Result<(), SamplingError> {
    if logits.is_empty() {
        return Err(SamplingError::Empty);
    }
    // Looking at all of them without a branch is faster than stopping at the first.
    if logits
        .iter()
        .fold(true, |finite, logit| finite & logit.is_finite())
    {
        return Ok(());
    }
    let odd = logits.iter().zip(0..).find(|(logit, _)| !logit.is_finite());
    odd.map_or(Ok(()), |(value, token)| {
        Err(SamplingError::NotFinite { token, value: *value })
    })
}

/// The least and the greatest value, several at a time.
fn extremes(values: &[f32]) -> (f32, f32) {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut least = [f32::INFINITY; 8];
    let mut best = [f32::NEG_INFINITY; 8];
    for chunk in chunks {
        for ((least, best), value) in least.iter_mut().zip(&mut best).zip(chunk) {
            *least = if value < least { *value } else { *least };
            *best = if value > best { *value } else { *best };
        }
    }
    (
        least.iter().chain(rest).copied().fold(f32::INFINITY, f32::min),
        best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max),
    )
}

fn argmax(values: &[f32]) -> Option<TokenId> {
    let mut best: Option<(f32, TokenId)> = None;
    for (value, token) in values.iter().copied().zip(0..) {
        if best.is_none_or(|(most, _)| value > most) {
            best = Some((value, token));
        }
    }
    best.map(|(_, token)| token)
}

fn descending(left: &(f32, TokenId), right: &(f32, TokenId)) -> std::cmp::Ordering {
    right.0.total_cmp(&left.0).then(left.1.cmp(&right.1))
}

/// The first tokens in descending order: how many, and what they weigh together.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    tokens: usize,
    mass: f64,
}

const NOTHING: Prefix = Prefix { tokens: 0, mass: 0.0 };

impl Prefix {
    fn with(self, weight: f32) -> Prefix {
        Prefix {
            tokens: self.tokens + 1,
            mass: self.mass + f64::from(weight),
        }
    }
}

fn shorter(left: Prefix, right: Prefix) -> Prefix {
    if right.tokens < left.tokens { right } else { left }
}

/// The vocabulary in the order of descending probability, as far as it has been asked for.
#[derive(Debug)]
struct Descending {
    /// Of each token, `exp((logit - best) / temperature)`.
    weights: Vec<f32>,
    /// Of each token, its class: 0 holds the best.
    classes: Vec<u8>,
    /// Of each class, its tokens and what they weigh together.
    totals: [Prefix; CLASSES],
    /// The tokens of one class in order.
    members: Vec<(f32, TokenId)>,
    /// Which class that is.
    ordered: Option<usize>,
}

impl Default for Descending {
    fn default() -> Descending {
        Descending {
            weights: Vec::new(),
            classes: Vec::new(),
            totals: [NOTHING; CLASSES],
            members: Vec::new(),
            ordered: None,
        }
    }
}

impl Descending {
    /// Weighs and classifies all tokens.
    fn classify(&mut self, values: &[f32], temperature: f32) {
        let (least, best) = extremes(values);
        let nats = ((best - least) / temperature).clamp(1e-30, CLASSIFIED_NATS);
        let classes_per_nat = (CLASSES - 1) as f32 / nats;
        let last = (CLASSES - 1) as f32;
        self.weights.clear();
        self.weights
            .extend(values.iter().map(|value| exp((value - best) / temperature)));
        self.classes.clear();
        self.classes.extend(
            values
                .iter()
                .map(|value| ((best - value) / temperature * classes_per_nat).min(last) as u8),
        );
        self.totals = [NOTHING; CLASSES];
        for (weight, class) in self.weights.iter().zip(&self.classes) {
            let total = &mut self.totals[usize::from(*class)];
            total.tokens += 1;
            total.mass += f64::from(*weight);
        }
        self.ordered = None;
    }

    /// What the filters leave.
    fn kept(&mut self, values: &[f32], parameters: &SamplingParameters) -> Prefix {
        let mut kept = Prefix {
            tokens: values.len(),
            mass: self.totals.iter().map(|total| total.mass).sum(),
        };
        if parameters.top_k > 0 && parameters.top_k < kept.tokens {
            kept = self.before(values, |before| before.tokens >= parameters.top_k);
        }
        if parameters.top_p < 1.0 {
            let wanted = kept.mass * f64::from(parameters.top_p);
            kept = shorter(kept, self.before(values, |before| before.mass >= wanted));
        }
        if parameters.min_p > 0.0 {
            kept = shorter(kept, self.at_least(values, parameters));
        }
        kept
    }

    /// The tokens with at least the share `min_p` of the best one's probability.
    fn at_least(&self, values: &[f32], parameters: &SamplingParameters) -> Prefix {
        let (_, best) = extremes(values);
        let least = parameters.min_p.ln();
        let likely = values
            .iter()
            .zip(&self.weights)
            .filter(|(value, _)| (**value - best) / parameters.temperature >= least);
        likely.fold(NOTHING, |sum, (_, weight)| sum.with(*weight))
    }

    /// The token at which a share of the mass of `kept` is passed.
    fn at(&mut self, values: &[f32], kept: Prefix, share: f64) -> Option<TokenId> {
        let wanted = kept.mass * share;
        // The last token that begins before the wanted mass is the one that holds it.
        let begun = self.before(values, |before| before.mass > wanted).tokens;
        self.number(values, begun.min(kept.tokens).max(1) - 1)
    }

    /// The tokens before the first one at which `ends` holds of all before it. Once it holds it must hold for all later ones. There
    /// is always at least one token.
    fn before(&mut self, values: &[f32], ends: impl Fn(Prefix) -> bool) -> Prefix {
        let mut before = NOTHING;
        for class in 0..CLASSES {
            let total = self.totals[class];
            let after = Prefix {
                tokens: before.tokens + total.tokens,
                mass: before.mass + total.mass,
            };
            if total.tokens == 0 || !ends(after) {
                before = after;
                continue;
            }
            self.put_in_order(class, values);
            for (_, token) in &self.members {
                if before.tokens > 0 && ends(before) {
                    return before;
                }
                before = before.with(self.weights[*token as usize]);
            }
        }
        before
    }

    /// The token of that number in descending order.
    fn number(&mut self, values: &[f32], number: usize) -> Option<TokenId> {
        let mut before = 0;
        for class in 0..CLASSES {
            let tokens = self.totals[class].tokens;
            if number < before + tokens {
                self.put_in_order(class, values);
                return self.members.get(number - before).map(|(_, token)| *token);
            }
            before += tokens;
        }
        None
    }

    fn put_in_order(&mut self, class: usize, values: &[f32]) {
        if self.ordered == Some(class) {
            return;
        }
        self.members.clear();
        let wanted = class as u8;
        // Members are few: most chunks are passed over at a glance.
        for (number, chunk) in self.classes.chunks(CHUNK).enumerate() {
            if !chunk.iter().fold(false, |any, class| any | (*class == wanted)) {
                continue;
            }
            for (place, class) in chunk.iter().enumerate() {
                let token = number * CHUNK + place;
                if *class == wanted {
                    self.members.push((values[token], token as TokenId));
                }
            }
        }
        self.members.sort_unstable_by(descending);
        self.ordered = Some(class);
    }
}

/// The exponential of a number that is not positive, to about one unit in the last place; below -87 it stays what it is there, so
/// that nothing weighs nothing. Without branches or calls, so that a compiler can do several at a time, and the same everywhere.
fn exp(x: f32) -> f32 {
    // Adding it leaves the nearest integer in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    // 355 / 512, so that a multiple of it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let mut series = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * rest + factor;
    }
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUNDER.to_bits())
        .wrapping_add(127);
    series * f32::from_bits(exponent << 23)
}

#[cfg(test)]
#[path = "sampling_tests.rs"]
mod tests;
