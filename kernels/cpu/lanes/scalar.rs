//! The definition of [`Lanes`]: an array, and loops over it.

use half::{bf16, f16};

use super::{LANES, Lanes};

/// Sixteen floats in an array.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Scalar16([f32; LANES]);

impl Scalar16 {
    #[inline(always)]
    fn zip(self, other: Scalar16, operation: impl Fn(f32, f32) -> f32) -> Scalar16 {
        Scalar16(std::array::from_fn(|lane| operation(self.0[lane], other.0[lane])))
    }
}

#[allow(
    unsafe_op_in_unsafe_fn,
    reason = "each function is one expression, safe under the promises that the trait states"
)]
impl Lanes for Scalar16 {
    const TILE: usize = 1;
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Scalar16([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Scalar16(from.cast::<[f32; LANES]>().read_unaligned())
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        let bits = from.cast::<[u16; LANES]>().read_unaligned();
        Scalar16(bits.map(|bits| f16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        let bits = from.cast::<[u16; LANES]>().read_unaligned();
        Scalar16(bits.map(|bits| bf16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        Scalar16(from.cast::<[i8; LANES]>().read_unaligned().map(f32::from))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        to.cast::<[f32; LANES]>().write_unaligned(self.0);
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, addend: Self) -> Self {
        Scalar16(std::array::from_fn(|lane| {
            self.0[lane].mul_add(factor.0[lane], addend.0[lane])
        }))
    }

    #[inline(always)]
    unsafe fn fnma(self, factor: Self, addend: Self) -> Self {
        Scalar16(std::array::from_fn(|lane| {
            (-self.0[lane]).mul_add(factor.0[lane], addend.0[lane])
        }))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn pick_less(self, bound: Self, yes: Self, no: Self) -> Self {
        Scalar16(std::array::from_fn(|lane| {
            if self.0[lane] < bound.0[lane] {
                yes.0[lane]
            } else {
                no.0[lane]
            }
        }))
    }

    #[inline(always)]
    unsafe fn keep(self, first: usize, end: usize, other: f32) -> Self {
        Scalar16(std::array::from_fn(|lane| {
            if (first..end).contains(&lane) {
                self.0[lane]
            } else {
                other
            }
        }))
    }

    #[inline(always)]
    unsafe fn scale_by_low_bits(self, power: Self) -> Self {
        self.zip(power, |a, b| {
            f32::from_bits(a.to_bits().wrapping_add(b.to_bits() << 23))
        })
    }
}
