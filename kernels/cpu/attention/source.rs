//! Keys and values of a page as a tile reads them: where they lie, or as floats that were made of them before.

use super::super::lanes::{LANES, Lanes};
use super::super::pages::{GROUP, HeadPart, KvPages};
use crate::blocks::e4m3_numbers;

/// The keys and values of one layer and KV head of a page. The pointers are good for the whole of their arrays; they need not be
/// aligned, and what lies in slots that the sequence has not reached is anything.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) page_tokens: usize,
    pub(super) head_dim: usize,
    /// Scales a head and position.
    pub(super) groups: usize,
    /// `[head_dim][page_tokens]`.
    keys: *const u8,
    /// `[groups][page_tokens]`.
    key_scales: *const f32,
    /// `[page_tokens][head_dim]`.
    values: *const u8,
    /// `[page_tokens][groups]`.
    value_scales: *const f32,
}

/// A type of elements in a [`Part`].
///
/// # Safety of its functions
/// The processor has the instructions of `V`, the part holds this type of elements, and indices lie within it.
#[allow(unsafe_code, reason = "reads through pointers")]
pub(super) trait Source {
    /// The key element `dim` of sixteen positions, from slot `slot` on.
    unsafe fn key<V: Lanes>(part: &Part, dim: usize, slot: usize) -> V;
    /// Sixteen elements of a value, from `dim` on.
    unsafe fn value<V: Lanes>(part: &Part, slot: usize, dim: usize) -> V;
    /// The last `count` elements of a value, which begin at `dim`.
    unsafe fn last_of_value<V: Lanes>(part: &Part, slot: usize, dim: usize, count: usize) -> V;
}

/// The scales of a group of key elements, of sixteen positions.
///
/// # Safety
/// As for [`Source`]; the part has scales.
#[inline(always)]
#[allow(unsafe_code, reason = "reads through pointers")]
pub(super) unsafe fn key_scale<V: Lanes>(part: &Part, group: usize, slot: usize) -> V {
    // SAFETY: the group and the sixteen slots are within the part, says the caller.
    unsafe { V::load(part.key_scales.add(group * part.page_tokens + slot)) }
}

/// The first `count` elements from there, then zeros.
///
/// # Safety
/// `count` elements, at most 16, can be read from there.
#[inline(always)]
#[allow(unsafe_code, reason = "reads through pointers")]
unsafe fn staged<T: Copy + Default>(from: *const T, count: usize) -> [T; LANES] {
    let mut array = [T::default(); LANES];
    // SAFETY: the caller's promise; bytes have no alignment.
    unsafe {
        let bytes = count * size_of::<T>();
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), array.as_mut_ptr().cast::<u8>(), bytes);
    }
    array
}

macro_rules! plain_source {
    ($name:ident, $element:ty, $load:ident, $text:literal) => {
        #[doc = $text]
        pub(super) struct $name;

        #[allow(unsafe_code, reason = "reads through pointers")]
        impl Source for $name {
            #[inline(always)]
            unsafe fn key<V: Lanes>(part: &Part, dim: usize, slot: usize) -> V {
                // SAFETY: the element and the sixteen slots are within the part, says the caller.
                unsafe {
                    V::$load(
                        part.keys
                            .cast::<$element>()
                            .add(dim * part.page_tokens + slot),
                    )
                }
            }

            #[inline(always)]
            unsafe fn value<V: Lanes>(part: &Part, slot: usize, dim: usize) -> V {
                // SAFETY: the slot and the sixteen elements are within the part, says the caller.
                unsafe {
                    V::$load(
                        part.values
                            .cast::<$element>()
                            .add(slot * part.head_dim + dim),
                    )
                }
            }

            #[inline(always)]
            unsafe fn last_of_value<V: Lanes>(part: &Part, slot: usize, dim: usize, count: usize) -> V {
                // SAFETY: the slot and `count` elements are within the part, says the caller.
                unsafe {
                    let from = part
                        .values
                        .cast::<$element>()
                        .add(slot * part.head_dim + dim);
                    V::$load(staged(from, count).as_ptr())
                }
            }
        }
    };
}

plain_source!(Float32, f32, load, "32-bit floats.");
plain_source!(Float16, u16, load_f16, "16-bit IEEE floats.");
plain_source!(BFloat16, u16, load_bf16, "Upper halves of 32-bit floats.");

/// 8-bit integers with scales.
pub(super) struct Int8;

#[allow(unsafe_code, reason = "reads through pointers")]
impl Source for Int8 {
    #[inline(always)]
    unsafe fn key<V: Lanes>(part: &Part, dim: usize, slot: usize) -> V {
        // SAFETY: the element and the sixteen slots are within the part, says the caller.
        unsafe { V::load_i8(part.keys.cast::<i8>().add(dim * part.page_tokens + slot)) }
    }

    #[inline(always)]
    unsafe fn value<V: Lanes>(part: &Part, slot: usize, dim: usize) -> V {
        // SAFETY: the slot and the sixteen elements are within the part, says the caller; they share a group, for groups begin at
        // multiples of 32.
        unsafe {
            let scale = part
                .value_scales
                .add(slot * part.groups + dim / GROUP)
                .read_unaligned();
            V::load_i8(part.values.cast::<i8>().add(slot * part.head_dim + dim)).mul(V::splat(scale))
        }
    }

