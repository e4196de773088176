//! The definition of a product with float weights, in plain Rust.

use super::{Call, LANES, Stored};
use crate::cpu::packed::encoding::TILE_ROWS;

/// Multiplies `lanes` rows of weights by every row of activations.
pub(super) fn tile<S: Stored>(call: &Call<'_>, lanes: usize, out: &mut [[f32; TILE_ROWS]]) {
    for (row, out) in out.iter_mut().enumerate() {
        for (lane, out) in out[..lanes].iter_mut().enumerate() {
            *out = dot::<S>(call.weight_row(lane), call.activation_row(row));
        }
    }
}

fn dot<S: Stored>(weights: &[u8], activations: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (weights, activations) in weights.chunks(LANES * S::SIZE).zip(activations.chunks(LANES)) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let weight = weights.get(lane * S::SIZE..).map_or(0.0, S::read);
            let activation = activations.get(lane).copied().unwrap_or(0.0);
            *sum = weight.mul_add(activation, *sum);
        }
    }
    for half in [8, 4, 2, 1] {
        let (low, high) = sums.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
    }
    sums[0]
}
