//! What is done to one element at a time: the gate of the feed-forward layer, and the residual sum.

use super::Isa;
use super::exp::exp;
use super::lanes::{Kernel, LANES, Lanes, dispatch};

/// The gate of SwiGLU: `gate = gate * sigmoid(gate) * up` (Shazeer, 2020, <https://arxiv.org/abs/2002.05202>).
///
/// # Panics
/// When the lengths differ.
pub fn silu_multiply(isa: Isa, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "a gate and what it gates have one length");
    dispatch(
        isa,
        Elementwise {
            values: gate,
            others: up,
            operation: SiluMultiply,
        },
    );
}

/// Adds `others` to `values`.
///
/// # Panics
/// When the lengths differ.
pub fn add(isa: Isa, values: &mut [f32], others: &[f32]) {
    assert_eq!(values.len(), others.len(), "two summands have one length");
    dispatch(
        isa,
        Elementwise {
            values,
            others,
            operation: Add,
        },
    );
}

#[allow(unsafe_code, reason = "vector instructions")]
trait Operation: Copy {
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn apply<V: Lanes>(self, value: V, other: V) -> V;
}

#[derive(Clone, Copy)]
struct SiluMultiply;

#[allow(unsafe_code, reason = "vector instructions")]
impl Operation for SiluMultiply {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, other: V) -> V {
        // SAFETY: the processor is the caller's promise.
        unsafe {
            let one = V::splat(1.0);
            let below = one.add(exp(V::splat(0.0).sub(value)));
            value.div(below).mul(other)
        }
    }
}

#[derive(Clone, Copy)]
struct Add;

#[allow(unsafe_code, reason = "vector instructions")]
impl Operation for Add {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, other: V) -> V {
        // SAFETY: the processor is the caller's promise.
        unsafe { value.add(other) }
    }
}

struct Elementwise<'a, O> {
    values: &'a mut [f32],
    others: &'a [f32],
    operation: O,
}

#[allow(unsafe_code, reason = "vector instructions")]
impl<O: Operation> Kernel for Elementwise<'_, O> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let length = self.values.len();
        let (whole, rest) = (length / LANES * LANES, length % LANES);
        let (values, others) = (self.values.as_mut_ptr(), self.others.as_ptr());
        // SAFETY: both slices have `length` elements, say the functions above; the processor is the caller's promise.
        unsafe {
            for at in (0..whole).step_by(LANES) {
                let result = self
                    .operation
                    .apply(V::load(values.add(at)), V::load(others.add(at)));
                result.store(values.add(at));
            }
            if rest > 0 {
                let value = V::load_first(values.add(whole), rest);
                let other = V::load_first(others.add(whole), rest);
                self.operation
                    .apply(value, other)
                    .store_first(values.add(whole), rest);
            }
        }
    }
}

#[cfg(test)]
#[path = "elementwise_tests.rs"]
mod tests;
