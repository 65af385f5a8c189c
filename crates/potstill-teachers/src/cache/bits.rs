//! Numbers of any width in bits, one after another.

/// Appends numbers, the lowest bit first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    length: usize,
}

impl BitWriter {
    /// Appends the low `width` bits of `value`; `width` is at most 32.
    pub(super) fn push(&mut self, value: u32, width: usize) {
        for bit in 0..width {
            if self.length.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> bit & 1 == 1 {
                self.set(self.length);
            }
            self.length += 1;
        }
    }

    /// Appends `width` bits of which those numbered in `ones` are 1.
    pub(super) fn push_ones(&mut self, ones: impl Iterator<Item = usize>, width: usize) {
        let start = self.length;
        self.length += width;
        self.bytes.resize(self.length.div_ceil(8), 0);
        for one in ones {
            self.set(start + one);
        }
    }

    fn set(&mut self, bit: usize) {
        self.bytes[bit / 8] |= 1 << (bit % 8);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitReader<'a>(&'a [u8]);

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The number of `width` bits that begins at bit `start`; bits beyond the end are 0. `width` is
    /// at most 32.
    pub(super) fn get(self, start: usize, width: usize) -> u32 {
        (self.word(start) & ((1 << width) - 1)) as u32
    }

    /// The numbers of the ones in `length` bits from bit `start`, counted from there.
    pub(super) fn ones(self, start: usize, length: usize) -> impl Iterator<Item = usize> {
        let mut from = 0;
        let mut word = 0;
        let mut end = 0;
        std::iter::from_fn(move || {
            while word == 0 {
                if end >= length {
                    return None;
                }
                from = end;
                let width = (length - from).min(32);
                word = u64::from(self.get(start + from, width));
                end = from + width;
            }
            let one = from + word.trailing_zeros() as usize;
            word &= word - 1;
            Some(one)
        })
    }

    /// At least 57 bits from bit `start`.
    fn word(self, start: usize) -> u64 {
        let byte = start / 8;
        let word = match self.0.get(byte..byte + 8) {
            Some(bytes) => {
                let mut word = [0; 8];
                word.copy_from_slice(bytes);
                u64::from_le_bytes(word)
            }
            None => {
                let rest = self.0.get(byte..).unwrap_or_default();
                let shifted = |(place, &byte): (usize, &u8)| u64::from(byte) << (8 * place);
                rest.iter().enumerate().map(shifted).sum()
            }
        };
        word >> (start % 8)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in proptest::collection::vec((any::<u32>(), 0usize..=32), 0..40)) {
            let mut writer = BitWriter::default();
            for &(value, width) in &numbers {
                writer.push(value, width);
            }
            let bytes = writer.finish();
            let mut start = 0;
            for (value, width) in numbers {
                let expected = u64::from(value) & ((1 << width) - 1);
                prop_assert_eq!(u64::from(BitReader::new(&bytes).get(start, width)), expected);
                start += width;
            }
        }

        #[test]
        fn ones_come_back(ones in proptest::collection::btree_set(0usize..300, 0..80), offset in 0usize..9) {
            let mut writer = BitWriter::default();
            writer.push(0, offset);
            writer.push_ones(ones.iter().copied(), 300);
            let bytes = writer.finish();
            let found: Vec<usize> = BitReader::new(&bytes).ones(offset, 300).collect();
            prop_assert_eq!(found, ones.into_iter().collect::<Vec<_>>());
        }
    }
}
