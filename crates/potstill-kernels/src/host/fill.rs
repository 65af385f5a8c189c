//! Fresh memory, written block by block.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// `len` values, made in parallel in blocks of `block`: `fill(start, values)` writes those from
/// `start` on and finds zeros there.
///
/// A vector of zeros that is filled afterwards costs a pass over memory, on one thread; here a block
/// is cleared while it is about to be written, in the cache. Work that fits one block stays on the
/// calling thread.
pub(crate) fn filled(
    len: usize,
    block: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    if len == 0 {
        return Vec::new();
    }
    let mut values = Vec::with_capacity(len);
    let room = &mut values.spare_capacity_mut()[..len];
    let clear_and_fill = |start, room: &mut [MaybeUninit<f32>]| {
        room.fill(MaybeUninit::new(0.0));
        // SAFETY: the line above has initialized every element.
        #[allow(unsafe_code, reason = "clearing the whole vector first costs a pass")]
        let values = unsafe { room.assume_init_mut() };
        fill(start, values);
    };
    if len <= block {
        clear_and_fill(0, room);
    } else {
        room.par_chunks_mut(block)
            .enumerate()
            .for_each(|(i, room)| clear_and_fill(i * block, room));
    }
    // SAFETY: the chunks cover the first `len` elements, and each was cleared.
    #[allow(unsafe_code, reason = "clearing the whole vector first costs a pass")]
    unsafe {
        values.set_len(len);
    }
    values
}
