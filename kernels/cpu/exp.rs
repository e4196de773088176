//! The exponential function that softmax and the sigmoid use: a polynomial, the same on every processor.

use super::lanes::Lanes;

/// Below this the result is 0 (it would be smaller than the smallest normal float).
const LOWEST: f32 = -87.0;
/// Above this it is infinite.
const HIGHEST: f32 = 88.72;
/// 1.5 * 2^23: added to a small number, it rounds it to an integer, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has so few bits that its products with exponents are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x` in every lane, within 2 units in the last place; 0 below -87, infinite above 88.72, NaN for NaN.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
pub(super) unsafe fn exp<V: Lanes>(x: V) -> V {
    // SAFETY: the same promise.
    unsafe {
        let splat = |value: f32| V::splat(value);
        // x = n ln 2 + r with |r| <= ln 2 / 2.
        let shifted = x.fma(splat(std::f32::consts::LOG2_E), splat(ROUNDER));
        let n = shifted.sub(splat(ROUNDER));
        let r = n.fnma(splat(LN_2_LOW), n.fnma(splat(LN_2_HIGH), x));
        // Taylor's series to the seventh power leaves out less than 6e-9.
        let mut sum = splat(1.0 / 5040.0);
        for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            sum = sum.fma(r, splat(coefficient));
        }
        let value = sum.scale_by_low_bits(shifted);
        let value = splat(HIGHEST).pick_less(x, splat(f32::INFINITY), value);
        let outside = x.pick_less(splat(0.0), splat(0.0), x);
        splat(LOWEST).pick_less(x, value, outside)
    }
}

/// `e^x` of one number, with the bits that [`exp`] gives.
#[allow(unsafe_code, reason = "vector instructions")]
pub(super) fn exp_one(x: f32) -> f32 {
    use super::lanes::Scalar16;
    // SAFETY: plain Rust runs on every processor.
    unsafe { exp(Scalar16::splat(x)).to_array()[0] }
}

#[cfg(test)]
#[path = "exp_tests.rs"]
mod tests;
