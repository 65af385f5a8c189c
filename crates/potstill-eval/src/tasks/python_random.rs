//! The random numbers of CPython's `random.Random`, so that the same examples are drawn.
//!
//! Matsumoto, Nishimura, *Mersenne Twister*, ACM TOMACS 8 (1998); the seeding of 2002.

const N: usize = 624;
const M: usize = 397;

/// `random.Random(seed)`.
#[derive(Clone, Debug)]
pub(super) struct PythonRandom {
    state: [u32; N],
    next: usize,
}

impl PythonRandom {
    pub(super) fn new(seed: u32) -> Self {
        let mut state = [0; N];
        state[0] = 19_650_218;
        for i in 1..N {
            let before: u32 = state[i - 1];
            state[i] = mixed(before, 1_812_433_253).wrapping_add(i as u32);
        }
        // The seed as a key of one word.
        let mut i = 1;
        for _ in 0..N {
            state[i] = (state[i] ^ mixed(state[i - 1], 1_664_525)).wrapping_add(seed);
            i = wrapped(i, &mut state);
        }
        for _ in 1..N {
            state[i] = (state[i] ^ mixed(state[i - 1], 1_566_083_941)).wrapping_sub(i as u32);
            i = wrapped(i, &mut state);
        }
        state[0] = 0x8000_0000;
        Self { state, next: N }
    }

    fn word(&mut self) -> u32 {
        if self.next == N {
            self.next = 0;
            for i in 0..N {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ twist;
            }
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = (self.word() >> (32 - bits)) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `sample(range(n), k)`.
    ///
    /// # Panics
    ///
    /// Panics if `k` is more than `n`, or `n` 2³² or more.
    pub(super) fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        assert!(k <= n && u32::try_from(n).is_ok());
        let mut most_in_a_pool = 21;
        if k > 5 {
            let digits = ((3 * k) as f64).log(4.0).ceil();
            most_in_a_pool += 4_f64.powf(digits) as usize;
        }
        if n <= most_in_a_pool {
            let mut pool: Vec<usize> = (0..n).collect();
            return (0..k)
                .map(|i| {
                    let j = self.below(n - i);
                    pool.swap_remove(j)
                })
                .collect();
        }
        let mut drawn = Vec::with_capacity(k);
        while drawn.len() < k {
            let j = self.below(n);
            if !drawn.contains(&j) {
                drawn.push(j);
            }
        }
        drawn
    }
}

fn mixed(before: u32, factor: u32) -> u32 {
    (before ^ (before >> 30)).wrapping_mul(factor)
}

/// The place behind `i`; behind the last one, the first takes over its value.
fn wrapped(i: usize, state: &mut [u32; N]) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r = random.Random(seed)` of CPython 3.11, and in turn `r.sample(range(n), k)`.
    const RECORDED: &str = include_str!("../../tests/fixtures/python_random.json");

    #[derive(serde::Deserialize)]
    struct Case {
        seed: u32,
        draws: Vec<(usize, usize, Vec<usize>)>,
    }

    #[test]
    fn draws_are_those_of_python() {
        let cases: Vec<Case> = serde_json::from_str(RECORDED).unwrap();
        assert!(cases.len() >= 4);
        for Case { seed, draws } in cases {
            let mut random = PythonRandom::new(seed);
            for (n, k, expected) in draws {
                assert_eq!(random.sample(n, k), expected, "{seed} {n} {k}");
            }
        }
    }
}
