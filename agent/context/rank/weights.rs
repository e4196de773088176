//! What each signal counts.

use super::passages::{PASSAGE_SIGNALS, PassageSignals};
use super::signals::{FILE_SIGNALS, FileSignals};

/// A weighed sum of signals, as log-odds.
struct Weights<const N: usize> {
    each: [f64; N],
    bias: f64,
}

/// Of a file. From scripts/fit-packing, as the other.
const FILES: Weights<{ FILE_SIGNALS.len() }> = Weights {
    each: [
        2.322,  // uses words of the issue
        2.066,  // uses names of the issue
        0.607,  // defines names of the issue
        0.898,  // has words of the issue in its definitions
        2.042,  // has words of the issue in its path
        2.177,  // is named in the issue
        -0.759, // is named as a module in the issue
        2.000,  // is named by failing tests
        1.854,  // is imported by what is named
        1.316,  // is linked to likely files
        0.580,  // changed together with likely files
        2.772,  // holds the likeliest passages
        -0.407, // is much used
        0.378,  // changed often lately
        -2.935, // is a test
        -2.430, // is no code
    ],
    bias: -9.390,
};

/// Of a passage.
const PASSAGES: Weights<{ PASSAGE_SIGNALS.len() }> = Weights {
    each: [
        2.242,  // uses words of the issue
        0.972,  // uses names of the issue
        -0.050, // is named
        1.815,  // has words of the issue in its name
        1.259,  // its class is named
        1.120,  // a line of it is named
        0.0, // is used by likely passages
        0.0, // uses likely passages
        1.432,  // is its file's likeliest
        4.533,  // is in a likely file
        0.800,  // is a function
        0.876,  // is not in a function or a class
        1.887,  // is long
        -0.659, // is short
        -1.836, // is a test
    ],
    bias: -11.167,
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
