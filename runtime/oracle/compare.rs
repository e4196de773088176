//! How far two implementations' logits are apart, position by position.

use crate::backend::{Backend, DriveError, Driver, Rows};
use crate::formats::Checkpoint;
use crate::model::TokenId;
use crate::oracle::{Oracle, OracleError};

/// Two best logits that are further apart than this must be in the same order: no rounding of quantised activations moves them so far.
const CLEAR_MARGIN: f32 = 1.0;
/// Quantised weights: the most that the distributions may differ on average, as Kullback-Leibler divergence in nats.
const MOST_DIVERGENCE: f64 = 0.05;
/// Plain floats: the most that a logit may differ, as a share of the largest one.
const MOST_DIFFERENCE: f32 = 1e-3;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The other side.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// Our side.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// How many positions were compared.
    pub positions: usize,
    /// The largest difference of two logits.
    pub largest_difference: f32,
    /// The largest logit, by its absolute value.
    pub largest_logit: f32,
    /// The mean Kullback-Leibler divergence of our distributions from the others', in nats.
    pub mean_divergence: f64,
    /// Positions where the other implementation's two best logits are more than 1 apart.
    pub clear: usize,
    /// Those of them where our best token is another.
    pub wrong: Vec<usize>,
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

/// Compares a back end with `candle` on the same checkpoint, for a text that begins with `tokens`.
pub fn compare(
    checkpoint: &Checkpoint,
    backend: &mut dyn Backend,
    tokens: &[TokenId],
) -> Result<Comparison, CompareError> {
    let mut oracle = Oracle::load(checkpoint)?;
    let expected = oracle.logits(tokens)?;
    let mut expected = expected.iter().enumerate();
    let mut found = Comparison {
        positions: 0,
        largest_difference: 0.0,
        largest_logit: 0.0,
        mean_divergence: 0.0,
        clear: 0,
        wrong: Vec::new(),
        exact: !checkpoint.tensors.values().any(|tensor| tensor.element.is_quantised()),
    };
    Driver::new(backend).feed(tokens, tokens.len(), Rows::All, |logits| {
        if let Some((position, expected)) = expected.next() {
            found.add(position, logits, expected);
        }
    })?;
    found.mean_divergence /= found.positions.max(1) as f64;
    Ok(found)
}

impl Comparison {
    fn add(&mut self, position: usize, logits: &[f32], expected: &[f32]) {
        self.positions += 1;
        for (ours, theirs) in logits.iter().zip(expected) {
            let difference = (ours - theirs).abs();
            if difference.is_nan() || difference > self.largest_difference {
                self.largest_difference = difference;
            }
            self.largest_logit = self.largest_logit.max(theirs.abs());
        }
        self.mean_divergence += divergence(logits, expected);
        let (best, margin) = best_and_margin(expected);
        if margin > CLEAR_MARGIN {
            self.clear += 1;
            if best_and_margin(logits).0 != best {
                self.wrong.push(position);
            }
        }
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
    most + logits.iter().map(|logit| (f64::from(*logit) - most).exp()).sum::<f64>().ln()
}
