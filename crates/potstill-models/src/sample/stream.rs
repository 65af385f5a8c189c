//! A stream of random numbers for every prompt.

use std::collections::HashMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Streams that depend on the seed, the prompt, and how often the same prompt came before; not on
/// the other prompts nor on the order.
///
/// Several rollouts of one prompt in a call are different, and a prompt is continued alike whether
/// it comes alone or with others.
#[derive(Debug)]
pub(crate) struct Streams<'a> {
    seed: u64,
    seen: HashMap<&'a [u32], u64>,
}

impl<'a> Streams<'a> {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            seen: HashMap::new(),
        }
    }

    /// The stream of the next prompt.
    pub(crate) fn next(&mut self, prompt: &'a [u32]) -> ChaCha8Rng {
        let repetition = self
            .seen
            .entry(prompt)
            .and_modify(|count| *count += 1)
            .or_insert(0);
        stream(self.seed, prompt, *repetition)
    }
}

/// The stream of a prompt that came `repetition` times before.
pub(super) fn stream(seed: u64, prompt: &[u32], repetition: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([
        seed,
        repetition,
        fingerprint(prompt, 0x243f_6a88_85a3_08d3),
        fingerprint(prompt, 0x1319_8a2e_0370_7344),
    ]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A hash that stays the same between versions of the standard library.
fn fingerprint(prompt: &[u32], start: u64) -> u64 {
    prompt
        .iter()
        .fold(start ^ prompt.len() as u64, |state, &token| {
            // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
            let mixed = (state ^ u64::from(token)).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        })
}
