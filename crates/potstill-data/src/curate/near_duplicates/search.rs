//! Which records are alike.
//!
//! ```text
//! first reading    a hash of the content and one for each band of the signature   ─▶ columns
//! column by column rows with the same content, and rows that agree in a band      ─▶ groups
//! second reading   the pieces of rows in groups                                    ─▶ lists
//! group by group   rows at the threshold are joined, unless they are already
//! ```

use std::collections::{HashMap, HashSet};
use std::path::Path;

use petgraph::unionfind::UnionFind;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::NearDuplicatesOptions;
use super::columns::{Column, Lists};
use crate::curate::shingles::jaccard;
use crate::curate::signature::{Bands, Hashes};
use crate::{Corpus, Record, StageError};

/// Records that are hashed at a time.
const BATCH: usize = 4096;
/// Pieces that a comparison keeps at hand.
const CACHED_PIECES: usize = 8 << 20;

/// A search that has read the records once.
pub(super) struct Search<'c, 's> {
    corpus: Corpus<'c>,
    options: NearDuplicatesOptions,
    scratch: Option<&'s Path>,
    /// Whether there is nothing to compare: a copy of an earlier record, or no pieces.
    settled: Vec<bool>,
    /// The two halves of a hash of the content.
    contents: [Column; 2],
    bands: Vec<Column>,
}

impl<'c, 's> Search<'c, 's> {
    pub(super) fn over(
        corpus: Corpus<'c>,
        options: NearDuplicatesOptions,
        scratch: Option<&'s Path>,
    ) -> Result<Self, StageError> {
        let hashes = Hashes::new(options.seed);
        let bands = Bands::finding(options.threshold, options.recall);
        let mut search = Self {
            corpus,
            options,
            scratch,
            settled: Vec::new(),
            contents: [Column::new(scratch), Column::new(scratch)],
            bands: (0..bands.bands).map(|_| Column::new(scratch)).collect(),
        };
        let mut records = corpus.records();
        loop {
            let batch: Vec<Record> = records.by_ref().take(BATCH).collect::<Result<_, _>>()?;
            if batch.is_empty() {
                return Ok(search);
            }
            let keys: Vec<([u8; 32], Option<Vec<u64>>)> = batch
                .par_iter()
                .map(|record| {
                    let pieces = options.shingles.hashes(&record.text());
                    let keys = (!pieces.is_empty())
                        .then(|| bands.of(&hashes.signature(&pieces)).collect());
                    (record.content_hash(), keys)
                })
                .collect();
            if search.settled.len() + keys.len() > u32::MAX as usize {
                return Err(StageError::new(
                    "more than 2^32 records; split the corpus first",
                ));
            }
            for (content, keys) in keys {
                search.note(content, keys).map_err(StageError::new)?;
            }
        }
    }

    fn note(&mut self, content: [u8; 32], keys: Option<Vec<u64>>) -> std::io::Result<()> {
        let (parts, _) = content.as_chunks::<8>();
        for (column, part) in self.contents.iter_mut().zip(parts) {
            column.push(u64::from_le_bytes(*part))?;
        }
        self.settled.push(keys.is_none());
        let keys = keys.unwrap_or_else(|| vec![0; self.bands.len()]);
        self.bands
            .iter_mut()
            .zip(keys)
            .try_for_each(|(column, key)| column.push(key))
    }

    /// For each record the first one of its cluster.
    pub(super) fn first_of_each(mut self) -> Result<Vec<u32>, StageError> {
        let rows = self.settled.len();
        let mut clusters = UnionFind::<u32>::new(rows);
        self.join_copies(&mut clusters).map_err(StageError::new)?;
        let groups = self.groups().map_err(StageError::new)?;
        let pieces = self.pieces(&groups)?;
        let mut comparison = Comparison {
            pieces,
            cache: HashMap::new(),
            cached: 0,
            threshold: self.options.threshold,
        };
        for group in groups.iter() {
            comparison
                .join(group, &mut clusters)
                .map_err(StageError::new)?;
        }
        let labels = clusters.into_labeling();
        let mut first: Vec<Option<u32>> = vec![None; rows];
        Ok((0..)
            .zip(labels)
            .map(|(row, label)| *first[label as usize].get_or_insert(row))
            .collect())
    }

