//! What a model got on each item of a task.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::clusters::Clusters;
use crate::number::any_float;
use crate::{Error, Interval, Proportion};

/// What a model got on one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemScore {
    /// Tells which scores of different models belong together.
    pub id: String,
    /// The score; 1 and 0 where an answer is right or wrong.
    #[serde(with = "any_float")]
    pub score: f64,
    /// What items have in common that makes their scores depend on each other: a text that several
    /// questions are about, a dialogue of several turns. Items without one stand for themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What the item is about; models are also compared within each category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

impl ItemScore {
    /// A score of an item that stands for itself.
    #[must_use]
    pub fn new(id: impl Into<String>, score: f64) -> Self {
        Self {
            id: id.into(),
            score,
            cluster: None,
            category: None,
        }
    }

    /// The same in a cluster.
    #[must_use]
    pub fn with_cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// The same in a category.
    #[must_use]
    pub fn with_category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }
}

/// The scores of one model on one task: at least one, all finite, no id twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ItemScore>", into = "Vec<ItemScore>")]
pub struct Scores {
    items: Vec<ItemScore>,
}

impl Scores {
    /// The scores of a model.
    ///
    /// # Errors
    ///
    /// When there are none, two have the same id, or one is not a finite number.
    pub fn new(items: Vec<ItemScore>) -> Result<Self, Error> {
        if items.is_empty() {
            return Err(Error::Empty { what: "item" });
        }
        if let Some(item) = items.iter().find(|item| !item.score.is_finite()) {
            return Err(Error::Score {
                id: item.id.clone(),
                score: item.score,
            });
        }
        all_different(items.iter().map(|item| item.id.as_str()))?;
        Ok(Self { items })
    }

    /// The scores, in the order in which they were given.
    #[must_use]
    pub fn items(&self) -> &[ItemScore] {
        &self.items
    }

    /// The mean over all items.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.values().sum::<f64>() / self.items.len() as f64
    }

    /// Whether every score is 0 or 1.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.values().all(|score| score == 0.0 || score == 1.0)
    }

    /// The standard error of the mean; `None` when there is only one cluster.
    ///
    /// ```text
    /// √( G/(G−1) · Σ_g (Σ_{i∈g} (xᵢ − x̄))² ) / n,   G clusters, n items
    /// ```
    ///
    /// Without clusters this is the textbook's `s/√n`. With them it is what an honest error bar takes:
    /// ten questions about one text are not ten independent questions.
    /// Miller, *Adding Error Bars to Evals*, 2024, arXiv:2411.00640, section 2.2, with the correction
    /// for few clusters.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        self.clusters()
            .standard_error(&self.values().collect::<Vec<_>>())
    }

    /// The 95 % interval of the mean: Wilson's where items are right or wrong and each stands for
    /// itself, else Student's with the [standard error](Self::standard_error) and as many degrees of
    /// freedom as there are clusters, less one. `None` when there is only one cluster.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        let clusters = self.clusters();
        if self.is_binary() && clusters.count() == self.items.len() {
            let right = self.values().filter(|score| *score == 1.0).count();
            return Some(Proportion::new(right, self.items.len()).wilson_95());
        }
        clusters.t_interval(&self.values().collect::<Vec<_>>())
    }

    pub(crate) fn clusters(&self) -> Clusters {
        Clusters::of(self.items.iter().map(|item| item.cluster.as_deref()))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.items.iter().map(|item| item.score)
    }

    /// The values in the order of the items of `reference`, which are the same items. `left` names the
    /// reference and `right` these scores in errors.
    pub(crate) fn in_order_of(
        &self,
        reference: &Self,
        left: &'static str,
        right: &'static str,
    ) -> Result<Vec<f64>, Error> {
        let different = |id: &str| Error::DifferentItems {
            id: id.into(),
            left,
            right,
        };
        let mut own: HashMap<&str, &ItemScore> = self
            .items
            .iter()
            .map(|item| (item.id.as_str(), item))
            .collect();
        let mut values = Vec::with_capacity(reference.items.len());
        for theirs in &reference.items {
            let item = own
                .remove(theirs.id.as_str())
                .ok_or_else(|| different(&theirs.id))?;
            if (&item.cluster, &item.category) != (&theirs.cluster, &theirs.category) {
                return Err(Error::DifferentLabels {
                    id: item.id.clone(),
                    left,
                    right,
                });
            }
            values.push(item.score);
        }
        match self
            .items
            .iter()
            .find(|item| own.contains_key(item.id.as_str()))
        {
            Some(extra) => Err(different(&extra.id)),
            None => Ok(values),
        }
    }
}

