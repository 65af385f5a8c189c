//! A part of the records that training never sees.

use sha2::{Digest, Sha256};

use crate::{Error, Record};

/// Records for training, and records that it never sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldOutSplit {
    /// For training.
    pub train: Vec<Record>,
    /// For evaluation.
    pub held_out: Vec<Record>,
}

/// Holds out about `share` of the records.
///
/// What a record says and the seed decide where it goes, so that equal records stay together, and a
/// record stays where it is when others come and go.
///
/// # Errors
///
/// When `share` is not between 0 and 1.
pub fn split_held_out(records: Vec<Record>, share: f64, seed: u64) -> Result<HeldOutSplit, Error> {
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::HeldOutShare { share });
    }
    let (held_out, train) = records
        .into_iter()
        .partition(|record| uniform(&record.content_hash(), seed) < share);
    Ok(HeldOutSplit { train, held_out })
}

/// A number in [0, 1) that depends on a hash and a seed.
pub(crate) fn uniform(hash: &[u8; 32], seed: u64) -> f64 {
    let mixed = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(hash)
        .finalize();
    let bits = mixed
        .iter()
        .take(8)
        .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    // The 53 bits that an f64 holds exactly.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Content;

    fn records(count: usize) -> Vec<Record> {
        (0..count)
            .map(|index| Content::Text(format!("text {}", index % 900)).into())
            .collect()
    }

    #[test]
    fn about_the_asked_for_share_is_held_out_and_nothing_is_lost() {
        let split = split_held_out(records(1000), 0.2, 5).unwrap();
        assert_eq!(split.train.len() + split.held_out.len(), 1000);
        assert!(
            (150..250).contains(&split.held_out.len()),
            "{}",
            split.held_out.len()
        );
    }

    #[test]
    fn equal_records_stay_together() {
        let split = split_held_out(records(1000), 0.5, 5).unwrap();
        assert!(
            split
                .train
                .iter()
                .all(|record| !split.held_out.contains(record))
        );
    }

    #[test]
    fn a_record_stays_where_it_is_when_others_come() {
        let small = split_held_out(records(100), 0.3, 5).unwrap();
        let large = split_held_out(records(500), 0.3, 5).unwrap();
        assert!(
            small
                .held_out
                .iter()
                .all(|record| large.held_out.contains(record))
        );
        let reseeded = split_held_out(records(100), 0.3, 6).unwrap();
        assert_ne!(small, reseeded);
    }

    #[test]
    fn the_ends_hold_out_nothing_and_everything() {
        assert_eq!(split_held_out(records(50), 0.0, 1).unwrap().held_out, []);
        assert_eq!(split_held_out(records(50), 1.0, 1).unwrap().train, []);
        assert!(split_held_out(records(1), f64::NAN, 1).is_err());
        assert!(split_held_out(records(1), 1.5, 1).is_err());
    }
}
