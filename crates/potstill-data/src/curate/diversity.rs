//! The records that are most unlike each other.

use rayon::prelude::*;
use serde_json::{Value, json};

use super::shingles::Shingles;
use super::signature::Hashes;
use crate::{Corpus, GlobalStage, Outcome, StageContext, StageError, Verdict};

/// Keeps so many records, each the one that resembles those before it least.
///
/// Farthest-first traversal (Gonzalez, 1985) on the estimated overlap of texts: at most twice as far
/// from the best possible choice as any. It begins with the record of the highest score, or the
/// first; of records that are equally far the higher score wins, then the earlier. Memory: 512 bytes
/// a record; time: records × kept.
#[derive(Clone, Debug)]
pub struct KeepDiverse {
    count: usize,
    shingles: Shingles,
    score: Option<String>,
}

impl KeepDiverse {
    /// Keeps `count` records, compared by these pieces.
    #[must_use]
    pub fn new(count: usize, shingles: Shingles) -> Self {
        Self {
            count,
            shingles,
            score: None,
        }
    }

    /// Prefers records with a higher number under this key of `meta`.
    #[must_use]
    pub fn preferring(mut self, score: impl Into<String>) -> Self {
        self.score = Some(score.into());
        self
    }
}

impl GlobalStage for KeepDiverse {
    fn name(&self) -> &'static str {
        "keep-diverse"
    }

    fn configuration(&self) -> Value {
        json!({"count": self.count, "shingles": self.shingles, "score": self.score})
    }

    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        context: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError> {
        let hashes = Hashes::new(context.seed());
        let mut signatures = Vec::new();
        let mut scores = Vec::new();
        for record in corpus.records() {
            let record = record?;
            signatures.push(hashes.signature(&self.shingles.hashes(&record.text())));
            let score = self
                .score
                .as_ref()
                .and_then(|key| record.meta.get(key)?.as_f64());
            scores.push(score.unwrap_or(f64::NEG_INFINITY));
        }
        // Values in which a record differs from the nearest one that is kept.
        let mut distances = vec![usize::MAX; signatures.len()];
        let mut kept = vec![false; signatures.len()];
        for _ in 0..self.count.min(signatures.len()) {
            let farthest = (0..signatures.len())
                .filter(|&row| !kept[row])
                .max_by(|&a, &b| {
                    let by_score = || scores[a].total_cmp(&scores[b]);
                    distances[a]
                        .cmp(&distances[b])
                        .then_with(by_score)
                        .then(b.cmp(&a))
                });
            let Some(next) = farthest else { break };
            kept[next] = true;
            let newest = signatures[next];
            distances
                .par_iter_mut()
                .zip(&signatures)
                .for_each(|(distance, signature)| {
                    let differing = signature
                        .iter()
                        .zip(&newest)
                        .filter(|(a, b)| a != b)
                        .count();
                    *distance = differing.min(*distance);
                });
        }
        Ok(Box::new(move |row, record| {
            if kept.get(row as usize).copied().unwrap_or(false) {
                Outcome::kept(record)
            } else {
                Outcome::rejected("like others", record)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{Content, Record};

    fn kept(stage: &KeepDiverse, records: &[Record]) -> Vec<usize> {
        let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>> + '_> {
            Box::new(records.iter().cloned().map(Ok))
        };
        let clock = || Timestamp::UNIX_EPOCH;
        let mut verdict = stage
            .survey(Corpus::new(&read), &StageContext::new(1, &clock))
            .unwrap();
        (0..records.len())
            .filter(|&row| matches!(verdict(row as u64, records[row].clone()), Outcome::Kept(_)))
            .collect()
    }

    #[test]
    fn one_of_each_kind_is_kept_before_two_of_one() {
        let texts = [
            "add two numbers please",
            "add two numbers please now",
            "sing a song of the sea",
            "sing a song of the sea again",
            "what is the capital of France",
        ];
        let mut records: Vec<Record> = texts
            .iter()
            .map(|text| Content::Text((*text).into()).into())
            .collect();
        let three = KeepDiverse::new(3, Shingles::Words(1));
        assert_eq!(kept(&three, &records), [0, 2, 4]);
        records[1].meta.insert("score".into(), 5.into());
        records[3].meta.insert("score".into(), 4.into());
        let preferring = kept(&three.clone().preferring("score"), &records);
        assert!(
            preferring.contains(&1) && preferring.contains(&4),
            "{preferring:?}"
        );
        assert_eq!(
            kept(&KeepDiverse::new(9, Shingles::Words(1)), &records).len(),
            5
        );
    }
}