    #[inline(always)]
    unsafe fn last_of_value<V: Lanes>(part: &Part, slot: usize, dim: usize, count: usize) -> V {
        // SAFETY: as above, for `count` elements.
        unsafe {
            let scale = part
                .value_scales
                .add(slot * part.groups + dim / GROUP)
                .read_unaligned();
            let from = part.values.cast::<i8>().add(slot * part.head_dim + dim);
            V::load_i8(staged(from, count).as_ptr()).mul(V::splat(scale))
        }
    }
}

/// 8-bit floats, each looked up.
pub(super) struct Float8;

#[allow(unsafe_code, reason = "reads through pointers")]
impl Source for Float8 {
    #[inline(always)]
    unsafe fn key<V: Lanes>(part: &Part, dim: usize, slot: usize) -> V {
        // SAFETY: the element and the sixteen slots are within the part, says the caller.
        unsafe { load_e4m3(staged(part.keys.add(dim * part.page_tokens + slot), LANES)) }
    }

    #[inline(always)]
    unsafe fn value<V: Lanes>(part: &Part, slot: usize, dim: usize) -> V {
        // SAFETY: the slot and the sixteen elements are within the part, says the caller.
        unsafe { load_e4m3(staged(part.values.add(slot * part.head_dim + dim), LANES)) }
    }

    #[inline(always)]
    unsafe fn last_of_value<V: Lanes>(part: &Part, slot: usize, dim: usize, count: usize) -> V {
        // SAFETY: as above, for `count` elements.
        unsafe { load_e4m3(staged(part.values.add(slot * part.head_dim + dim), count)) }
    }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn load_e4m3<V: Lanes>(codes: [u8; LANES]) -> V {
    const NUMBERS: [f32; 256] = e4m3_numbers();
    let numbers = codes.map(|code| NUMBERS[usize::from(code)]);
    // SAFETY: the array has sixteen floats; the processor is the caller's promise.
    unsafe { V::load(numbers.as_ptr()) }
}

/// Room for a page's keys, values and scales as floats.
#[derive(Default)]
pub(super) struct Widened {
    keys: Vec<f32>,
    values: Vec<f32>,
    key_scales: Vec<f32>,
    value_scales: Vec<f32>,
}

impl Widened {
    /// The part as it lies in the page, but with scales as floats.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector instructions")]
    pub(super) unsafe fn in_place<V: Lanes>(&mut self, pages: &KvPages, head: HeadPart<'_>) -> Part {
        let groups = pages.groups();
        let scales = groups * pages.page_tokens;
        self.key_scales.resize(scales, 0.0);
        self.value_scales.resize(scales, 0.0);
        let (key_scales, value_scales) = (head.key_scales, head.value_scales);
        debug_assert!(key_scales.len() == scales * 2 && value_scales.len() == scales * 2);
        for at in (0..scales).step_by(LANES) {
            // SAFETY: both kinds of scales are a multiple of sixteen, for a page has a multiple of sixteen positions; the
            // processor is the caller's promise.
            unsafe {
                V::load_f16(key_scales.as_ptr().cast::<u16>().add(at))
                    .store(self.key_scales.as_mut_ptr().add(at));
                V::load_f16(value_scales.as_ptr().cast::<u16>().add(at))
                    .store(self.value_scales.as_mut_ptr().add(at));
            }
        }
        Part {
            page_tokens: pages.page_tokens,
            head_dim: pages.head_dim,
            groups,
            keys: head.keys.as_ptr(),
            key_scales: self.key_scales.as_ptr(),
            values: head.values.as_ptr(),
            value_scales: self.value_scales.as_ptr(),
        }
    }

    /// The part as floats, for many rows to read. Only slots below `end` are filled.
    ///
    /// # Safety
    /// The processor has the instructions of `V`, and the page has elements of the type `S`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "vector instructions")]
    pub(super) unsafe fn widened<V: Lanes, S: Source>(
        &mut self,
        pages: &KvPages,
        head: HeadPart<'_>,
        end: usize,
    ) -> Part {
        let (page_tokens, head_dim) = (pages.page_tokens, pages.head_dim);
        self.keys.resize(page_tokens * head_dim, 0.0);
        self.values.resize(page_tokens * head_dim, 0.0);
        let (whole, rest) = (head_dim / LANES * LANES, head_dim % LANES);
        // SAFETY: elements and slots are within the part, and the arrays have its size; the processor is the caller's promise.
        unsafe {
            let part = self.in_place::<V>(pages, head);
            let (keys, values) = (self.keys.as_mut_ptr(), self.values.as_mut_ptr());
            for dim in 0..head_dim {
                for slot in (0..end).step_by(LANES) {
                    S::key::<V>(&part, dim, slot).store(keys.add(dim * page_tokens + slot));
                }
            }
            for slot in 0..end {
                let value = values.add(slot * head_dim);
                for dim in (0..whole).step_by(LANES) {
                    S::value::<V>(&part, slot, dim).store(value.add(dim));
                }
                if rest > 0 {
                    S::last_of_value::<V>(&part, slot, whole, rest).store_first(value.add(whole), rest);
                }
            }
            Part {
                keys: keys.cast_const().cast(),
                values: values.cast_const().cast(),
                ..part
            }
        }
    }
}
