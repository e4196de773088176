//! Memory in whole cache lines, so that a vector of codes never straddles two.

use super::encoding::LINE;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Large pages begin here, which saves the processor from looking up the place of every 4 KiB.
const LARGE_PAGE: usize = 2 << 20;

/// Lines of 64 bytes that begin as zeros.
#[derive(Debug)]
pub(super) struct LineBuffer {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the buffer owns its bytes, and only `&mut self` gives a way to write them.
#[allow(unsafe_code, reason = "raw memory is neither Send nor Sync by itself")]
unsafe impl Send for LineBuffer {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "raw memory is neither Send nor Sync by itself")]
unsafe impl Sync for LineBuffer {}

impl LineBuffer {
    /// `lines` lines of zeros; `None` when there is no memory for them. Pages are given by the system when they are first written,
    /// so that the threads that fill the buffer share that work.
    #[allow(
        unsafe_code,
        reason = "a vector of lines would be cleared by one thread, and cannot report that memory is short"
    )]
    pub(super) fn zeroed(lines: usize) -> Option<LineBuffer> {
        let bytes = lines.checked_mul(LINE)?;
        let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { LINE };
        let layout = Layout::from_size_align(bytes, align).ok()?;
        if bytes == 0 {
            return Some(LineBuffer {
                start: NonNull::<Line>::dangling().cast(),
                layout,
            });
        }
        // SAFETY: the layout has a size above zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(LineBuffer { start, layout })
    }

    /// All bytes.
    #[allow(unsafe_code, reason = "raw memory")]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is valid for `layout.size()` bytes, all written (zeros at least); with no bytes it is dangling, but aligned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    /// All bytes, to write them.
    #[allow(unsafe_code, reason = "raw memory")]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` keeps others out.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for LineBuffer {
    #[allow(unsafe_code, reason = "raw memory")]
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: allocated in `zeroed` with this layout, and freed once.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "only its alignment is used")] [u8; LINE]);
