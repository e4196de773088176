//! What each signal counts.

use super::passages::{PASSAGE_SIGNALS, PassageSignals};
use super::signals::{FILE_SIGNALS, FileSignals};

/// A weighed sum of signals, as log-odds.
struct Weights<const N: usize> {
    each: [f64; N],
    bias: f64,
}

const FILES: Weights<{ FILE_SIGNALS.len() }> = Weights {
    each: [
        3.0, 2.0, 2.5, 1.0, 2.0, 3.0, 1.5, 2.0, 1.0, 1.5, 1.0, 2.0, 0.3, 0.5, -2.5, -2.5,
    ],
    bias: -6.0,
};

const PASSAGES: Weights<{ PASSAGE_SIGNALS.len() }> = Weights {
    each: [
        3.0, 2.0, 3.0, 1.0, 1.0, 2.5, 1.0, 1.5, 3.0, 0.5, 0.0, 0.5, -0.5, -2.0,
    ],
    bias: -8.0,
};

impl<const N: usize> Weights<N> {
    fn sum(&self, signals: &[f64; N]) -> f64 {
        self.bias + self.shares(signals).iter().sum::<f64>()
    }

    /// What each signal adds.
    fn shares(&self, signals: &[f64; N]) -> [f64; N] {
        let mut shares = self.each;
        for (share, signal) in shares.iter_mut().zip(signals) {
            *share *= signal;
        }
        shares
    }
}

/// How likely it is that a file has to be changed, as log-odds.
pub(super) fn file(signals: &FileSignals) -> f64 {
    FILES.sum(signals)
}

/// How likely it is that a passage has to be changed, as log-odds.
pub(super) fn passage(signals: &PassageSignals) -> f64 {
    PASSAGES.sum(signals)
}

/// The likelihood that log-odds stand for.
pub(super) fn likelihood(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}

/// What each signal adds to a file's log-odds.
pub(super) fn file_shares(signals: &FileSignals) -> FileSignals {
    FILES.shares(signals)
}

/// What each signal adds to a passage's log-odds.
pub(super) fn passage_shares(signals: &PassageSignals) -> PassageSignals {
    PASSAGES.shares(signals)
}
