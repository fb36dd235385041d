//! Memory that is made once: zeroed, touched, and aligned for vectors.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Pages of this size spare address translations, where the system gives them.
const LARGE_PAGE: usize = 2 << 20;
const LINE: usize = 64;

/// Elements of four bytes.
pub(crate) struct Memory {
    start: NonNull<u32>,
    len: usize,
    layout: Layout,
}

// SAFETY: plain memory, owned.
unsafe impl Send for Memory {}

impl Memory {
    /// `len` zeros.
    pub(crate) fn new(len: usize) -> Memory {
        let bytes = (4 * len).max(LINE);
        let align = if bytes >= 2 * LARGE_PAGE { LARGE_PAGE } else { LINE };
        let layout = Layout::from_size_align(bytes, align).expect("the memory plan fits the address space");
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) };
        let start = NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout));
        if align == LARGE_PAGE {
            ask_for_large_pages(memory, bytes);
        }
        // Written now, and not left to the system, so that no run meets a page for the first time.
        // SAFETY: freshly allocated, of this many bytes.
        unsafe { memory.write_bytes(0, bytes) };
        Memory { start, len, layout }
    }

    /// Where an element is; one past the end is allowed.
    pub(crate) fn at(&self, element: usize) -> *mut u32 {
        assert!(element <= self.len, "places lie in the memory plan");
        // SAFETY: inside the allocation, or just behind it.
        unsafe { self.start.as_ptr().add(element) }
    }

    /// `len` elements from `start` on.
    pub(crate) fn slice(&mut self, start: usize, len: usize) -> &mut [u32] {
        assert!(start + len <= self.len, "places lie in the memory plan");
        // SAFETY: inside the allocation, which this borrows; it was zeroed, and any bits are a u32.
        unsafe { std::slice::from_raw_parts_mut(self.at(start), len) }
    }

    /// Copies elements, which may overlap.
    pub(crate) fn copy(&mut self, from: usize, to: usize, len: usize) {
        let end = from.max(to) + len;
        self.slice(0, end).copy_within(from..from + len, to);
    }
}

/// Linux gives large pages to whom asks for them. Without them each row of a large weight costs a translation of its own: products with
/// few rows are four times slower.
fn ask_for_large_pages(memory: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is one allocation, and the advice changes nothing but the size of its pages.
    // A system that has none says so, and small pages do.
    unsafe {
        libc::madvise(memory.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, bytes);
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
    }
}