    fn join_copies(&mut self, clusters: &mut UnionFind<u32>) -> std::io::Result<()> {
        let [upper, lower] = std::mem::replace(
            &mut self.contents,
            [Column::new(self.scratch), Column::new(self.scratch)],
        );
        let mut contents: Vec<(u64, u64, u32)> = Vec::with_capacity(self.settled.len());
        upper.read(|upper| contents.push((upper, 0, contents.len() as u32)))?;
        let mut row = 0;
        lower.read(|lower| {
            contents[row].1 = lower;
            row += 1;
        })?;
        contents.par_sort_unstable();
        for copies in contents.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            for copy in &copies[1..] {
                clusters.union(copies[0].2, copy.2);
                // Copies are not compared, so that a thousand of them are not a million pairs.
                self.settled[copy.2 as usize] = true;
            }
        }
        Ok(())
    }

    /// Rows that agree in a band, for all bands.
    fn groups(&mut self) -> std::io::Result<Groups> {
        let mut groups = Groups::default();
        for column in std::mem::take(&mut self.bands) {
            let mut keys: Vec<(u64, u32)> = Vec::new();
            let mut row = 0;
            column.read(|key| {
                if !self.settled[row] {
                    keys.push((key, row as u32));
                }
                row += 1;
            })?;
            keys.par_sort_unstable();
            for group in keys.chunk_by(|a, b| a.0 == b.0) {
                if group.len() > 1 {
                    groups.push(group.iter().map(|(_, row)| *row));
                }
            }
        }
        Ok(groups)
    }

    /// The pieces of all rows in groups.
    fn pieces(&self, groups: &Groups) -> Result<Lists, StageError> {
        let mut wanted = vec![false; self.settled.len()];
        for &row in &groups.rows {
            wanted[row as usize] = true;
        }
        let mut lists = Lists::new(self.scratch);
        if groups.rows.is_empty() {
            return Ok(lists);
        }
        let shingles = self.options.shingles;
        let mut records = (0u32..).zip(self.corpus.records());
        loop {
            let batch: Vec<(u32, Record)> = records
                .by_ref()
                .take(BATCH)
                .map(|(row, record)| Ok((row, record?)))
                .collect::<Result<_, StageError>>()?;
            if batch.is_empty() {
                lists.flush().map_err(StageError::new)?;
                return Ok(lists);
            }
            let pieces: Vec<(u32, Vec<u32>)> = batch
                .into_par_iter()
                .filter(|(row, _)| wanted[*row as usize])
                .map(|(row, record)| {
                    // Half of a hash is enough to tell the pieces of two texts apart.
                    let hashes = shingles.hashes(&record.text());
                    let mut halves: Vec<u32> =
                        hashes.into_iter().map(|hash| (hash >> 32) as u32).collect();
                    halves.dedup();
                    (row, halves)
                })
                .collect();
            for (row, pieces) in pieces {
                lists.push(row, &pieces).map_err(StageError::new)?;
            }
        }
    }
}

/// Rows that may be alike.
#[derive(Debug, Default)]
struct Groups {
    rows: Vec<u32>,
    lengths: Vec<u32>,
    /// Hashes of the groups so far: what is alike agrees in many bands.
    seen: HashSet<u64>,
}

impl Groups {
    fn push(&mut self, rows: impl Iterator<Item = u32>) {
        let begin = self.rows.len();
        self.rows.extend(rows);
        let hash = self.rows[begin..].iter().fold(0u64, |hash, row| {
            xxh3_64_with_seed(&row.to_le_bytes(), hash)
        });
        if self.seen.insert(hash) {
            self.lengths.push((self.rows.len() - begin) as u32);
        } else {
            self.rows.truncate(begin);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut rest = self.rows.as_slice();
        self.lengths
            .iter()
            .filter_map(move |&length| rest.split_off(..length as usize))
    }
}

/// Comparing the pieces of rows.
struct Comparison {
    pieces: Lists,
    cache: HashMap<u32, Vec<u32>>,
    cached: usize,
    threshold: f64,
}

impl Comparison {
    /// Joins the rows of a group that are alike. Rows that are in one cluster are not compared.
    fn join(&mut self, group: &[u32], clusters: &mut UnionFind<u32>) -> std::io::Result<()> {
        // Rows of the group that belong together.
        let mut parts: Vec<Vec<u32>> = Vec::new();
        for &row in group {
            let mut own = vec![row];
            let mut others = Vec::new();
            for part in parts {
                if clusters.find_mut(part[0]) == clusters.find_mut(row)
                    || self.is_like_any(row, &part)?
                {
                    clusters.union(part[0], row);
                    own.extend(part);
                } else {
                    others.push(part);
                }
            }
            others.push(own);
            parts = others;
        }
        Ok(())
    }

    fn is_like_any(&mut self, row: u32, others: &[u32]) -> std::io::Result<bool> {
        for &other in others {
            if self.cached > CACHED_PIECES {
                self.cache.clear();
                self.cached = 0;
            }
            self.load(row)?;
            self.load(other)?;
            if jaccard(&self.cache[&row], &self.cache[&other]) >= self.threshold {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn load(&mut self, row: u32) -> std::io::Result<()> {
        if !self.cache.contains_key(&row) {
            let pieces = self.pieces.get(row)?;
            self.cached += pieces.len();
            self.cache.insert(row, pieces);
        }
        Ok(())
    }
}
