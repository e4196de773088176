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
        2.246,  // uses words of the issue
        1.898,  // uses names of the issue
        0.947,  // defines names of the issue
        0.657,  // has words of the issue in its definitions
        3.960,  // has words of the issue in its path
        4.000, // is named in the issue: set by hand, for the issues that were fitted on name few paths in their prose
        1.964, // is in a traceback of the issue
        1.000, // is named as a module in the issue: set by hand, as those that were fitted on name packages
        2.000, // is named by failing tests: set by hand, for nothing of failing tests was fitted on
        2.070, // is imported by what is named
        1.465, // is linked to likely files
        0.623, // changed together with likely files
        2.698, // holds the likeliest passages
        -1.505, // is much used
        -1.543, // changed often lately
        -4.544, // is a test
        -4.455, // is no code
        1.741, // uses words of the title
        2.286, // was changed with messages like the issue
    ],
    bias: -9.319,
};

/// Of a passage.
const PASSAGES: Weights<{ PASSAGE_SIGNALS.len() }> = Weights {
    each: [
        1.195,  // uses words of the issue
        -0.271, // uses names of the issue
        0.213,  // is named
        0.581,  // has words of the issue in its name
        1.356,  // its class is named
        1.101,  // a line of it is named
        1.038,  // is used by likely passages
        1.523,  // is its file's likeliest
        3.625,  // is in a likely file
        0.596,  // is a function
        1.382,  // is not in a function or a class
        1.999,  // is long
        -0.907, // is short
        -2.137, // is a test
        -0.357, // uses likely passages
        0.204,  // has a likely passage's name
        0.112,  // is in a class with a likely passage
        -2.121, // is in a long file
        -3.343, // is in a file behind many
        1.683,  // uses words of the title
        1.726,  // has words of the title in its name
        1.460,  // its class has words of the title in its name
    ],
    bias: -6.288,
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
