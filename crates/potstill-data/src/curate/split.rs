//! A held-out part that shares nothing with the rest.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::NearDuplicates;
use crate::{Corpus, Error, Record, StageError};

/// Records for training and for evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSplit {
    /// The larger part, in the order of the input.
    pub train: Vec<Record>,
    /// About the share that was asked for, in the order of the input.
    pub held_out: Vec<Record>,
}

/// Holds out about `share` of the records so that near duplicates never straddle: a cluster goes to
/// one side as a whole.
///
/// # Errors
///
/// When the share is not between 0 and 1.
pub fn split_by_cluster(
    records: Vec<Record>,
    duplicates: &NearDuplicates,
    share: f64,
    seed: u64,
) -> Result<ClusterSplit, Error> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::HeldOutShare { share });
    }
    let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>> + '_> {
        Box::new(records.iter().cloned().map(Ok))
    };
    let clusters = duplicates
        .clusters(Corpus::new(&read))
        .expect("records in memory can be read, and there are less than 2^32");
    let mut of_each: Vec<Option<usize>> = vec![None; records.len()];
    for (index, cluster) in clusters.iter().enumerate() {
        for &row in cluster {
            of_each[row as usize] = Some(index);
        }
    }
    let mut groups: Vec<Vec<usize>> = clusters
        .into_iter()
        .map(|cluster| cluster.into_iter().map(|row| row as usize).collect())
        .collect();
    groups.extend(
        (0..records.len())
            .filter(|&row| of_each[row].is_none())
            .map(|row| vec![row]),
    );
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));

    let wanted = (share * records.len() as f64).round() as usize;
    let mut is_held_out = vec![false; records.len()];
    let mut held_out = 0;
    for group in groups {
        if held_out + group.len() <= wanted {
            held_out += group.len();
            for row in group {
                is_held_out[row] = true;
            }
        }
    }
    let mut split = ClusterSplit {
        train: Vec::with_capacity(records.len() - held_out),
        held_out: Vec::with_capacity(held_out),
    };
    for (record, is_held_out) in records.into_iter().zip(is_held_out) {
        if is_held_out {
            split.held_out.push(record);
        } else {
            split.train.push(record);
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Content;

    #[test]
    fn near_duplicates_never_straddle() {
        let records: Vec<Record> = (0..200)
            .map(|i| {
                let words: Vec<String> = (0..30)
                    .map(|word| format!("w{}", (i / 4) * 100 + word))
                    .collect();
                Content::Text(format!("{} version {}", words.join(" "), i % 4)).into()
            })
            .collect();
        let duplicates = NearDuplicates::new(Default::default());
        let split = split_by_cluster(records.clone(), &duplicates, 0.2, 3).unwrap();
        assert_eq!((split.train.len(), split.held_out.len()), (160, 40));
        let topic = |record: &Record| record.text().split(' ').next().unwrap().to_owned();
        let held_out: std::collections::BTreeSet<String> =
            split.held_out.iter().map(topic).collect();
        assert_eq!(held_out.len(), 10);
        assert!(
            split
                .train
                .iter()
                .all(|record| !held_out.contains(&topic(record)))
        );
        assert_eq!(
            split,
            split_by_cluster(records, &duplicates, 0.2, 3).unwrap()
        );
    }

    #[test]
    fn a_share_that_is_none_is_refused() {
        let error = split_by_cluster(Vec::new(), &NearDuplicates::new(Default::default()), 1.0, 0);
        assert!(matches!(error, Err(Error::HeldOutShare { .. })));
    }
}
