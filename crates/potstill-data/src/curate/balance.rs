//! Classes that count alike, by weights and not by copies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Corpus, GlobalStage, Outcome, Record, StageContext, StageError, Verdict};

/// Weighs records so that each class has its share of the whole weight.
///
/// ```text
/// weight ← weight · share(class) · Σ weights / Σ weights of the class
/// ```
///
/// The sum of all weights stays what it was. Repeating records instead would undo the removal of
/// duplicates.
#[derive(Clone, Debug)]
pub struct BalanceClasses {
    key: String,
    shares: Option<BTreeMap<String, f64>>,
}

impl BalanceClasses {
    /// Equal shares for the classes that records name under this key of `meta`.
    #[must_use]
    pub fn equal(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            shares: None,
        }
    }

    /// These shares; they are divided by their sum. Records of other classes are rejected.
    ///
    /// # Panics
    ///
    /// Panics if a share is not above 0.
    #[must_use]
    pub fn shares<T: Into<String>>(
        key: impl Into<String>,
        shares: impl IntoIterator<Item = (T, f64)>,
    ) -> Self {
        let shares: BTreeMap<String, f64> = shares
            .into_iter()
            .map(|(class, share)| (class.into(), share))
            .collect();
        assert!(
            shares
                .values()
                .all(|share| *share > 0.0 && share.is_finite()),
            "the shares {shares:?} must be above 0"
        );
        Self {
            key: key.into(),
            shares: Some(shares),
        }
    }

    fn class(&self, record: &Record) -> Option<String> {
        match record.meta.get(&self.key)? {
            Value::String(class) => Some(class.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }
}

impl GlobalStage for BalanceClasses {
    fn name(&self) -> &'static str {
        "balance-classes"
    }

    fn configuration(&self) -> Value {
        json!({"key": self.key, "shares": self.shares})
    }

    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        _: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError> {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for record in corpus.records() {
            let record = record?;
            if let Some(class) = self.class(&record) {
                *sums.entry(class).or_default() += f64::from(record.weight);
            }
        }
        if let Some(shares) = &self.shares {
            sums.retain(|class, _| shares.contains_key(class));
        }
        sums.retain(|_, sum| *sum > 0.0);
        let share = |class: &str| self.shares.as_ref().map_or(1.0, |shares| shares[class]);
        let (total, shares): (f64, f64) = (
            sums.values().sum(),
            sums.keys().map(|class| share(class)).sum(),
        );
        let factors: BTreeMap<String, f64> = sums
            .iter()
            .map(|(class, sum)| (class.clone(), share(class) / shares * total / sum))
            .collect();
        Ok(Box::new(move |_, mut record| {
            let Some(class) = self.class(&record) else {
                return Outcome::rejected("no class", record);
            };
            if record.weight == 0.0 {
                return Outcome::kept(record);
            }
            match factors.get(&class) {
                Some(factor) => {
                    record.weight = (f64::from(record.weight) * factor) as f32;
                    Outcome::kept(record)
                }
                None => Outcome::rejected("other class", record),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Content;

    fn balanced(stage: &BalanceClasses, classes: &[Option<&str>]) -> Vec<Option<f32>> {
        let records: Vec<Record> = classes
            .iter()
            .map(|class| {
                let mut record: Record = Content::Text("text".into()).into();
                if let Some(class) = class {
                    record.meta.insert("topic".into(), (*class).into());
                }
                record
            })
            .collect();
        let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>>> {
            Box::new(records.clone().into_iter().map(Ok))
        };
        let clock = || Timestamp::UNIX_EPOCH;
        let mut verdict = stage
            .survey(Corpus::new(&read), &StageContext::new(0, &clock))
            .unwrap();
        (0..)
            .zip(records.clone())
            .map(|(row, record)| match verdict(row, record) {
                Outcome::Kept(kept) => Some(kept[0].weight),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn every_class_gets_its_share_and_the_sum_stays() {
        let classes = [Some("math"), Some("math"), Some("math"), Some("code")];
        assert_eq!(
            balanced(&BalanceClasses::equal("topic"), &classes),
            [Some(2.0 / 3.0), Some(2.0 / 3.0), Some(2.0 / 3.0), Some(2.0)]
        );
        let thirds = BalanceClasses::shares("topic", [("math", 1.0), ("code", 3.0)]);
        assert_eq!(balanced(&thirds, &classes)[3], Some(3.0));
    }

    #[test]
    fn records_without_a_wanted_class_are_rejected() {
        let math = BalanceClasses::shares("topic", [("math", 1.0), ("law", 1.0)]);
        assert_eq!(
            balanced(&math, &[Some("math"), Some("code"), None]),
            [Some(1.0), None, None]
        );
    }
}
