//! The numbers of our own rule, in natural logarithms of odds unless said otherwise.

use serde::{Deserialize, Serialize};

use super::evidence::Sign;

/// What each kind of evidence weighs. The defaults were fitted on the tuning half of the bugs of `benches/ranking`; its README says how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// All of the failing tests of the repository against none of them.
    pub failing: f64,
    /// Breaking a test that passed before, when nobody else does.
    pub passing: f64,
    /// How probable it is that an assertion that one sample wrote asks for the right thing, before anything is seen of it: from 0 to 1.
    pub validity: f64,
    /// The same for a whole script of a model that works in turns. Set by hand: the bench has none.
    pub script: f64,
    /// The same for a script that the user gave. Of those that some candidate passes nearly all ask for the right thing (`benches/ranking/written.jsonl`).
    pub given: f64,
    /// What that gains by each e-fold of samples that wrote the same test.
    pub votes: f64,
    /// How many candidates that opinion counts as.
    pub validity_strength: f64,
    /// How probable it is that a wrong patch passes an assertion: from 0 to 1.
    pub wrong_passes: f64,
    /// The same for a script: counted in `benches/ranking/written.jsonl`.
    pub wrong_passes_script: f64,
    /// What more tests of one outcome add: the exponent of their number. 0 for nothing, 1 when each counts.
    pub repetition: f64,
    /// For each e-fold of candidates with the same code.
    pub same: f64,
    /// For each e-fold of candidates that behave alike.
    pub alike: f64,
    /// That none of the candidates is right.
    pub none: f64,
    /// For each sign against a patch.
    pub sign: f64,
    /// Confidence's log-odds are what is reckoned times this and more by `shift`, so that of patches with 80 % four in five are right.
    pub sharpness: f64,
    /// See `sharpness`.
    pub shift: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Weights {
            failing: 5.0,
            passing: 1.5,
            validity: 0.225,
            script: 0.6,
            given: 0.9,
            votes: 3.0,
            validity_strength: 14.15,
            wrong_passes: 0.3,
            wrong_passes_script: 0.17,
            repetition: 0.5,
            same: 0.25,
            alike: 0.665,
            none: 1.07,
            sign: 1.0,
            sharpness: 1.0,
            shift: 0.0,
        }
    }
}

impl Weights {
    /// What a sign takes away: some say nearly all.
    pub(super) fn of_sign(&self, sign: Sign) -> f64 {
        let times = match sign {
            Sign::NoCode => 6.0,
            Sign::EndsProcess | Sign::TouchesRunner => 4.0,
            Sign::ExpectedValue | Sign::SwallowsErrors | Sign::DoesNotEnd => 2.0,
            Sign::WeakensTests | Sign::ChangesSettings | Sign::Elsewhere => 1.0,
        };
        times * self.sign
    }
}
