//! Figures that can be worked out by hand, and two back ends.

use super::*;

#[test]
fn figures_are_those_worked_out_by_hand() {
    let mut gathering = Gathering::new(false);
    // Probabilities 1/2, 1/4, 1/4 are expected, and 1/4, 1/2, 1/4 found.
    let (half, quarter) = (0.5_f32.ln(), 0.25_f32.ln());
    gathering.add(&[quarter, half, quarter], &[half, quarter, quarter], Some(0));
    gathering.add(&[5.0, 0.0, 0.0], &[5.0, 0.0, 0.0], None);
    let found = gathering.finish();
    assert_eq!((found.positions, found.same_best, found.clear), (2, 1, 1));
    assert!(found.wrong.is_empty() && found.largest_logit == 5.0);
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    // The loss of a token of probability 1/4 is the logarithm of 4.
    near(found.perplexity[0], 4.0);
    near(found.perplexity[1], 2.0);
    // (1/2 - 1/4) ln 2 in the first position, nothing in the second.
    near(found.mean_divergence, 0.25 * 2.0_f64.ln() / 2.0);
    near(f64::from(found.largest_difference), 2.0_f64.ln());
    near(found.rms_difference, 2.0_f64.ln() * (2.0_f64 / 6.0).sqrt());
}

#[test]
fn what_is_no_number_does_not_agree() {
    let mut gathering = Gathering::new(false);
    gathering.add(&[f32::NAN, 0.0], &[1.0, 0.0], Some(1));
    let found = gathering.finish();
    assert!(!found.agrees() && found.largest_difference.is_nan());
    assert!(!Gathering::new(true).finish().agrees(), "nothing was compared");
}
