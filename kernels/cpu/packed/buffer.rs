//! Memory in whole cache lines, so that a vector of codes never straddles two.

use super::encoding::LINE;
use crate::cpu::ThreadPool;
use crate::cpu::disjoint::Disjoint;
use std::alloc::{Layout, alloc, dealloc};
use std::mem::MaybeUninit;
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
    /// `lines` lines of zeros; `None` when there is no memory for them. The pool's threads clear them together, since it is then that the
    /// system gives the pages.
    #[allow(
        unsafe_code,
        reason = "a vector can neither be so aligned nor report that memory is short"
    )]
    pub(super) fn zeroed(pool: &ThreadPool, lines: usize) -> Option<LineBuffer> {
        let bytes = lines.checked_mul(LINE)?;
        let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { LINE };
        let layout = Layout::from_size_align(bytes, align).ok()?;
        if bytes == 0 {
            let start = NonNull::<Line>::dangling().cast();
            return Some(LineBuffer { start, layout });
        }
        // SAFETY: the layout has a size above zero.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        ask_for_large_pages(start, bytes);
        // SAFETY: these bytes were just allocated, nobody else has them, and they may be unwritten.
        let unwritten =
            unsafe { std::slice::from_raw_parts_mut(start.as_ptr().cast::<MaybeUninit<u8>>(), bytes) };
        let shared = Disjoint::new(unwritten);
        pool.run(bytes.div_ceil(LARGE_PAGE), &|piece| {
            let from = piece * LARGE_PAGE;
            // SAFETY: each piece is its own, and each index runs once.
            let piece = unsafe { shared.slice(from, (bytes - from).min(LARGE_PAGE)) };
            piece.fill(MaybeUninit::new(0));
        });
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

/// Asks the system for large pages, with which weights are read some 10 % faster. It may refuse, and give small ones as always.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system call takes a raw address")]
fn ask_for_large_pages(start: NonNull<u8>, bytes: usize) {
    let whole = bytes / LARGE_PAGE * LARGE_PAGE;
    if whole > 0 {
        // SAFETY: these pages are the buffer's own, and the advice does not change what they hold.
        let _ =
            unsafe { rustix::mm::madvise(start.as_ptr().cast(), whole, rustix::mm::Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: NonNull<u8>, _: usize) {}

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
