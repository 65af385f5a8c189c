//! Records that give away what a model will be tested on.
//!
//! A record is compared with named evaluation sets in three ways: the same text but for case and
//! punctuation; a run of 13 words in common (GPT-3, arXiv:2005.14165, appendix C); a run of 8 words
//! in common (the rule of open-r1). The share of an item's runs that a record has tells a chance hit
//! from a copy.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use super::words::Words;
use crate::{Outcome, Record, Rejected, Stage, StageContext, StageError};

/// How closely a record resembles an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// A run of 8 words.
    EightWords,
    /// A run of 13 words.
    ThirteenWords,
    /// All words.
    Whole,
}

/// What becomes of a record that gives something away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnContamination {
    /// It is marked under `meta.contamination`.
    Mark,
    /// It is rejected from this overlap on.
    Reject(Overlap),
}

/// An item of an evaluation set that a record resembles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contamination {
    /// The set.
    pub set: String,
    /// Number of the item, from 0.
    pub item: usize,
    /// How closely.
    pub overlap: Overlap,
    /// Share of the item's runs of 8 words that the record has, in `[0, 1]`.
    pub coverage: f64,
}

/// Finds records that resemble items of evaluation sets.
#[derive(Clone, Debug)]
pub struct Decontaminate {
    names: Vec<String>,
    items: Vec<Item>,
    /// Items by the hash of a run of words.
    runs: [HashMap<u64, Vec<usize>>; 2],
    whole: HashMap<u64, Vec<usize>>,
    fingerprint: String,
    on_contamination: OnContamination,
}

#[derive(Clone, Debug)]
struct Item {
    set: usize,
    number: usize,
    runs: usize,
}

const LENGTHS: [usize; 2] = [8, 13];

impl Decontaminate {
    /// Compares with nothing yet.
    #[must_use]
    pub fn new(on_contamination: OnContamination) -> Self {
        Self {
            names: Vec::new(),
            items: Vec::new(),
            runs: [HashMap::new(), HashMap::new()],
            whole: HashMap::new(),
            fingerprint: String::new(),
            on_contamination,
        }
    }

    /// Compares with a set of texts, each a question with what belongs to it.
    ///
    /// An item with fewer words than a run is only found whole.
    #[must_use]
    pub fn against<T: AsRef<str>>(
        mut self,
        name: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        let set = self.names.len();
        let name = name.into();
        let mut hasher = Sha256::new();
        hasher.update(&self.fingerprint);
        hasher.update(&name);
        self.names.push(name);
        for (number, text) in texts.into_iter().enumerate() {
            let words = Words::of(text.as_ref());
            hasher.update([0]);
            hasher.update(words.joined());
            let index = self.items.len();
            for (runs, length) in self.runs.iter_mut().zip(LENGTHS) {
                for run in once(&words, length, |_| true) {
                    runs.entry(run).or_default().push(index);
                }
            }
            if words.len() > 0 {
                self.whole
                    .entry(xxh3_64(words.joined().as_bytes()))
                    .or_default()
                    .push(index);
            }
            self.items.push(Item {
                set,
                number,
                runs: once(&words, LENGTHS[0], |_| true).len(),
            });
        }
        self.fingerprint = hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self
    }

    /// The items that a text resembles, in order; one entry for each, with its closest overlap.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Contamination> {
        let words = Words::of(text);
        let mut found: BTreeMap<usize, (Overlap, usize)> = BTreeMap::new();
        let overlaps = [Overlap::EightWords, Overlap::ThirteenWords];
        for ((runs, length), overlap) in self.runs.iter().zip(LENGTHS).zip(overlaps) {
            for run in once(&words, length, |run| runs.contains_key(run)) {
                for &item in runs.get(&run).into_iter().flatten() {
                    let (closest, hits) = found.entry(item).or_insert((overlap, 0));
                    *closest = overlap.max(*closest);
                    *hits += usize::from(overlap == Overlap::EightWords);
                }
            }
        }
        let whole = xxh3_64(words.joined().as_bytes());
        for &item in self.whole.get(&whole).into_iter().flatten() {
            let runs = self.items[item].runs;
            found.insert(item, (Overlap::Whole, runs));
        }
        found
            .into_iter()
            .map(|(index, (overlap, hits))| {
                let item = &self.items[index];
                Contamination {
                    set: self.names[item.set].clone(),
                    item: item.number,
                    overlap,
                    coverage: if overlap == Overlap::Whole {
                        1.0
                    } else {
                        hits as f64 / item.runs.max(1) as f64
                    },
                }
            })
            .collect()
    }
}

