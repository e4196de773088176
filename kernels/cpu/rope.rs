//! Rotary position embedding (Su et al., 2021, <https://arxiv.org/abs/2104.09864>).

use super::Isa;
use super::lanes::{Kernel, LANES, Lanes, dispatch};

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RopePairs {
    /// Element i with element `i + head_dim / 2`.
    HalfSplit,
    /// Element 2i with element 2i + 1.
    Interleaved,
}

/// Rotates the heads of one position: `heads` is `[heads, head_dim]`, `cos` and `sin` are `[head_dim / 2]`, of the position's angles.
/// A pair (a, b) becomes (a cos - b sin, b cos + a sin).
///
/// # Panics
/// When `head_dim` is odd or zero, or the lengths do not fit it.
pub fn rope(isa: Isa, pairs: RopePairs, head_dim: usize, cos: &[f32], sin: &[f32], heads: &mut [f32]) {
    assert!(
        head_dim > 0 && head_dim.is_multiple_of(2) && heads.len().is_multiple_of(head_dim),
        "heads are whole, and their dimension is even"
    );
    assert!(
        cos.len() == head_dim / 2 && sin.len() == head_dim / 2,
        "there is an angle for each pair"
    );
    for head in heads.chunks_exact_mut(head_dim) {
        dispatch(
            isa,
            Rotate {
                pairs,
                cos,
                sin,
                head,
            },
        );
    }
}

struct Rotate<'a> {
    pairs: RopePairs,
    cos: &'a [f32],
    sin: &'a [f32],
    head: &'a mut [f32],
}

/// Up to sixteen pairs, taken apart.
struct Pairs {
    first: [f32; LANES],
    second: [f32; LANES],
}

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for Rotate<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let half = self.cos.len();
        for at in (0..half).step_by(LANES) {
            let count = LANES.min(half - at);
            let mut pairs = Pairs {
                first: [0.0; LANES],
                second: [0.0; LANES],
            };
            match self.pairs {
                RopePairs::HalfSplit => {
                    pairs.first[..count].copy_from_slice(&self.head[at..at + count]);
                    pairs.second[..count].copy_from_slice(&self.head[half + at..half + at + count]);
                }
                RopePairs::Interleaved => {
                    let elements = self.head[2 * at..2 * (at + count)].chunks_exact(2);
                    for ((first, second), pair) in pairs.first.iter_mut().zip(&mut pairs.second).zip(elements)
                    {
                        (*first, *second) = (pair[0], pair[1]);
                    }
                }
            }
            // SAFETY: `count` angles are left from `at` on; the processor is the caller's promise.
            unsafe {
                let cos = V::load_first(self.cos.as_ptr().add(at), count);
                let sin = V::load_first(self.sin.as_ptr().add(at), count);
                pairs.rotate(cos, sin);
            }
            match self.pairs {
                RopePairs::HalfSplit => {
                    self.head[at..at + count].copy_from_slice(&pairs.first[..count]);
                    self.head[half + at..half + at + count].copy_from_slice(&pairs.second[..count]);
                }
                RopePairs::Interleaved => {
                    let elements = self.head[2 * at..2 * (at + count)].chunks_exact_mut(2);
                    for ((first, second), pair) in pairs.first.iter().zip(&pairs.second).zip(elements) {
                        (pair[0], pair[1]) = (*first, *second);
                    }
                }
            }
        }
    }
}

impl Pairs {
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector instructions")]
    unsafe fn rotate<V: Lanes>(&mut self, cos: V, sin: V) {
        // SAFETY: both arrays have sixteen elements; the processor is the caller's promise.
        unsafe {
            let first = V::load(self.first.as_ptr());
            let second = V::load(self.second.as_ptr());
            second.fnma(sin, first.mul(cos)).store(self.first.as_mut_ptr());
            first.fma(sin, second.mul(cos)).store(self.second.as_mut_ptr());
        }
    }
}
