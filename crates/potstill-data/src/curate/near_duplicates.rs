//! One record of each cluster of nearly equal ones.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::unionfind::UnionFind;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shingles::{Shingles, jaccard};
use super::signature::{Bands, Hashes};
use crate::{Corpus, GlobalStage, Outcome, Record, Rejected, StageContext, StageError, Verdict};

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
/// both. Exact duplicates are in a cluster whatever the threshold. Memory: about 250 bytes a record,
/// and the pieces of those that were compared.
#[derive(Clone, Debug)]
pub struct NearDuplicates {
    options: NearDuplicatesOptions,
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
        Self { options }
    }

    /// The clusters of more than one record: ascending numbers of records, in the order of the first.
    ///
    /// # Errors
    ///
    /// When a record cannot be read.
    pub fn clusters(&self, corpus: Corpus<'_>) -> Result<Vec<Vec<u64>>, StageError> {
        let candidates = self.candidates(corpus)?;
        let pieces = self.pieces_of(&candidates.similar, corpus)?;
        let alike: Vec<(u32, u32)> = candidates
            .similar
            .into_par_iter()
            .filter(|(a, b)| jaccard(&pieces[a], &pieces[b]) >= self.options.threshold)
            .collect();
        let mut sets = UnionFind::<u32>::new(candidates.records as usize);
        let mut clusters: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        let pairs: Vec<(u32, u32)> = candidates.equal.into_iter().chain(alike).collect();
        for &(a, b) in &pairs {
            sets.union(a, b);
        }
        for (a, b) in pairs {
            clusters
                .entry(sets.find(a))
                .or_default()
                .extend([u64::from(a), u64::from(b)]);
        }
        let mut clusters: Vec<Vec<u64>> = clusters
            .into_values()
            .map(|cluster| cluster.into_iter().collect())
            .collect();
        clusters.sort_unstable();
        Ok(clusters)
    }

    fn candidates(&self, corpus: Corpus<'_>) -> Result<Candidates, StageError> {
        const BATCH: usize = 4096;
        let hashes = Hashes::new(self.options.seed);
        let bands = Bands::finding(self.options.threshold, self.options.recall);
        let mut found = Candidates::default();
        let mut firsts: HashMap<[u8; 32], u32> = HashMap::new();
        let mut buckets: HashMap<(u32, u64), Vec<u32>> = HashMap::new();
        let mut records = corpus.records();
        loop {
            let batch: Vec<Record> = records.by_ref().take(BATCH).collect::<Result<_, _>>()?;
            if batch.is_empty() {
                return Ok(found);
            }
            let keys: Vec<([u8; 32], Vec<u64>)> = batch
                .par_iter()
                .map(|record| {
                    let pieces = self.options.shingles.hashes(&record.text());
                    let keys = if pieces.is_empty() {
                        Vec::new()
                    } else {
                        bands.of(&hashes.signature(&pieces)).collect()
                    };
                    (record.content_hash(), keys)
                })
                .collect();
            for (content, keys) in keys {
                let row = found.records;
                found.records = row.checked_add(1).ok_or_else(|| {
                    StageError::new("more than 2^32 records; split the corpus first")
                })?;
                match firsts.entry(content) {
                    // Copies do not enter the buckets, so that a thousand of them are not a million pairs.
                    Entry::Occupied(first) => found.equal.push((*first.get(), row)),
                    Entry::Vacant(place) => {
                        place.insert(row);
                        for (band, key) in (0..).zip(keys) {
                            let bucket = buckets.entry((band, key)).or_default();
                            found
                                .similar
                                .extend(bucket.iter().map(|&earlier| (earlier, row)));
                            bucket.push(row);
                        }
                    }
                }
            }
        }
    }

    fn pieces_of(
        &self,
        candidates: &BTreeSet<(u32, u32)>,
        corpus: Corpus<'_>,
    ) -> Result<BTreeMap<u32, Vec<u64>>, StageError> {
        let wanted: BTreeSet<u32> = candidates.iter().flat_map(|&(a, b)| [a, b]).collect();
        let mut pieces = BTreeMap::new();
        for (row, record) in (0..).zip(corpus.records()) {
            let record = record?;
            if wanted.contains(&row) {
                pieces.insert(row, self.options.shingles.hashes(&record.text()));
            }
        }
        Ok(pieces)
    }
}

/// What a first reading finds.
#[derive(Debug, Default)]
struct Candidates {
    records: u32,
    /// The first record with some content, and a copy of it.
    equal: Vec<(u32, u32)>,
    /// Pairs that agree in a band of their signatures.
    similar: BTreeSet<(u32, u32)>,
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
        let clusters = self.clusters(corpus)?;
        let mut survivors: BTreeMap<u64, u64> = BTreeMap::new();
        let lengths = match self.options.survivor {
            Survivor::First => BTreeMap::new(),
            Survivor::Longest => lengths(&clusters, corpus)?,
        };
        for cluster in &clusters {
            let longest = |&row: &u64| (lengths.get(&row).copied(), std::cmp::Reverse(row));
            if let Some(survivor) = cluster.iter().copied().max_by_key(longest) {
                survivors.extend(cluster.iter().map(|&row| (row, survivor)));
            }
        }
        Ok(Box::new(move |row, record| match survivors.get(&row) {
            Some(&survivor) if survivor != row => Outcome::Rejected(
                Rejected::new("near duplicate", record)
                    .with_detail(format!("record {survivor} of this stage's input stays")),
            ),
            _ => Outcome::kept(record),
        }))
    }
}

/// Bytes of text of the records in clusters.
fn lengths(clusters: &[Vec<u64>], corpus: Corpus<'_>) -> Result<BTreeMap<u64, usize>, StageError> {
    let wanted: BTreeSet<u64> = clusters.iter().flatten().copied().collect();
    let mut lengths = BTreeMap::new();
    for (row, record) in (0..).zip(corpus.records()) {
        let record = record?;
        if wanted.contains(&row) {
            lengths.insert(row, record.text().len());
        }
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests;
