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
        2.477,  // uses words of the issue
        2.309,  // uses names of the issue
        0.725,  // defines names of the issue
        0.997,  // has words of the issue in its definitions
        2.142,  // has words of the issue in its path
        4.000, // is named in the issue: set by hand, for the issues that were fitted on name few paths in their prose
        2.245, // is in a traceback of the issue
        1.000, // is named as a module in the issue: set by hand, as those that were fitted on name packages
        2.000, // is named by failing tests: set by hand, for nothing of failing tests was fitted on
        1.841, // is imported by what is named
        1.285, // is linked to likely files
        0.582, // changed together with likely files
        2.330, // holds the likeliest passages
        -0.336, // is much used
        0.436, // changed often lately
        -3.007, // is a test
        -2.565, // is no code
    ],
    bias: -9.528,
};

/// Of a passage.
const PASSAGES: Weights<{ PASSAGE_SIGNALS.len() }> = Weights {
    each: [
        1.823,  // uses words of the issue
        0.629,  // uses names of the issue
        0.562,  // is named
        1.282,  // has words of the issue in its name
        1.488,  // its class is named
        1.215,  // a line of it is named
        1.239,  // is used by likely passages
        1.404,  // is its file's likeliest
        3.281,  // is in a likely file
        0.503,  // is a function
        0.736,  // is not in a function or a class
        2.205,  // is long
        -0.700, // is short
        -1.155, // is a test
        -0.743, // uses likely passages
        0.433,  // has a likely passage's name
        0.535,  // is in a class with a likely passage
        -2.098, // is in a long file
        -3.469, // is in a file behind many
    ],
    bias: -5.600,
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
