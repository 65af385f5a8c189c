//! The memory that a loss through a head needs besides what goes in and comes out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::prelude::*;
use potstill_core::{LmHead, Prediction};
use potstill_kernels::{Divergence, HeadRows};
use potstill_testkit::{autodiff_device, plain_device};

/// The system's allocator, which counts.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator is unsafe to implement")]
// SAFETY: every call is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of f32.
fn bytes(values: usize) -> usize {
    values * size_of::<f32>()
}

/// What forward and backward need beyond inputs and gradients.
fn extra(rows: usize, width: usize, vocab: usize, chunk: usize) -> usize {
    let (plain, training) = (plain_device(), autodiff_device());
    let hidden = Tensor::<2>::ones([rows, width], &training).require_grad();
    let head = LmHead::new(Tensor::<2>::ones([vocab, width], &training).require_grad());
    let teacher = Prediction::Deferred {
        hidden: Tensor::ones([rows, width], &plain),
        head: LmHead::new(Tensor::ones([vocab, width], &plain)),
    };
    let compared = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: &teacher,
        targets: None,
        chunk_rows: Some(chunk),
    };
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let loss = compared.weighted_sum(&Divergence::ForwardKl, None);
    let gradients = loss.backward();
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert!(hidden.grad(&gradients).is_some() && head.weight.grad(&gradients).is_some());
    peak - bytes(vocab * width) - bytes(rows * width)
}

#[test]
fn it_is_two_chunks_of_logits_whatever_the_number_of_rows() {
    let (width, vocab, chunk) = (32, 8192, 64);
    // The first use of a thread pool and of its buffers is not what is measured.
    let _ = extra(chunk, width, vocab, chunk);
    let few = extra(4 * chunk, width, vocab, chunk);
    let many = extra(32 * chunk, width, vocab, chunk);
    let logits = bytes(2 * chunk * vocab);
    assert!(
        many < logits + logits / 2,
        "{many} bytes for {logits} of logits"
    );
    let growth = many.saturating_sub(few);
    assert!(
        growth < bytes(32 * chunk * width),
        "it grows by {growth} bytes"
    );
}