impl TryFrom<Vec<ItemScore>> for Scores {
    type Error = Error;

    fn try_from(items: Vec<ItemScore>) -> Result<Self, Error> {
        Self::new(items)
    }
}

impl From<Scores> for Vec<ItemScore> {
    fn from(scores: Scores) -> Self {
        scores.items
    }
}

/// That no two items have the same id.
pub(crate) fn all_different<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match ids.into_iter().find(|id| !seen.insert(*id)) {
        Some(twice) => Err(Error::DuplicateItem { id: twice.into() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f64]) -> Scores {
        let item = |(n, value): (usize, &f64)| ItemScore::new(n.to_string(), *value);
        Scores::new(values.iter().enumerate().map(item).collect()).unwrap()
    }

    #[test]
    fn yes_and_no_get_wilsons_interval_and_other_numbers_students() {
        let binary = scores(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(binary.interval(), Some(Proportion::new(8, 10).wilson_95()));
        let graded = scores(&[0.5, 1.0, 0.0, 0.25]);
        let interval = graded.interval().unwrap();
        assert!((graded.mean() - (interval.low + interval.high) / 2.0).abs() < 1e-12);
        assert_eq!(scores(&[0.5]).interval(), None);
    }

    #[test]
    fn questions_about_one_text_count_less_than_independent_ones() {
        let items = |clustered: bool| {
            let item = |n: usize| {
                let item = ItemScore::new(n.to_string(), if n % 20 < 10 { 1.0 } else { 0.0 });
                if clustered {
                    item.with_cluster((n / 10).to_string())
                } else {
                    item
                }
            };
            Scores::new((0..100).map(item).collect()).unwrap()
        };
        let (alone, together) = (items(false), items(true));
        let ratio = together.standard_error().unwrap() / alone.standard_error().unwrap();
        // Ten items that always agree are one: √10 times the error, but for the corrections.
        assert!((ratio - 10f64.sqrt()).abs() < 0.2, "{ratio}");
        assert!(together.interval().unwrap().low < alone.interval().unwrap().low);
    }

    #[test]
    fn scores_that_mean_nothing_are_refused() {
        let refused = |items| Scores::new(items).unwrap_err().to_string();
        assert!(refused(vec![]).contains("there is no item"));
        assert_eq!(
            refused(vec![ItemScore::new("a", f64::NAN)]),
            "item a has the score NaN; scores are finite numbers"
        );
        let twice = vec![ItemScore::new("a", 1.0), ItemScore::new("a", 0.0)];
        assert!(refused(twice).contains("item id a occurs more than once"));
    }

    #[test]
    fn scores_survive_a_file_and_a_file_is_checked_like_anything_else() {
        let given = scores(&[0.0, 1.0, 0.1 + 0.2]);
        let json = serde_json::to_string(&given).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&json).unwrap(), given);
        for (json, problem) in [
            ("[]", "there is no item"),
            (r#"[{"id": "a", "score": null}]"#, "the score NaN"),
            (
                r#"[{"id": "a", "score": 1, "scoer": 1}]"#,
                "unknown field `scoer`",
            ),
        ] {
            let error = serde_json::from_str::<Scores>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn models_are_compared_on_the_same_items_only() {
        let (long, short) = (scores(&[1.0, 0.0]), scores(&[1.0]));
        for (a, b) in [(&long, &short), (&short, &long)] {
            let error = a.in_order_of(b, "left", "right").unwrap_err();
            assert!(
                matches!(&error, Error::DifferentItems { id, .. } if id == "1"),
                "{error}"
            );
        }
        let labelled = Scores::new(vec![ItemScore::new("0", 1.0).with_category("sums")]).unwrap();
        let error = labelled
            .in_order_of(&short, "one", "the other")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "item 0 has another cluster or category in the other than in one"
        );
    }
}
