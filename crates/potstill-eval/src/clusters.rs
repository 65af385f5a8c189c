//! Items that depend on each other, and what that does to an error bar.

use std::collections::HashMap;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::Interval;

/// A partition of items into groups that are drawn, flipped and summed as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clusters {
    members: Vec<Vec<usize>>,
}

impl Clusters {
    /// Items of the same label belong together; those without one stand for themselves.
    pub(crate) fn of<'a>(labels: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut places = HashMap::new();
        for (item, label) in labels.enumerate() {
            let new = members.len();
            let place = label.map_or(new, |label| *places.entry(label).or_insert(new));
            if place == new {
                members.push(Vec::new());
            }
            members[place].push(item);
        }
        Self { members }
    }

    /// Each of `items` stands for itself.
    pub(crate) fn alone(items: usize) -> Self {
        Self {
            members: (0..items).map(|item| vec![item]).collect(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.members.len()
    }

    /// All items.
    pub(crate) fn items(&self) -> Vec<usize> {
        (0..self.members.iter().map(Vec::len).sum()).collect()
    }

    /// The items of a cluster.
    pub(crate) fn members(&self, cluster: usize) -> &[usize] {
        &self.members[cluster]
    }

    /// The sum of `values` in each cluster.
    pub(crate) fn sums(&self, values: &[f64]) -> Vec<f64> {
        let sum = |members: &Vec<usize>| members.iter().map(|&item| values[item]).sum();
        self.members.iter().map(sum).collect()
    }

    /// See [`Scores::standard_error`](crate::Scores::standard_error).
    pub(crate) fn standard_error(&self, values: &[f64]) -> Option<f64> {
        let count = self.count() as f64;
        if count < 2.0 {
            return None;
        }
        let mean = mean(values);
        let residuals: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let squares: f64 = self.sums(&residuals).iter().map(|sum| sum * sum).sum();
        Some((count / (count - 1.0) * squares).sqrt() / values.len() as f64)
    }

    /// Student's 95 % interval of the mean of `values`.
    pub(crate) fn t_interval(&self, values: &[f64]) -> Option<Interval> {
        let error = self.standard_error(values)?;
        let t = StudentsT::new(0.0, 1.0, self.count() as f64 - 1.0).ok()?;
        let (mean, half) = (mean(values), t.inverse_cdf(0.975) * error);
        Some(Interval {
            low: mean - half,
            high: mean + half,
        })
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_label_belong_together_and_others_stand_alone() {
        let labels = [Some("b"), None, Some("a"), Some("b"), None];
        let clusters = Clusters::of(labels.into_iter());
        assert_eq!(clusters.members, [vec![0, 3], vec![1], vec![2], vec![4]]);
        assert_eq!(
            clusters.sums(&[1.0, 2.0, 4.0, 8.0, 16.0]),
            [9.0, 2.0, 4.0, 16.0]
        );
        assert_eq!(Clusters::of([None; 3].into_iter()), Clusters::alone(3));
    }

    #[test]
    fn one_cluster_has_no_error_bar() {
        let clusters = Clusters::of([Some("all"); 4].into_iter());
        assert_eq!(clusters.standard_error(&[1.0, 2.0, 3.0, 4.0]), None);
        assert_eq!(clusters.t_interval(&[1.0, 2.0, 3.0, 4.0]), None);
    }
}
