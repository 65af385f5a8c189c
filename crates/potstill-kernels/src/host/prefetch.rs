//! Asking for memory before it is read.

/// Lines of memory that processors fetch at once.
const LINE: usize = 64;

/// Asks for the values that lie `ahead` values behind the beginning of `values`, as many as there are
/// in `values`, into the second cache. They need not exist.
///
/// Hardware follows a stream of reads on its own, but stops at the end of every page.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T], ahead: usize) {
    let start = values.as_ptr().wrapping_add(ahead).cast::<u8>();
    for offset in (0..size_of_val(values)).step_by(LINE) {
        prefetch_line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code, reason = "the standard library has no safe prefetch yet")]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: every x86-64 processor has the instruction; it is a hint that reads nothing as far as the
    // program can tell, and does not fault wherever the address points.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_line(_: *const u8) {}
