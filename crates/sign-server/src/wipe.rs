//! Memory that is given back is overwritten first, where a process has asked for it.
//!
//! Libraries keep copies of what they are given: a buffer that grew, a text that was parsed. Each of them clears what it
//! knows to be secret; this clears everything, so that nobody has to trust that none was forgotten. aws-lc does the same
//! with what it allocates itself.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, Ordering, compiler_fence},
};

static IS_WIPING: AtomicBool = AtomicBool::new(false);

/// Overwrites all memory that this process gives back, from now on. It does something only in a program whose allocator is
/// [`Wiping`].
pub fn begin() {
    IS_WIPING.store(true, Ordering::Relaxed);
}

/// The system's allocator, which overwrites memory before it takes it back once [`begin`] was called.
pub struct Wiping;

// SAFETY: everything is the system's allocator's; what is added writes zeros into memory that the caller gives back, and
// within its layout.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if IS_WIPING.load(Ordering::Relaxed) {
            // SAFETY: the memory is the caller's until it is given back in the next line, and has this size.
            unsafe { overwrite(memory, layout.size()) };
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !IS_WIPING.load(Ordering::Relaxed) {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
            return unsafe { System.realloc(memory, layout, new_size) };
        }
        // The system would leave the old place as it is.
        // SAFETY: the caller's size fits the alignment, as the contract of `GlobalAlloc::realloc` says; both places are
        // as large as what is copied, and none overlaps the other.
        unsafe {
            let new = System.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(memory, new, layout.size().min(new_size));
                self.dealloc(memory, layout);
            }
            new
        }
    }
}

/// Writes zeros that no optimizer leaves out.
///
/// # Safety
///
/// The memory has to be ours, and as long as that.
unsafe fn overwrite(memory: *mut u8, bytes: usize) {
    // SAFETY: as the caller says. Writing all at once is many times faster than one volatile byte after another.
    unsafe { std::ptr::write_bytes(memory, 0, bytes) };
    // Somebody might read it, as far as the optimizer knows: so the writing is not left out.
    std::hint::black_box(memory);
    compiler_fence(Ordering::SeqCst);
}
