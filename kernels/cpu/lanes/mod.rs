//! Sixteen floats at once, in plain Rust and in vector registers, so that a kernel is written once and gives the same bits on
//! every processor: each operation rounds as IEEE 754 says, lane by lane, and sums over lanes have one fixed order.

#![allow(
    unsafe_code,
    reason = "vector instructions, and reading and writing through pointers"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

pub(super) use scalar::Scalar16;

use super::Isa;

/// How many floats a [`Lanes`] has.
pub(super) const LANES: usize = 16;

/// Sixteen floats.
///
/// # Safety of its functions
/// All are unsafe, for two reasons: the processor must have the instructions of the implementing type, which [`dispatch`] sees to
/// (nothing else may name the vector types), and pointers must be good for as many elements as are read or written; none need be
/// aligned.
pub(super) trait Lanes: Copy {
    /// The most rows of a register tile: `TILE * WIDE` accumulators, `WIDE` operands and a broadcast one fit the register file.
    const TILE: usize;
    /// Whether a tile is two `Lanes` wide.
    const WIDE: bool;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// From sixteen 16-bit IEEE floats.
    unsafe fn load_f16(from: *const u16) -> Self;
    /// From the upper halves of sixteen floats.
    unsafe fn load_bf16(from: *const u16) -> Self;
    /// From sixteen 8-bit integers.
    unsafe fn load_i8(from: *const i8) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once.
    unsafe fn fma(self, factor: Self, addend: Self) -> Self;
    /// `addend - self * factor`, rounded once.
    unsafe fn fnma(self, factor: Self, addend: Self) -> Self;
    /// `self > other ? self : other`.
    unsafe fn max(self, other: Self) -> Self;
    /// `self < bound ? yes : no`.
    unsafe fn pick_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// The lanes from `first` to before `end` (at most 16), and `other` in all others.
    unsafe fn keep(self, first: usize, end: usize, other: f32) -> Self;
    /// Adds the low nine bits of `power`'s representation to the exponent.
    unsafe fn scale_by_low_bits(self, power: Self) -> Self;

    #[inline(always)]
    unsafe fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        // SAFETY: the array has sixteen elements; the processor is the caller's promise.
        unsafe { self.store(array.as_mut_ptr()) };
        array
    }

    /// The first `count` (at most 16) floats from there, then zeros.
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut array = [0.0f32; LANES];
        // SAFETY: `count` elements are readable, says the caller; the array has sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(from.cast::<u8>(), array.as_mut_ptr().cast::<u8>(), count * 4);
            Self::load(array.as_ptr())
        }
    }

    /// Stores the first `count` (at most 16) lanes.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: `count` elements are writable, says the caller.
        unsafe {
            let array = self.to_array();
            std::ptr::copy_nonoverlapping(array.as_ptr().cast::<u8>(), to.cast::<u8>(), count * 4);
        }
    }

    /// The sum of all lanes, by halves.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the processor is the caller's promise.
        let mut array = unsafe { self.to_array() };
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                array[lane] += array[lane + half];
            }
        }
        array[0]
    }

    /// The greatest lane.
    #[inline(always)]
    unsafe fn greatest(self) -> f32 {
        // SAFETY: the processor is the caller's promise.
        let array = unsafe { self.to_array() };
        array
            .into_iter()
            .fold(array[0], |best, lane| if lane > best { lane } else { best })
    }
}

/// Something to be computed with whatever `Lanes` the processor has.
pub(super) trait Kernel {
    /// Computes it. Implementations are `#[inline(always)]`, so that they are compiled for the instruction set that called them.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn run<V: Lanes>(self);
}

/// Runs a kernel with an instruction set, or with plain Rust where the processor lacks it.
pub(super) fn dispatch(isa: Isa, kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    if isa.is_available() {
        match isa {
            Isa::Scalar => {}
            // SAFETY: the processor has it.
            Isa::Avx2 => return unsafe { avx2::run(kernel) },
            // SAFETY: the processor has it.
            Isa::Avx512 => return unsafe { avx512::run(kernel) },
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = isa;
    // SAFETY: plain Rust needs no special instructions.
    unsafe {
        kernel.run::<Scalar16>();
    }
}
