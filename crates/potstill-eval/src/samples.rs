//! A few problems with the answers of every model side by side.

use serde::{Deserialize, Serialize};

use crate::{Error, ExactMatch};

/// One model's answer to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleAnswer {
    /// Name of the model.
    pub model: String,
    /// What it answered.
    pub answer: String,
    /// Whether that is right; `None` where nothing says so.
    pub correct: Option<bool>,
}

/// A problem and what the models made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The problem.
    pub problem: String,
    /// The right answer, where there is one.
    pub expected: Option<String>,
    /// One answer of each model.
    pub answers: Vec<SampleAnswer>,
}

/// Up to `limit` problems: half of them such on which the models disagree, as far as there are any,
/// the others as they come.
///
/// # Errors
///
/// When the models were not measured on the same items in the same order.
pub fn samples(models: &[(&str, &ExactMatch)], limit: usize) -> Result<Vec<Sample>, Error> {
    let Some((_, first)) = models.first() else {
        return Ok(Vec::new());
    };
    for (_, other) in models {
        let longest = first.results.len().max(other.results.len());
        for n in 0..longest {
            let (left, right) = (first.results.get(n), other.results.get(n));
            if left.map(|result| &result.id) != right.map(|result| &result.id) {
                let id = left
                    .or(right)
                    .map_or_else(String::new, |result| result.id.clone());
                return Err(Error::DifferentItems {
                    id,
                    left: "the first model",
                    right: "another model",
                });
            }
        }
    }
    let outcomes = |n: usize| {
        models
            .iter()
            .map(move |(_, measured)| measured.results[n].correct)
    };
    let agree = |n: &usize| outcomes(*n).all(|correct| correct == first.results[*n].correct);
    let (agreed, disputed): (Vec<usize>, Vec<usize>) = (0..first.results.len()).partition(agree);
    let from_disputed = disputed
        .len()
        .min(limit.div_ceil(2))
        .max(limit.saturating_sub(agreed.len()));
    let mut chosen: Vec<usize> = disputed.into_iter().take(from_disputed).collect();
    chosen.extend(agreed.into_iter().take(limit.saturating_sub(chosen.len())));
    chosen.sort_unstable();
    Ok(chosen.into_iter().map(|n| sample(models, n)).collect())
}

fn sample(models: &[(&str, &ExactMatch)], n: usize) -> Sample {
    let item = &models[0].1.results[n];
    Sample {
        problem: item.problem.clone(),
        expected: Some(item.expected.clone()),
        answers: models
            .iter()
            .map(|(model, measured)| SampleAnswer {
                model: (*model).into(),
                answer: measured.results[n].answer.clone(),
                correct: Some(measured.results[n].correct),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ItemResult;

    fn measured(outcomes: &[u8]) -> ExactMatch {
        let results = outcomes.iter().enumerate().map(|(n, &correct)| ItemResult {
            id: n.to_string(),
            problem: format!("problem {n}"),
            expected: "yes".into(),
            answer: if correct == 1 { "yes" } else { "no" }.into(),
            correct: correct == 1,
            new_tokens: 1,
            cut_off: false,
        });
        ExactMatch {
            results: results.collect(),
        }
    }

    fn problems(teacher: &[u8], student: &[u8], limit: usize) -> Vec<String> {
        let (teacher, student) = (measured(teacher), measured(student));
        let found = samples(&[("teacher", &teacher), ("student", &student)], limit).unwrap();
        found
            .into_iter()
            .map(|sample| sample.problem.replace("problem ", ""))
            .collect()
    }

    #[test]
    fn half_of_the_samples_are_disputed() {
        assert_eq!(
            problems(&[1, 1, 1, 1, 1, 1], &[1, 1, 1, 0, 0, 0], 4),
            ["0", "1", "3", "4"]
        );
    }

    #[test]
    fn either_kind_fills_up_for_the_other() {
        assert_eq!(problems(&[1, 1, 1, 1], &[1, 1, 1, 0], 3), ["0", "1", "3"]);
        assert_eq!(problems(&[1, 1, 1, 1], &[0, 0, 0, 1], 3), ["0", "1", "3"]);
        assert_eq!(problems(&[1, 1], &[0, 0], 9), ["0", "1"]);
        assert_eq!(problems(&[], &[], 9), Vec::<String>::new());
    }

    #[test]
    fn different_items_are_refused() {
        let (long, short) = (measured(&[1, 1]), measured(&[1]));
        let error = samples(&[("teacher", &long), ("student", &short)], 2).unwrap_err();
        assert!(
            matches!(&error, Error::DifferentItems { id, .. } if id == "1"),
            "{error}"
        );
    }
}
