//! Tests of near duplicates.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::shingles::jaccard;
use super::*;
use crate::{Content, Record};

fn clusters(options: NearDuplicatesOptions, texts: &[String]) -> Vec<Vec<u64>> {
    let records = records(texts);
    let read = move || -> Box<dyn Iterator<Item = Result<Record, StageError>>> {
        Box::new(records.clone().into_iter().map(Ok))
    };
    NearDuplicates::new(options)
        .clusters(Corpus::new(&read))
        .unwrap()
}

fn records(texts: &[String]) -> Vec<Record> {
    texts
        .iter()
        .map(|text| Content::Text(text.clone()).into())
        .collect()
}

/// Sentences, and versions of them with more and more words replaced.
fn corpus(sentences: usize, seed: u64) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut texts = Vec::new();
    for _ in 0..sentences {
        let mut words: Vec<u32> = (0..120).map(|_| rng.random_range(0..5000)).collect();
        for _ in 0..rng.random_range(1..6) {
            let text: Vec<String> = words.iter().map(|word| format!("w{word}")).collect();
            texts.push(text.join(" "));
            for _ in 0..rng.random_range(0..6) {
                let at = rng.random_range(0..words.len());
                words[at] = rng.random_range(0..5000);
            }
        }
    }
    texts
}

/// Every pair at the threshold, by comparing all.
fn all_pairs(options: NearDuplicatesOptions, texts: &[String]) -> BTreeSet<(u64, u64)> {
    let pieces: Vec<Vec<u64>> = texts
        .iter()
        .map(|text| options.shingles.hashes(text))
        .collect();
    let mut pairs = BTreeSet::new();
    for (i, a) in pieces.iter().enumerate() {
        for (j, b) in pieces.iter().enumerate().skip(i + 1) {
            if jaccard(a, b) >= options.threshold {
                pairs.insert((i as u64, j as u64));
            }
        }
    }
    pairs
}

#[test]
fn nearly_all_pairs_are_found_and_no_others() {
    let options = NearDuplicatesOptions::default();
    let texts = corpus(300, 5);
    let exact = all_pairs(options, &texts);
    let found: Vec<BTreeSet<u64>> = clusters(options, &texts)
        .into_iter()
        .map(|cluster| cluster.into_iter().collect())
        .collect();
    assert!(exact.len() > 300, "{}", exact.len());
    let together = |(a, b): &(u64, u64)| {
        found
            .iter()
            .any(|cluster| cluster.contains(a) && cluster.contains(b))
    };
    let recall = exact.iter().filter(|pair| together(pair)).count() as f64 / exact.len() as f64;
    assert!(recall >= 0.95, "{recall}");
    // Every member of a cluster resembles another member.
    for cluster in &found {
        for &row in cluster {
            let neighbor = |&other: &u64| exact.contains(&(row.min(other), row.max(other)));
            assert!(cluster.iter().any(neighbor), "{row} of {cluster:?}");
        }
    }
}

#[test]
fn of_both_members_of_a_pair_one_survives() {
    let texts: Vec<String> = [
        "one two three four five six",
        "something else",
        "one two three four five six!",
    ]
    .map(str::to_owned)
    .into();
    let records = records(&texts);
    let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>>> {
        Box::new(records.clone().into_iter().map(Ok))
    };
    let clock = || Timestamp::UNIX_EPOCH;
    let kept = |survivor| {
        let stage = NearDuplicates::new(NearDuplicatesOptions {
            survivor,
            ..Default::default()
        });
        let mut verdict = stage
            .survey(Corpus::new(&read), &StageContext::new(0, &clock))
            .unwrap();
        let kept: Vec<u64> = (0..3)
            .filter(|&row| {
                matches!(
                    verdict(row, records[row as usize].clone()),
                    Outcome::Kept(_)
                )
            })
            .collect();
        kept
    };
    assert_eq!(kept(Survivor::First), [0, 1]);
    assert_eq!(kept(Survivor::Longest), [1, 2]);
}

#[test]
fn many_copies_are_no_quadratic_work() {
    let texts = vec!["the same sentence over and over again".to_owned(); 20_000];
    assert_eq!(
        clusters(NearDuplicatesOptions::default(), &texts),
        [(0..20_000).collect::<Vec<u64>>()]
    );
}

#[test]
fn texts_without_words_are_only_equal_if_they_are_the_same() {
    let texts: Vec<String> = ["!!!", "???", "!!!"].map(str::to_owned).into();
    assert_eq!(clusters(NearDuplicatesOptions::default(), &texts), [[0, 2]]);
}

proptest! {
    #[test]
    fn clusters_are_disjoint_and_named_in_order(texts in prop::collection::vec("[ab ]{0,12}", 0..30)) {
        let options = NearDuplicatesOptions { shingles: Shingles::Characters(3), ..Default::default() };
        let mut seen = BTreeSet::new();
        for cluster in clusters(options, &texts) {
            prop_assert!(cluster.len() > 1 && cluster.is_sorted());
            prop_assert!(cluster.iter().all(|row| seen.insert(*row)));
        }
    }
}
