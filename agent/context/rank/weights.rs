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
        1.877,  // uses words of the issue
        2.257,  // uses names of the issue
        0.970,  // defines names of the issue
        0.671,  // has words of the issue in its definitions
        1.653,  // has words of the issue in its path
        4.000, // is named in the issue: set by hand, for the issues that were fitted on name few paths in their prose
        2.319, // is in a traceback of the issue
        1.000, // is named as a module in the issue: set by hand, as those that were fitted on name packages
        2.000, // is named by failing tests: set by hand, for nothing of failing tests was fitted on
        1.825, // is imported by what is named
        1.350, // is linked to likely files
        0.396, // changed together with likely files
        2.474, // holds the likeliest passages
        -0.800, // is much used
        -0.109, // changed often lately
        -2.809, // is a test
        -2.866, // is no code
        2.488, // uses words of the title
    ],
    bias: -9.318,
};

/// Of a passage.
const PASSAGES: Weights<{ PASSAGE_SIGNALS.len() }> = Weights {
    each: [
        1.074,  // uses words of the issue
        0.576,  // uses names of the issue
        0.506,  // is named
        0.189,  // has words of the issue in its name
        0.903,  // its class is named
        1.478,  // a line of it is named
        1.347,  // is used by likely passages
        1.024,  // is its file's likeliest
        2.825,  // is in a likely file
        0.269,  // is a function
        0.593,  // is not in a function or a class
        1.477,  // is long
        -0.656, // is short
        -0.977, // is a test
        -0.190, // uses likely passages
        0.358,  // has a likely passage's name
        0.592,  // is in a class with a likely passage
        -1.924, // is in a long file
        -2.972, // is in a file behind many
        1.835,  // uses words of the title
        1.309,  // has words of the title in its name
        1.095,  // its class has words of the title in its name
    ],
    bias: -5.896,
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
