//! From what a model wrote to what is judged.

use std::collections::HashMap;

use fancy_regex::{Captures, Regex};
use serde_json::Value;

use super::keys::{FilterKeys, PipelineKeys};

/// The pattern for GSM8K's answers.
const DEFAULT_PATTERN: &str = r"#### (\-?[0-9\.\,]+)";

/// What stands where nothing was found.
const DEFAULT_FALLBACK: &str = "[invalid]";

/// Filters one after the other that leave one answer of several.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) name: String,
    filters: Vec<Filter>,
}

#[derive(Clone, Debug)]
enum Filter {
    Regex {
        pattern: Regex,
        /// Counted from the end if negative.
        group_select: i64,
        fallback: String,
    },
    TakeFirst(usize),
    MajorityVote,
    RemoveWhitespace,
    Lowercase,
    Uppercase,
    Map {
        texts: HashMap<String, String>,
        default: String,
    },
}

impl Pipeline {
    /// The first answer as it is.
    pub(super) fn none() -> Self {
        Self {
            name: "none".into(),
            filters: vec![Filter::TakeFirst(1)],
        }
    }

    pub(super) fn new(keys: PipelineKeys) -> Result<Self, String> {
        let mut leaves_one = false;
        for filter in &keys.filter {
            leaves_one = match filter {
                FilterKeys::TakeFirst {} => true,
                FilterKeys::TakeFirstK { .. } | FilterKeys::MajorityVote {} => false,
                _ => leaves_one,
            };
        }
        if !leaves_one {
            return Err(format!(
                "leaves several answers in {:?}; end it with `take_first`",
                keys.name
            ));
        }
        let filters = keys.filter.into_iter().map(Filter::new);
        Ok(Self {
            name: keys.name,
            filters: filters.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it takes one answer and changes nothing.
    pub(super) fn only_selects(&self) -> bool {
        self.filters
            .iter()
            .all(|filter| matches!(filter, Filter::TakeFirst(_)))
    }

    /// What is left of `answers`, of which there is at least one.
    pub(super) fn apply(&self, answers: &[String]) -> String {
        let mut answers = answers.to_vec();
        for filter in &self.filters {
            filter.apply(&mut answers);
        }
        answers.into_iter().next().unwrap_or_default()
    }
}

impl Filter {
    fn new(keys: FilterKeys) -> Result<Self, String> {
        Ok(match keys {
            FilterKeys::Regex {
                regex_pattern,
                group_select,
                fallback,
            } => {
                let pattern = regex_pattern.as_deref().unwrap_or(DEFAULT_PATTERN);
                Self::Regex {
                    pattern: Regex::new(pattern)
                        .map_err(|error| format!("has the pattern {pattern:?}: {error}"))?,
                    group_select,
                    fallback: fallback.unwrap_or_else(|| DEFAULT_FALLBACK.into()),
                }
            }
            FilterKeys::TakeFirst {} => Self::TakeFirst(1),
            FilterKeys::TakeFirstK { k: 0 } => {
                return Err("takes the first 0 answers; take at least 1".into());
            }
            FilterKeys::TakeFirstK { k } => Self::TakeFirst(k),
            FilterKeys::MajorityVote {} => Self::MajorityVote,
            FilterKeys::RemoveWhitespace {} => Self::RemoveWhitespace,
            FilterKeys::Lowercase {} => Self::Lowercase,
            FilterKeys::Uppercase {} => Self::Uppercase,
            FilterKeys::Map {
                mapping_dict,
                default_value,
            } => {
                let texts = mapping_dict.into_iter().map(|(from, to)| match to {
                    Value::String(to) => Ok((from, to)),
                    other => Err(format!("maps {from:?} to {other}, which is no text")),
                });
                Self::Map {
                    texts: texts.collect::<Result<_, _>>()?,
                    default: default_value.unwrap_or_else(|| "None".into()),
                }
            }
        })
    }

    fn apply(&self, answers: &mut Vec<String>) {
        let change = |answers: &mut Vec<String>, change: &dyn Fn(&str) -> String| {
            for answer in answers {
                *answer = change(answer);
            }
        };
        match self {
            Self::Regex {
                pattern,
                group_select,
                fallback,
            } => change(answers, &|answer| {
                select(pattern, *group_select, answer).unwrap_or_else(|| fallback.clone())
            }),
            Self::TakeFirst(k) => answers.truncate(*k),
            Self::MajorityVote => {
                let winner = majority(answers);
                answers.splice(.., winner);
            }
            Self::RemoveWhitespace => change(answers, &|answer| answer.trim().to_owned()),
            Self::Lowercase => change(answers, &str::to_lowercase),
            Self::Uppercase => change(answers, &str::to_uppercase),
            Self::Map { texts, default } => change(answers, &|answer| {
                texts.get(answer).unwrap_or(default).clone()
            }),
        }
    }
}

/// One of all matches; of one with several groups, the first that is not empty.
fn select(pattern: &Regex, group_select: i64, answer: &str) -> Option<String> {
    // A search that gives up on a text has found nothing.
    let matches: Vec<Captures<'_>> = pattern
        .captures_iter(answer)
        .map_while(Result::ok)
        .collect();
    let place = match usize::try_from(group_select) {
        Ok(place) => place,
        Err(_) => matches
            .len()
            .checked_sub(usize::try_from(group_select.unsigned_abs()).ok()?)?,
    };
    let found = matches.get(place)?;
    let group = match found.len() {
        1 => found.get(0),
        2 => found.get(1),
        _ => (1..found.len())
            .filter_map(|group| found.get(group))
            .find(|group| !group.as_str().is_empty()),
    };
    match group {
        Some(group) => Some(group.as_str().trim().to_owned()),
        // A group that takes no part in the match.
        None if found.len() == 2 => Some(String::new()),
        None => None,
    }
}

/// The most frequent answer, the first among equals.
fn majority(answers: &[String]) -> Option<String> {
    let count = |answer: &String| answers.iter().filter(|other| *other == answer).count();
    let most = answers.iter().map(count).max()?;
    answers.iter().find(|answer| count(answer) == most).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pipeline(filters: Value) -> Result<Pipeline, String> {
        let keys = serde_json::from_value(json!({"name": "x", "filter": filters}));
        Pipeline::new(keys.map_err(|error: serde_json::Error| error.to_string())?)
    }

    #[track_caller]
    fn filtered(filters: Value, answers: &[&str], expected: &str) {
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        assert_eq!(pipeline(filters).unwrap().apply(&answers), expected);
    }

    /// What the filters of lm_eval 0.4.13 leave.
    #[test]
    fn filters_do_what_those_of_the_harness_do() {
        let take = json!({"function": "take_first"});
        let strict = json!([{"function": "regex"}, take]);
        filtered(strict.clone(), &["so #### 1,234 and #### 5"], "1,234");
        filtered(strict, &["so 5"], "[invalid]");
        let flexible = json!([{"function": "regex", "group_select": -1,
            "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"}, take]);
        filtered(flexible, &["first 12, then 7"], "7");
        let past =
            json!([{"function": "regex", "group_select": 2, "regex_pattern": "[0-9]"}, take]);
        filtered(past, &["1 2"], "[invalid]");
        let letters = json!([{"function": "remove_whitespace"}, {"function": "lowercase"},
            {"function": "map", "mapping_dict": {"a": "yes"}, "default_value": "no"}, take]);
        filtered(letters.clone(), &["  A\n"], "yes");
        filtered(letters, &["b"], "no");
        let vote =
            json!([{"function": "take_first_k", "k": 4}, {"function": "majority_vote"}, take]);
        filtered(vote, &["x", "y", "z", "y", "x", "x"], "y");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(
            pipeline(json!([{"function": "take_first"}, {"function": "majority_vote"}]))
                .unwrap_err(),
            "leaves several answers in \"x\"; end it with `take_first`"
        );
        let error = pipeline(json!([{"function": "custom"}])).unwrap_err();
        assert!(
            error.contains("custom") && error.contains("take_first_k"),
            "{error}"
        );
        let error = pipeline(json!([{"function": "regex", "regex": "a"}])).unwrap_err();
        assert!(error.contains("unknown field `regex`"), "{error}");
        let error = pipeline(json!([{"function": "regex", "regex_pattern": "("},
            {"function": "take_first"}]));
        assert!(error.unwrap_err().starts_with("has the pattern \"(\""));
    }
}
