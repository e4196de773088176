//! How far two computations of the same text are apart: logits position by position, and how well each foretells the next token.
//!
//! What enters are rows of logits, or two back ends that make them; what leaves is a [`Comparison`].

use crate::backend::{Backend, DriveError, Driver, Rows};
use crate::model::TokenId;

/// Two best logits that are further apart than this must be in the same order: no rounding of quantised activations moves them so far.
const CLEAR_MARGIN: f32 = 1.0;
/// Quantised weights: the most that the distributions may differ on average, as Kullback-Leibler divergence in nats.
const MOST_DIVERGENCE: f64 = 0.05;
/// Plain floats: the most that a logit may differ, as a share of the largest one.
const MOST_DIFFERENCE: f32 = 1e-3;
/// Positions that are computed at once.
const CHUNK: usize = 64;

/// What a comparison found. "Expected" is the other side, which is taken for the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// How many positions were compared.
    pub positions: usize,
    /// The largest difference of two logits.
    pub largest_difference: f32,
    /// The largest expected logit, by its absolute value.
    pub largest_logit: f32,
    /// The root of the mean squared difference of logits.
    pub rms_difference: f64,
    /// The mean Kullback-Leibler divergence of our distributions from the expected ones, in nats.
    pub mean_divergence: f64,
    /// Positions with the same best token.
    pub same_best: usize,
    /// Positions where the expected two best logits are more than 1 apart.
    pub clear: usize,
    /// Those of them where our best token is another.
    pub wrong: Vec<usize>,
    /// The perplexity of the text, and the expected one: of all positions whose next token is known.
    pub perplexity: [f64; 2],
    /// Whether weights are plain floats, which must agree much more closely.
    pub exact: bool,
}

impl Comparison {
    /// Whether the two agree as closely as they should.
    pub fn agrees(&self) -> bool {
        let close = if self.exact {
            self.largest_difference <= MOST_DIFFERENCE * self.largest_logit.max(1.0)
        } else {
            self.mean_divergence <= MOST_DIVERGENCE
        };
        // A difference that is not a number is none that is small.
        close && self.wrong.is_empty() && self.positions > 0
    }
}

/// Compares two back ends on a text.
///
/// # Errors
/// The first step that one of them fails at.
pub fn compare_backends(
    expected: &mut dyn Backend,
    found: &mut dyn Backend,
    tokens: &[TokenId],
    exact: bool,
) -> Result<Comparison, DriveError> {
    let mut gathering = Gathering::new(exact);
    let (mut expected, mut found) = (Driver::new(expected), Driver::new(found));
    for (number, part) in tokens.chunks(CHUNK).enumerate() {
        let mut rows = Vec::with_capacity(part.len());
        expected.feed(part, CHUNK, Rows::All, |logits| rows.push(logits.to_vec()))?;
        let mut place = 0;
        found.feed(part, CHUNK, Rows::All, |logits| {
            if let Some(expected) = rows.get(place) {
                let next = tokens.get(number * CHUNK + place + 1).copied();
                gathering.add(logits, expected, next);
            }
            place += 1;
        })?;
    }
    Ok(gathering.finish())
}

/// A comparison in the making.
pub(crate) struct Gathering {
    found: Comparison,
    squares: f64,
    logits: usize,
    losses: [f64; 2],
    foretold: usize,
}

impl Gathering {
    pub(crate) fn new(exact: bool) -> Gathering {
        let found = Comparison {
            positions: 0,
            largest_difference: 0.0,
            largest_logit: 0.0,
            rms_difference: 0.0,
            mean_divergence: 0.0,
            same_best: 0,
            clear: 0,
            wrong: Vec::new(),
            perplexity: [f64::NAN; 2],
            exact,
        };
        Gathering {
            found,
            squares: 0.0,
            logits: 0,
            losses: [0.0; 2],
            foretold: 0,
        }
    }

    /// Adds the next position; `next` is the token that comes behind it.
    pub(crate) fn add(&mut self, logits: &[f32], expected: &[f32], next: Option<TokenId>) {
        let position = self.found.positions;
        self.found.positions += 1;
        for (ours, theirs) in logits.iter().zip(expected) {
            let difference = (ours - theirs).abs();
            if difference.is_nan() || difference > self.found.largest_difference {
                self.found.largest_difference = difference;
            }
            self.found.largest_logit = self.found.largest_logit.max(theirs.abs());
            self.squares += f64::from(difference) * f64::from(difference);
        }
        self.logits += expected.len();
        self.found.mean_divergence += divergence(logits, expected);
        let (best, margin) = best_and_margin(expected);
        let same = best_and_margin(logits).0 == best;
        self.found.same_best += usize::from(same);
        if margin > CLEAR_MARGIN {
            self.found.clear += 1;
            if !same {
                self.found.wrong.push(position);
            }
        }
        if let Some(next) = next {
            self.foretold += 1;
            for (loss, row) in self.losses.iter_mut().zip([logits, expected]) {
                let logit = row.get(next as usize).copied().unwrap_or(f32::NAN);
                *loss += log_sum(row) - f64::from(logit);
            }
        }
    }

    pub(crate) fn finish(mut self) -> Comparison {
        self.found.mean_divergence /= self.found.positions.max(1) as f64;
        self.found.rms_difference = (self.squares / self.logits.max(1) as f64).sqrt();
        if self.foretold > 0 {
            self.found.perplexity = self.losses.map(|loss| (loss / self.foretold as f64).exp());
        }
        self.found
    }
}

fn best_and_margin(logits: &[f32]) -> (usize, f32) {
    let (mut best, mut most, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (index, logit) in logits.iter().enumerate() {
        if *logit > most {
            (best, second, most) = (index, most, *logit);
        } else if *logit > second {
            second = *logit;
        }
    }
    (best, most - second)
}

/// The Kullback-Leibler divergence of the distribution of `logits` from that of `expected`, in nats.
fn divergence(logits: &[f32], expected: &[f32]) -> f64 {
    let (ours, theirs) = (log_sum(logits), log_sum(expected));
    let terms = logits.iter().zip(expected).map(|(logit, expected)| {
        let (ours, theirs) = (f64::from(*logit) - ours, f64::from(*expected) - theirs);
        theirs.exp() * (theirs - ours)
    });
    terms.sum()
}

fn log_sum(logits: &[f32]) -> f64 {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + logits
        .iter()
        .map(|logit| (f64::from(*logit) - most).exp())
        .sum::<f64>()
        .ln()
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