/// Hashes of the runs of `length` words that are wanted, each once.
fn once(words: &Words, length: usize, wanted: impl Fn(&u64) -> bool) -> Vec<u64> {
    let hashes = words.runs(length).map(|run| xxh3_64(run.as_bytes()));
    let mut hashes: Vec<u64> = hashes.filter(wanted).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

impl Stage for Decontaminate {
    fn name(&self) -> &'static str {
        "decontaminate"
    }

    fn configuration(&self) -> Value {
        json!({
            "sets": self.names,
            "fingerprint": self.fingerprint,
            "on_contamination": self.on_contamination,
        })
    }

    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        let judge = |mut record: Record| {
            let found = self.find(&record.text());
            let Some(closest) = found.iter().map(|item| item.overlap).max() else {
                return Ok(Outcome::kept(record));
            };
            let listed = serde_json::to_value(&found).map_err(StageError::new)?;
            Ok(match self.on_contamination {
                OnContamination::Reject(from) if closest >= from => Outcome::Rejected(
                    Rejected::new("contaminated", record).with_detail(listed.to_string()),
                ),
                _ => {
                    record.meta.insert("contamination".into(), listed);
                    Outcome::kept(record)
                }
            })
        };
        records.into_iter().map(judge).collect()
    }
}

/// What was hit of each set, from the marks of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContaminationReport {
    /// For each set, the items that were hit and the numbers of the records that hit them.
    pub sets: BTreeMap<String, BTreeMap<usize, Vec<usize>>>,
}

impl ContaminationReport {
    /// Reads the marks of records that a [`Decontaminate`] stage has seen.
    ///
    /// # Errors
    ///
    /// When a record has a `meta.contamination` of another form.
    pub fn of<'a>(
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Self, serde_json::Error> {
        let mut report = Self::default();
        for (number, record) in records.into_iter().enumerate() {
            if let Some(marks) = record.meta.get("contamination") {
                let marks: Vec<Contamination> = serde_json::from_value(marks.clone())?;
                for mark in marks {
                    report
                        .sets
                        .entry(mark.set)
                        .or_default()
                        .entry(mark.item)
                        .or_default()
                        .push(number);
                }
            }
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Content;

    const QUESTION: &str = "Natalia sold clips to 48 of her friends in April, and then she sold half \
        as many clips in May. How many clips did Natalia sell altogether?";

    fn stage(on_contamination: OnContamination) -> Decontaminate {
        Decontaminate::new(on_contamination)
            .against("gsm", [QUESTION, "What is a duck?"])
            .against("other", ["A short one"])
    }

    fn found(text: &str) -> Vec<(String, usize, Overlap)> {
        stage(OnContamination::Mark)
            .find(text)
            .into_iter()
            .map(|hit| (hit.set, hit.item, hit.overlap))
            .collect()
    }

    #[test]
    fn copies_are_found_however_they_are_written() {
        assert_eq!(
            found(&QUESTION.to_uppercase().replace(',', " ;")),
            [("gsm".into(), 0, Overlap::Whole)]
        );
        assert_eq!(found("what is a DUCK"), [("gsm".into(), 1, Overlap::Whole)]);
        assert_eq!(found("what is a duckling"), []);
    }

    #[test]
    fn runs_of_words_are_told_apart_by_their_length() {
        let text = |words: usize| {
            let run: Vec<&str> = QUESTION.split_whitespace().take(words).collect();
            format!("He said: {} and left.", run.join(" "))
        };
        assert_eq!(found(&text(7)), []);
        assert_eq!(found(&text(8)), [("gsm".into(), 0, Overlap::EightWords)]);
        assert_eq!(
            found(&text(13)),
            [("gsm".into(), 0, Overlap::ThirteenWords)]
        );
        let coverage = |words| stage(OnContamination::Mark).find(&text(words))[0].coverage;
        assert!(
            coverage(8) < 0.1 && coverage(20) > 0.5,
            "{} {}",
            coverage(8),
            coverage(20)
        );
    }

    #[test]
    fn a_policy_decides_between_marking_and_rejecting() {
        let clock = || Timestamp::UNIX_EPOCH;
        let run = |on_contamination| {
            let record: Record = Content::Text(QUESTION.into()).into();
            stage(on_contamination)
                .run(vec![record], &StageContext::new(0, &clock))
                .unwrap()
        };
        assert!(matches!(
            &run(OnContamination::Reject(Overlap::ThirteenWords))[0],
            Outcome::Rejected(_)
        ));
        let Outcome::Kept(kept) = &run(OnContamination::Mark)[0] else {
            panic!("it is marked")
        };
        let report = ContaminationReport::of(kept).unwrap();
        assert_eq!(report.sets["gsm"][&0], [0]);
    }

    #[test]
    fn another_evaluation_set_is_another_configuration() {
        let base = || Decontaminate::new(OnContamination::Mark);
        assert_ne!(
            base().against("a", ["one"]).configuration(),
            base().against("a", ["two"]).configuration()
        );
    }
}
