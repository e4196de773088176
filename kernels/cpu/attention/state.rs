//! The running state of online softmax, one a query: what the keys seen so far add up to.

use super::super::exp::exp_one;
use super::super::lanes::{LANES, Lanes};

/// Where the states of several queries lie: for each `[values: head_dim rounded up to 16][sums: 16][greatest: 1, then padding]`,
/// where `values` is the sum of `e^(score - greatest) * value`, and the sixteen `sums` add up to that of `e^(score - greatest)`.
#[derive(Clone, Copy)]
pub(super) struct StateLayout {
    padded_dim: usize,
}

/// One query's state: a pointer to [`StateLayout::stride`] floats, which nobody else uses meanwhile.
#[derive(Clone, Copy)]
pub(super) struct State(pub(super) *mut f32);

impl StateLayout {
    pub(super) fn new(head_dim: usize) -> StateLayout {
        StateLayout {
            padded_dim: head_dim.next_multiple_of(LANES),
        }
    }

    /// Floats a state.
    pub(super) fn stride(self) -> usize {
        self.padded_dim + 2 * LANES
    }

    /// As before the first key.
    pub(super) fn reset(self, states: &mut [f32]) {
        for state in states.chunks_exact_mut(self.stride()) {
            state.fill(0.0);
            state[self.padded_dim + LANES] = f32::NEG_INFINITY;
        }
    }

    /// The greatest score so far.
    ///
    /// # Safety
    /// The state is valid.
    #[inline(always)]
    #[allow(unsafe_code, reason = "reads through pointers")]
    pub(super) unsafe fn greatest(self, state: State) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { *state.0.add(self.padded_dim + LANES) }
    }

    /// Where the sixteen sums lie.
    ///
    /// # Safety
    /// The state is valid.
    #[inline(always)]
    #[allow(unsafe_code, reason = "pointer arithmetic")]
    pub(super) unsafe fn sums(self, state: State) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { state.0.add(self.padded_dim) }
    }

    /// Makes `greatest` the number that all exponents are relative to.
    ///
    /// # Safety
    /// The state is valid and the processor has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector instructions")]
    pub(super) unsafe fn rebase<V: Lanes>(self, state: State, greatest: f32) {
        // SAFETY: values and sums are `padded_dim + 16` floats; the rest is the caller's promise.
        unsafe {
            let factor = exp_one(self.greatest(state) - greatest);
            *state.0.add(self.padded_dim + LANES) = greatest;
            // Multiplying by one would change nothing.
            if factor != 1.0 {
                for at in (0..self.padded_dim + LANES).step_by(LANES) {
                    let place = state.0.add(at);
                    V::load(place).mul(V::splat(factor)).store(place);
                }
            }
        }
    }

    /// Takes a later chunk's state into that of all chunks before it.
    ///
    /// # Safety
    /// Both states are valid and not the same, and the processor has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector instructions")]
    pub(super) unsafe fn merge<V: Lanes>(self, total: State, chunk: State) {
        // SAFETY: values and sums are `padded_dim + 16` floats; the rest is the caller's promise.
        unsafe {
            let (before, now) = (self.greatest(total), self.greatest(chunk));
            let greatest = if now > before { now } else { before };
            let (old, new) = (
                V::splat(exp_one(before - greatest)),
                V::splat(exp_one(now - greatest)),
            );
            *total.0.add(self.padded_dim + LANES) = greatest;
            for at in (0..self.padded_dim + LANES).step_by(LANES) {
                let kept = V::load(total.0.add(at)).mul(old);
                V::load(chunk.0.add(at)).fma(new, kept).store(total.0.add(at));
            }
        }
    }

    /// Writes the result, `head_dim` floats.
    ///
    /// # Safety
    /// The state is valid, `out` is good for `head_dim` floats and the processor has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector instructions")]
    pub(super) unsafe fn finish<V: Lanes>(self, state: State, out: *mut f32, head_dim: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = V::splat(V::load(self.sums(state)).sum());
            for at in (0..head_dim).step_by(LANES) {
                let result = V::load(state.0.add(at)).div(sum);
                if head_dim - at >= LANES {
                    result.store(out.add(at));
                } else {
                    result.store_first(out.add(at), head_dim - at);
                }
            }
        }
    }
}
