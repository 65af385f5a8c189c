//! Near duplicates beside a comparison of all pairs.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use potstill::data::{Corpus, NearDuplicates, NearDuplicatesOptions, Record, StageError};
use rayon::prelude::*;

use crate::pages;

/// Compares about `wanted` records of `inputs` in both ways and prints recall and precision.
pub(crate) fn compare(inputs: &[PathBuf], wanted: usize) -> Result<()> {
    let records: Vec<Record> = pages::read(inputs)?.filter_map(Result::ok).collect();
    let records = sample(records, wanted);
    let options = NearDuplicatesOptions::default();
    let begun = Instant::now();
    let pieces: Vec<Vec<u64>> = records
        .par_iter()
        .map(|record| options.shingles.hashes(&record.text()))
        .collect();
    let pairs: Vec<(usize, usize)> = (0..records.len())
        .into_par_iter()
        .flat_map_iter(|i| (0..i).map(move |j| (j, i)))
        .filter(|&(i, j)| jaccard(&pieces[i], &pieces[j]) >= options.threshold)
        .collect();
    let exact = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>> + '_> {
        Box::new(records.iter().cloned().map(Ok))
    };
    let clusters = NearDuplicates::new(options).clusters(Corpus::new(&read))?;
    let found = begun.elapsed().as_secs_f64();

    let mut cluster_of = HashMap::new();
    for (number, cluster) in clusters.iter().enumerate() {
        cluster_of.extend(cluster.iter().map(|&row| (row as usize, number)));
    }
    let together =
        |i: &usize, j: &usize| cluster_of.contains_key(i) && cluster_of.get(i) == cluster_of.get(j);
    let hits = pairs.iter().filter(|(i, j)| together(i, j)).count();
    let clustered: usize = clusters
        .iter()
        .map(|cluster| cluster.len() * (cluster.len() - 1) / 2)
        .sum();
    println!(
        "{} records, {} pairs at Jaccard {} by comparing all ({exact:.2} s)",
        records.len(),
        pairs.len(),
        options.threshold,
    );
    println!(
        "MinHash ({found:.2} s): recall {:.4}, precision {:.4} ({} clusters with {clustered} pairs, {hits} of them at the threshold themselves)",
        hits as f64 / pairs.len().max(1) as f64,
        hits as f64 / clustered.max(1) as f64,
        clusters.len(),
    );
    Ok(())
}

/// About `wanted` records. Pages of one name go together, since it is there that copies are.
fn sample(records: Vec<Record>, wanted: usize) -> Vec<Record> {
    let share = wanted as f64 / records.len().max(1) as f64;
    let name = |record: &Record| {
        let path = record.meta.get("path").and_then(|path| path.as_str());
        let file = path.map(|path| path.rsplit('/').next().unwrap_or(path));
        file.map(|file| file.split('.').next().unwrap_or(file).to_owned())
    };
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let drawn = |record: &Record| {
        let hash = match name(record) {
            Some(name) => hasher.hash_one(name),
            None => hasher.hash_one(&*record.text()),
        };
        (hash as f64 / u64::MAX as f64) < share
    };
    records.into_iter().filter(drawn).collect()
}

fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    // At most the shorter one can be in both.
    let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
    if long == 0 || (short as f64) < 0.5 * long as f64 {
        return 0.0;
    }
    let (mut i, mut j, mut common) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        let (left, right) = (a[i], b[j]);
        common += usize::from(left == right);
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    common as f64 / (a.len() + b.len() - common) as f64
}
