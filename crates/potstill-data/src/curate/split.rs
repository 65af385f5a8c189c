//! A held-out part that shares nothing with the rest.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::NearDuplicates;
use crate::held_out::uniform;
use crate::{Corpus, Error, GlobalStage, Outcome, Record, StageContext, StageError, Verdict};

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

/// [`split_by_cluster`] for records that memory does not hold: notes under `meta.split` which part a
/// record belongs to, "train" or "held_out".
///
/// What the first record of a cluster says and the seed decide where all of it goes, so that a
/// cluster stays where it is when others come and go, and the share is met only on average.
#[derive(Clone, Debug)]
pub struct HoldOutClusters {
    duplicates: NearDuplicates,
    share: f64,
    seed: u64,
}

impl HoldOutClusters {
    /// Holds out about `share` of the clusters that `duplicates` finds.
    ///
    /// # Panics
    ///
    /// Panics if the share is not between 0 and 1.
    #[must_use]
    pub fn new(duplicates: NearDuplicates, share: f64, seed: u64) -> Self {
        assert!(
            share > 0.0 && share < 1.0,
            "the held-out share is {share}, it must be between 0 and 1"
        );
        Self {
            duplicates,
            share,
            seed,
        }
    }
}

impl GlobalStage for HoldOutClusters {
    fn name(&self) -> &'static str {
        "hold-out-clusters"
    }

    fn configuration(&self) -> Value {
        json!({"duplicates": self.duplicates.configuration(), "share": self.share, "seed": self.seed})
    }

    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        _: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError> {
        let first = self.duplicates.first_of_each(corpus)?;
        let mut is_held_out = vec![false; first.len()];
        Ok(Box::new(move |row, mut record| {
            let first = first[row as usize] as usize;
            if first as u64 == row {
                is_held_out[first] = uniform(&record.content_hash(), self.seed) < self.share;
            }
            let part = if is_held_out[first] {
                "held_out"
            } else {
                "train"
            };
            record.meta.insert("split".into(), part.into());
            Outcome::kept(record)
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Content;

    fn clusters_of_four() -> Vec<Record> {
        (0..200)
            .map(|i| {
                let words: Vec<String> = (0..30)
                    .map(|word| format!("w{}", (i / 4) * 100 + word))
                    .collect();
                Content::Text(format!("{} version {}", words.join(" "), i % 4)).into()
            })
            .collect()
    }

    fn topic(record: &Record) -> String {
        record.text().split(' ').next().unwrap().to_owned()
    }

    #[test]
    fn a_stream_is_split_by_clusters_too() {
        let records = clusters_of_four();
        let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>> + '_> {
            Box::new(records.iter().cloned().map(Ok))
        };
        let clock = || Timestamp::UNIX_EPOCH;
        let split = HoldOutClusters::new(NearDuplicates::new(Default::default()), 0.3, 5);
        let mut verdict = split
            .survey(Corpus::new(&read), &StageContext::new(0, &clock))
            .unwrap();
        let mut parts = std::collections::BTreeMap::new();
        for (row, record) in (0..).zip(&records) {
            let Outcome::Kept(kept) = verdict(row, record.clone()) else {
                panic!("nothing is rejected")
            };
            let part = kept[0].meta["split"].as_str().unwrap().to_owned();
            assert_eq!(
                parts.entry(topic(record)).or_insert_with(|| part.clone()),
                &part
            );
        }
        let held_out = parts.values().filter(|part| *part == "held_out").count();
        assert!((5..25).contains(&held_out), "{held_out}");
    }

    #[test]
    fn near_duplicates_never_straddle() {
        let records = clusters_of_four();
        let duplicates = NearDuplicates::new(Default::default());
        let split = split_by_cluster(records.clone(), &duplicates, 0.2, 3).unwrap();
        assert_eq!((split.train.len(), split.held_out.len()), (160, 40));
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
