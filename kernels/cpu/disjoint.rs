//! Slices that several threads write at once, each its own part.

use std::marker::PhantomData;

/// A slice whose parts several threads may hold mutably, as long as no two parts meet.
#[derive(Debug)]
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are handed out by `slice`, whose callers promise that they do not meet; T itself may move between threads.
#[allow(unsafe_code, reason = "raw pointers are neither Send nor Sync by themselves")]
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "raw pointers are neither Send nor Sync by themselves")]
unsafe impl<T: Send> Send for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Shares `slice` among threads.
    pub(crate) fn new(slice: &'a mut [T]) -> Disjoint<'a, T> {
        Disjoint {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The part of `len` elements from `from` on.
    ///
    /// # Panics
    /// When it reaches beyond the end.
    ///
    /// # Safety
    /// No part that is held at the same time may meet it.
    #[allow(unsafe_code, clippy::mut_from_ref, reason = "this is what the type is for")]
    pub(crate) unsafe fn slice(&self, from: usize, len: usize) -> &'a mut [T] {
        assert!(
            from <= self.len && len <= self.len - from,
            "a part reaches beyond the end"
        );
        // SAFETY: inside the slice, by the check above; not held twice, by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }
}
