//! What follows a token in its sequence.
//!
//! ```text
//! F_t = Σ_{t' > t} γ^(t' − t − 1) r_t'            divided by T − t, the number of its terms, if normalized
//! b_t = mean of the other sequences' values at t    (leave one out)
//! ```

use burn::prelude::*;

/// Sequences of different lengths, one after the other in the rows of a batch.
pub(crate) struct Sequences {
    /// Row of each slot of a `[sequences, longest]` table; 0 where a sequence has ended.
    slots: Tensor<1, Int>,
    /// 1 where there is a row, `[sequences, longest]`.
    present: Tensor<2>,
    /// Slot of each row.
    rows: Tensor<1, Int>,
    /// 1 over the number of rows that follow each slot, 0 after the last.
    per_follower: Tensor<2>,
    shape: [usize; 2],
}

impl Sequences {
    pub(crate) fn new(lengths: &[usize], device: &Device) -> Self {
        let shape = [lengths.len(), lengths.iter().copied().max().unwrap_or(0)];
        let [_, longest] = shape;
        let (mut slots, mut rows) = (vec![0; shape[0] * longest], Vec::new());
        let (mut present, mut per_follower) =
            (vec![0.0f32; slots.len()], vec![0.0f32; slots.len()]);
        for (sequence, &length) in lengths.iter().enumerate() {
            for place in 0..length {
                let slot = sequence * longest + place;
                slots[slot] = index(rows.len());
                rows.push(index(slot));
                present[slot] = 1.0;
                let followers = length - place - 1;
                per_follower[slot] = if followers == 0 {
                    0.0
                } else {
                    (followers as f32).recip()
                };
            }
        }
        let ints = |values: Vec<i32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        let table = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, shape), device);
        Self {
            slots: ints(slots),
            present: table(present),
            rows: ints(rows),
            per_follower: table(per_follower),
            shape,
        }
    }

    /// F of each row.
    ///
    /// # Shapes
    ///
    /// - `rewards`, output: `[rows]`
    pub(crate) fn futures(
        &self,
        rewards: Tensor<1>,
        discount: f64,
        is_normalized: bool,
    ) -> Tensor<1> {
        let [_, longest] = self.shape;
        let later: Vec<f64> = (0..longest * longest)
            .map(|at| (at / longest, at % longest))
            .map(|(later, now)| match later.checked_sub(now + 1) {
                Some(distance) => discount.powf(distance as f64),
                None => 0.0,
            })
            .collect();
        let rewards = self.table(rewards);
        let options = (&rewards.device(), rewards.dtype());
        let later = Tensor::from_data(TensorData::new(later, [longest, longest]), options);
        let sums = rewards.matmul(later);
        let futures = if is_normalized {
            sums.clone() * self.per_follower.clone().cast(sums.dtype())
        } else {
            sums
        };
        self.rows(futures)
    }

    /// What the other sequences have at the same place on average, 0 where there is none.
    ///
    /// Independent of the sequence itself, so that subtracting it leaves the expectation of a policy
    /// gradient as it is.
    ///
    /// # Shapes
    ///
    /// - `values`, output: `[rows]`
    pub(crate) fn others(&self, values: Tensor<1>) -> Tensor<1> {
        let values = self.table(values);
        let present = self.present.clone().cast(values.dtype());
        let others = (present.sum_dim(0) - 1.0).clamp_min(1.0);
        let sums = values.clone().sum_dim(0) - values;
        self.rows(sums / others)
    }

    fn table(&self, rows: Tensor<1>) -> Tensor<2> {
        let table = rows.select(0, self.slots.clone()).reshape(self.shape);
        let present = self.present.clone().cast(table.dtype());
        table * present
    }

    fn rows(&self, table: Tensor<2>) -> Tensor<1> {
        table.flatten::<1>(0, 1).select(0, self.rows.clone())
    }
}

fn index(position: usize) -> i32 {
    i32::try_from(position).expect("a batch has less than 2^31 positions")
}

#[cfg(test)]
mod tests {
    use potstill_testkit::plain_device;

    use super::*;

    fn values(tensor: Tensor<1>) -> Vec<f64> {
        potstill_testkit::values(&tensor)
    }

    fn check(futures: Tensor<1>, expected: &[f64]) {
        let found = values(futures);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    fn rewards() -> Tensor<1> {
        Tensor::from_floats([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], &plain_device())
    }

    #[test]
    fn the_future_ends_with_the_sequence() {
        let sequences = Sequences::new(&[3, 1, 2], &plain_device());
        let expected = [6.0, 4.0, 0.0, 0.0, 32.0, 0.0];
        check(sequences.futures(rewards(), 1.0, false), &expected);
    }

    #[test]
    fn a_normalized_future_is_a_mean_and_0_behind_the_last_token() {
        let sequences = Sequences::new(&[3, 1, 2], &plain_device());
        let expected = [3.0, 4.0, 0.0, 0.0, 32.0, 0.0];
        check(sequences.futures(rewards(), 1.0, true), &expected);
    }

    #[test]
    fn a_discount_counts_from_the_token_not_from_the_beginning() {
        let sequences = Sequences::new(&[6], &plain_device());
        let futures = sequences.futures(rewards(), 0.5, false);
        check(futures, &[10.0, 16.0, 24.0, 32.0, 32.0, 0.0]);
        // Over several thousand tokens γ^t is 0 in f32, and must not appear as a factor or divisor.
        let long = Sequences::new(&[3000], &plain_device());
        let ones = Tensor::ones([3000], &plain_device());
        let futures = values(long.futures(ones, 0.5, false));
        assert!((futures[0] - 2.0).abs() < 1e-6 && (futures[2990] - 2.0).abs() < 1e-2);
    }

    #[test]
    fn a_sequence_is_compared_with_the_others_at_the_same_place() {
        let sequences = Sequences::new(&[3, 1, 2], &plain_device());
        let expected = [12.0, 32.0, 0.0, 8.5, 4.5, 2.0];
        check(sequences.others(rewards()), &expected);
    }
}
