//! One record of each cluster of nearly equal ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::search::Search;
use super::shingles::Shingles;
use crate::{Corpus, GlobalStage, Outcome, Rejected, StageContext, StageError, Verdict};

mod columns;
mod search;

/// Which record of a cluster stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Survivor {
    /// The one that came first.
    First,
    /// The one with the most text; the first of several.
    Longest,
}

/// Settings of [`NearDuplicates`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearDuplicatesOptions {
    /// What texts are cut into.
    pub shingles: Shingles,
    /// Records that share at least this part of their pieces (Jaccard) are the same, in `(0, 1]`.
    pub threshold: f64,
    /// Probability that two records exactly at the threshold are compared at all.
    pub recall: f64,
    /// Which one stays.
    pub survivor: Survivor,
    /// Seed of the hash functions.
    pub seed: u64,
}

impl Default for NearDuplicatesOptions {
    /// Five words, at least 0.8 alike, the first stays.
    fn default() -> Self {
        Self {
            shingles: Shingles::Words(5),
            threshold: 0.8,
            recall: 0.99,
            survivor: Survivor::First,
            seed: 0,
        }
    }
}

/// Keeps one record of each cluster of nearly equal ones.
///
/// MinHash finds pairs that may be alike, their pieces decide whether they are, and clusters are the
/// connected components: a record that resembles one that resembles a third is in one cluster with
/// both. Exact duplicates are in a cluster whatever the threshold.
///
/// Signatures, and the pieces of what has to be compared, go to temporary files. Memory: about 50
/// bytes a record. Disk: about 200 bytes a record, and 4 bytes a word of what has to be compared.
#[derive(Clone, Debug)]
pub struct NearDuplicates {
    options: NearDuplicatesOptions,
    scratch: Option<PathBuf>,
}

impl NearDuplicates {
    /// # Panics
    ///
    /// Panics if the threshold or the recall is not in `(0, 1]`.
    #[must_use]
    pub fn new(options: NearDuplicatesOptions) -> Self {
        for value in [options.threshold, options.recall] {
            assert!(
                value > 0.0 && value <= 1.0,
                "{value} must be above 0 and at most 1"
            );
        }
        Self {
            options,
            scratch: None,
        }
    }

    /// Where temporary files are written, if not where the system keeps them. The folder must be
    /// there.
    #[must_use]
    pub fn with_scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// The clusters of more than one record: ascending numbers of records, in the order of the first.
    ///
    /// # Errors
    ///
    /// When a record cannot be read, or a temporary file not be written.
    pub fn clusters(&self, corpus: Corpus<'_>) -> Result<Vec<Vec<u64>>, StageError> {
        let first = self.first_of_each(corpus)?;
        let mut clusters: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (row, &first) in (0..).zip(&first) {
            if first != row {
                let cluster = clusters.entry(first);
                cluster
                    .or_insert_with(|| vec![first.into()])
                    .push(row.into());
            }
        }
        Ok(clusters.into_values().collect())
    }

    /// For each record the first one of its cluster.
    pub(super) fn first_of_each(&self, corpus: Corpus<'_>) -> Result<Vec<u32>, StageError> {
        Search::over(corpus, self.options, self.scratch.as_deref())?.first_of_each()
    }
}

impl GlobalStage for NearDuplicates {
    fn name(&self) -> &'static str {
        "near-duplicates"
    }

    fn configuration(&self) -> Value {
        serde_json::to_value(self.options).unwrap_or_default()
    }

    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        _: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError> {
        let first = self.first_of_each(corpus)?;
        let survivors = match self.options.survivor {
            Survivor::First => first,
            Survivor::Longest => longest(&first, corpus)?,
        };
        Ok(Box::new(move |row, record| {
            let survivor = u64::from(survivors[row as usize]);
            if survivor == row {
                Outcome::kept(record)
            } else {
                Outcome::Rejected(
                    Rejected::new("near duplicate", record)
                        .with_detail(format!("record {survivor} of this stage's input stays")),
                )
            }
        }))
    }
}

/// For each record the one of its cluster with the most text, given the first one.
fn longest(first: &[u32], corpus: Corpus<'_>) -> Result<Vec<u32>, StageError> {
    // Of each cluster, under its first record: the longest so far, and its length.
    let mut longest: Vec<(u32, usize)> = (0..).zip(first).map(|(row, _)| (row, 0)).collect();
    for ((row, &first), record) in (0..).zip(first).zip(corpus.records()) {
        let length = record?.text_bytes();
        let best = &mut longest[first as usize];
        if length > best.1 {
            *best = (row, length);
        }
    }
    Ok(first
        .iter()
        .map(|&first| longest[first as usize].0)
        .collect())
}

#[cfg(test)]
mod tests;
