//! Records that were scored, by a judge, a reward model or a loss.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Corpus, GlobalStage, Outcome, Record, StageContext, StageError, Verdict};

/// Which scores are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// At least this score.
    AtLeast(f64),
    /// At most this score, for losses.
    AtMost(f64),
    /// Between these two, both included: neither too easy nor too hard.
    Between(f64, f64),
    /// This share of the records, the highest scores first, in `(0, 1]`.
    HighestShare(f64),
    /// This share of the records, the lowest scores first.
    LowestShare(f64),
}

/// Keeps records by a number that they carry under a key of `meta`.
#[derive(Clone, Debug)]
pub struct KeepScores {
    key: String,
    wanted: Wanted,
}

impl KeepScores {
    /// Keeps what is wanted of the scores under this key.
    #[must_use]
    pub fn new(key: impl Into<String>, wanted: Wanted) -> Self {
        Self {
            key: key.into(),
            wanted,
        }
    }

    fn score(&self, record: &Record) -> Option<f64> {
        record
            .meta
            .get(&self.key)
            .and_then(Value::as_f64)
            .filter(|score| score.is_finite())
    }

    /// The bounds of the scores that are kept. Of equal scores at a bound all are.
    fn bounds(&self, corpus: Corpus<'_>) -> Result<(f64, f64), StageError> {
        const NONE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
        let (share, highest) = match self.wanted {
            Wanted::AtLeast(least) => return Ok((least, NONE.1)),
            Wanted::AtMost(most) => return Ok((NONE.0, most)),
            Wanted::Between(least, most) => return Ok((least, most)),
            Wanted::HighestShare(share) => (share, true),
            Wanted::LowestShare(share) => (share, false),
        };
        let mut scores = Vec::new();
        for record in corpus.records() {
            scores.extend(self.score(&record?));
        }
        scores.sort_by(f64::total_cmp);
        let count = (share * scores.len() as f64).ceil() as usize;
        Ok(match (count, highest) {
            (0, _) => NONE,
            (count, true) => (scores[scores.len() - count.min(scores.len())], NONE.1),
            (count, false) => (NONE.0, scores[count.min(scores.len()) - 1]),
        })
    }
}

impl GlobalStage for KeepScores {
    fn name(&self) -> &'static str {
        "keep-scores"
    }

    fn configuration(&self) -> Value {
        serde_json::json!({"key": self.key, "wanted": self.wanted})
    }

    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        _: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError> {
        let (least, most) = self.bounds(corpus)?;
        Ok(Box::new(move |_, record| match self.score(&record) {
            None => Outcome::rejected("no score", record),
            Some(score) if score < least => Outcome::rejected("low score", record),
            Some(score) if score > most => Outcome::rejected("high score", record),
            Some(_) => Outcome::kept(record),
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Content;

    fn kept(wanted: Wanted, scores: &[Value]) -> Vec<usize> {
        let records: Vec<Record> = scores
            .iter()
            .map(|score| {
                let mut record: Record = Content::Text("text".into()).into();
                record.meta.insert("score".into(), score.clone());
                record
            })
            .collect();
        let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>>> {
            Box::new(records.clone().into_iter().map(Ok))
        };
        let clock = || Timestamp::UNIX_EPOCH;
        let stage = KeepScores::new("score", wanted);
        let mut verdict = stage
            .survey(Corpus::new(&read), &StageContext::new(0, &clock))
            .unwrap();
        (0..records.len())
            .filter(|&row| matches!(verdict(row as u64, records[row].clone()), Outcome::Kept(_)))
            .collect()
    }

    #[test]
    fn scores_decide() {
        let scores: Vec<Value> = [3.0, 9.0, 5.0, 7.0].map(Value::from).into();
        assert_eq!(kept(Wanted::AtLeast(5.0), &scores), [1, 2, 3]);
        assert_eq!(kept(Wanted::AtMost(5.0), &scores), [0, 2]);
        assert_eq!(kept(Wanted::Between(4.0, 8.0), &scores), [2, 3]);
        assert_eq!(kept(Wanted::HighestShare(0.5), &scores), [1, 3]);
        assert_eq!(kept(Wanted::LowestShare(0.25), &scores), [0]);
    }

    #[test]
    fn a_record_without_a_score_is_rejected_and_counted() {
        assert_eq!(
            kept(
                Wanted::AtLeast(0.0),
                &["high".into(), Value::Null, 1.into()]
            ),
            [2]
        );
    }
}
