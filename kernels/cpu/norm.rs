//! RMSNorm (Zhang and Sennrich, 2019, <https://arxiv.org/abs/1910.07467>).

use super::Isa;
use super::lanes::{Kernel, LANES, Lanes, dispatch};

/// Normalises one row: `out = values / sqrt(mean(values^2) + epsilon) * weight`. All slices have the row's length.
///
/// # Panics
/// When the lengths differ.
pub fn rms_norm(isa: Isa, values: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    assert!(
        values.len() == weight.len() && values.len() == out.len(),
        "a row, its weights and its result have one length"
    );
    dispatch(
        isa,
        RmsNorm {
            values,
            weight,
            epsilon,
            out,
        },
    );
}

struct RmsNorm<'a> {
    values: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for RmsNorm<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let length = self.values.len();
        let (whole, rest) = (length / LANES * LANES, length % LANES);
        // SAFETY: all three slices have `length` elements, says `rms_norm`; the processor is the caller's promise.
        unsafe {
            let mut squares = V::splat(0.0);
            for at in (0..whole).step_by(LANES) {
                let x = V::load(self.values.as_ptr().add(at));
                squares = x.fma(x, squares);
            }
            if rest > 0 {
                let x = V::load_first(self.values.as_ptr().add(whole), rest);
                squares = x.fma(x, squares);
            }
            let scale = V::splat(1.0 / (squares.sum() / length as f32 + self.epsilon).sqrt());
            for at in (0..whole).step_by(LANES) {
                let x = V::load(self.values.as_ptr().add(at));
                let weight = V::load(self.weight.as_ptr().add(at));
                x.mul(scale).mul(weight).store(self.out.as_mut_ptr().add(at));
            }
            if rest > 0 {
                let x = V::load_first(self.values.as_ptr().add(whole), rest);
                let weight = V::load_first(self.weight.as_ptr().add(whole), rest);
                x.mul(scale)
                    .mul(weight)
                    .store_first(self.out.as_mut_ptr().add(whole), rest);
            }
        }
    }
}
