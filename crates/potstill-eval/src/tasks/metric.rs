//! What an answer is worth, and what the answers to all documents come to.

mod aggregation;

use fancy_regex::Regex;
use serde_json::{Value, json};

pub(super) use aggregation::Aggregation;

use super::keys::{MetricKeys, OutputType};
use crate::{AnswerMatch, Better, BleuCounts, ChrfCounts, ChrfWords, LogLikelihood, TerCounts};

/// A metric of a task.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) aggregation: Aggregation,
    pub(super) better: Better,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Acc,
    AccNorm,
    AccBytes,
    AccMutualInfo,
    ExactMatch(AnswerMatch),
    Perplexity,
    PerWord,
    PerByte,
    Bleu,
    Chrf(ChrfWords),
    Ter,
    Classes,
    Brier,
}

/// What one document adds to a metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DocumentScore {
    Number(f64),
    /// Log-likelihood of a text, and what it is shared among.
    Weighted {
        log_prob: f64,
        weight: f64,
    },
    Classes {
        gold: i64,
        predicted: i64,
    },
    Probabilities {
        gold: usize,
        probabilities: Vec<f64>,
    },
    Bleu(BleuCounts),
    Chrf(ChrfCounts),
    Ter(TerCounts),
}

/// Names that an output type has unless it is told otherwise.
pub(super) fn default_names(output_type: OutputType) -> &'static [&'static str] {
    match output_type {
        OutputType::Loglikelihood => &["perplexity", "acc"],
        OutputType::LoglikelihoodRolling => {
            &["word_perplexity", "byte_perplexity", "bits_per_byte"]
        }
        OutputType::MultipleChoice => &["acc", "acc_norm"],
        OutputType::GenerateUntil => &["exact_match"],
    }
}

/// The metrics of an output type, with how each is summed up.
fn known(output_type: OutputType) -> &'static [(&'static str, Aggregation)] {
    use Aggregation::{
        BitsPerByte, Bleu, BrierScore, Chrf, ChrfPlusPlus, F1, MatthewsCorrcoef, Mean, Perplexity,
        Ter, WeightedPerplexity,
    };
    match output_type {
        OutputType::Loglikelihood => &[("perplexity", Perplexity), ("acc", Mean)],
        OutputType::LoglikelihoodRolling => &[
            ("word_perplexity", WeightedPerplexity),
            ("byte_perplexity", WeightedPerplexity),
            ("bits_per_byte", BitsPerByte),
        ],
        OutputType::MultipleChoice => &[
            ("acc", Mean),
            ("acc_norm", Mean),
            ("acc_bytes", Mean),
            ("acc_mutual_info", Mean),
            ("exact_match", Mean),
            ("f1", F1),
            ("mcc", MatthewsCorrcoef),
            ("brier_score", BrierScore),
        ],
        OutputType::GenerateUntil => &[
            ("exact_match", Mean),
            ("bleu", Bleu),
            ("chrf", Chrf),
            ("chrf++", ChrfPlusPlus),
            ("ter", Ter),
        ],
    }
}

impl Metric {
    pub(super) fn default_of(name: &str, output_type: OutputType) -> Result<Self, String> {
        Self::new(
            MetricKeys {
                metric: name.into(),
                aggregation: None,
                higher_is_better: None,
                ignore_case: None,
                ignore_punctuation: None,
                ignore_numbers: None,
                regexes_to_ignore: None,
            },
            output_type,
        )
    }

    pub(super) fn new(keys: MetricKeys, output_type: OutputType) -> Result<Self, String> {
        let name = keys.metric.clone();
        let known = known(output_type);
        let Some((_, default)) = known.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "has the metric `{name}`, which is not known for this output type; known are {}",
                names.join(", ")
            ));
        };
        let aggregation = match &keys.aggregation {
            None => *default,
            Some(aggregation) => {
                let chosen = Aggregation::named(aggregation)?;
                if !chosen.takes_what(*default) {
                    return Err(format!(
                        "sums up `{name}` with `{aggregation}`, which cannot be; `{}` can",
                        default.name()
                    ));
                }
                chosen
            }
        };
        let is_match = output_type == OutputType::GenerateUntil && name == "exact_match";
        let tunes = keys.ignore_case.is_some()
            || keys.ignore_punctuation.is_some()
            || keys.ignore_numbers.is_some()
            || keys.regexes_to_ignore.is_some();
        if tunes && !is_match {
            return Err(format!(
                "has settings for `{name}` that only `exact_match` of written answers has"
            ));
        }
        let higher_is_better = keys.higher_is_better.unwrap_or(!matches!(
            name.as_str(),
            "perplexity"
                | "word_perplexity"
                | "byte_perplexity"
                | "bits_per_byte"
                | "brier_score"
                | "ter"
        ));
        let kind = match name.as_str() {
            "acc" => Kind::Acc,
            "acc_norm" => Kind::AccNorm,
            "acc_bytes" => Kind::AccBytes,
            "acc_mutual_info" => Kind::AccMutualInfo,
            "exact_match" => Kind::ExactMatch(answer_match(keys)?),
            "perplexity" => Kind::Perplexity,
            "word_perplexity" => Kind::PerWord,
            "byte_perplexity" | "bits_per_byte" => Kind::PerByte,
            "bleu" => Kind::Bleu,
            "chrf" => Kind::Chrf(ChrfWords::Ignored),
            "chrf++" => Kind::Chrf(ChrfWords::Counted),
            "ter" => Kind::Ter,
            "brier_score" => Kind::Brier,
            _ => Kind::Classes,
        };
        Ok(Self {
            name,
            kind,
            aggregation,
            better: if higher_is_better {
                Better::Higher
            } else {
                Better::Lower
            },
        })
    }

    /// Of a document whose one continuation was scored.
    pub(super) fn of_continuation(&self, found: LogLikelihood) -> DocumentScore {
        DocumentScore::Number(match self.kind {
            Kind::Perplexity => found.log_prob,
            _ => share(found.is_greedy),
        })
    }

    /// Of a document that was scored as a whole.
    pub(super) fn of_text(&self, text: &str, log_prob: f64) -> DocumentScore {
        let weight = match self.kind {
            // As Python splits at white space: an empty word at either end counts.
            Kind::PerWord => 1 + separators(text),
            _ => text.len(),
        };
        DocumentScore::Weighted {
            log_prob,
            weight: weight as f64,
        }
    }

    /// Of a written answer to which each of `references` is right.
    pub(super) fn of_answer(&self, answer: &str, references: &[&str]) -> DocumentScore {
        match &self.kind {
            Kind::Bleu => DocumentScore::Bleu(BleuCounts::new(answer, references)),
            Kind::Ter => DocumentScore::Ter(TerCounts::new(answer, references)),
            Kind::Chrf(words) => DocumentScore::Chrf(ChrfCounts::new(answer, references, *words)),
            Kind::ExactMatch(matching) => DocumentScore::Number(share(
                references
                    .iter()
                    .any(|reference| matching.matches(answer, reference)),
            )),
            other => unreachable!("{other:?} is no metric of written answers"),
        }
    }

    /// Of a choice among several.
    pub(super) fn of_choice(&self, choice: &Choice<'_>) -> DocumentScore {
        let right = |scores: Vec<f64>| share(choice.gold.contains(&largest(&scores)));
        let per = |size: fn(&str) -> usize| {
            let sizes = choice.texts.iter().map(|text| size(text) as f64);
            let scores = choice.conditional.iter().zip(sizes);
            right(scores.map(|(found, size)| found.log_prob / size).collect())
        };
        let log_probs = || choice.log_probs();
        let gold = choice.gold.first().copied();
        DocumentScore::Number(match &self.kind {
            Kind::Acc => right(log_probs()),
            Kind::AccNorm => per(|text| text.chars().count()),
            Kind::AccBytes => per(str::len),
            Kind::AccMutualInfo => {
                let pairs = choice.conditional.iter().zip(choice.unconditional);
                right(pairs.map(|(a, b)| a.log_prob - b.log_prob).collect())
            }
            Kind::ExactMatch(_) => share(
                choice
                    .gold
                    .iter()
                    .any(|&gold| choice.conditional[gold].is_greedy),
            ),
            Kind::Brier => {
                return DocumentScore::Probabilities {
                    gold: gold.unwrap_or(usize::MAX),
                    probabilities: softmax(&log_probs()),
                };
            }
            _ => {
                return DocumentScore::Classes {
                    gold: gold.map_or(-100, |gold| gold as i64),
                    predicted: largest(&log_probs()) as i64,
                };
            }
        })
    }
}

/// What a model made of the choices of a document.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) texts: &'a [String],
    /// The right ones, none of which need be there.
    pub(super) gold: &'a [usize],
    pub(super) conditional: &'a [LogLikelihood],
    /// Without the question; empty unless asked for.
    pub(super) unconditional: &'a [LogLikelihood],
}

impl Choice<'_> {
    fn log_probs(&self) -> Vec<f64> {
        let found = self.conditional.iter();
        found.map(|found| found.log_prob).collect()
    }

    /// The share that the likeliest choice has of all of them, and whether it is right.
    pub(super) fn confidence(&self) -> (f64, bool) {
        let shares = softmax(&self.log_probs());
        let chosen = largest(&shares);
        (shares[chosen], self.gold.contains(&chosen))
    }
}

/// A document's score as lm-evaluation-harness writes it.
pub(super) fn json_of(score: &DocumentScore) -> Value {
    match score {
        DocumentScore::Number(number) => json!(number),
        DocumentScore::Weighted { log_prob, weight } => json!([log_prob, *weight as u64]),
        DocumentScore::Classes { gold, predicted } => json!([gold, predicted]),
        DocumentScore::Probabilities {
            gold,
            probabilities,
        } => json!([gold, probabilities]),
        DocumentScore::Bleu(counts) => json!(counts.sentence_score()),
        DocumentScore::Chrf(counts) => json!(counts.score()),
        DocumentScore::Ter(counts) => json!(counts.score()),
    }
}

fn share(right: bool) -> f64 {
    f64::from(u8::from(right))
}

/// Place of the largest value, the first among equals.
fn largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = place;
        }
    }
    best
}

fn softmax(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = values.iter().map(|value| (value - largest).exp()).collect();
    let total: f64 = exps.iter().sum();
    exps.iter().map(|exp| exp / total).collect()
}

/// Runs of white space.
fn separators(text: &str) -> usize {
    let mut within = false;
    let begins = |c: char| {
        let begins = c.is_whitespace() && !within;
        within = c.is_whitespace();
        begins
    };
    text.chars().map(begins).filter(|begins| *begins).count()
}

fn answer_match(keys: MetricKeys) -> Result<AnswerMatch, String> {
    let pattern = |pattern: String| {
        Regex::new(&pattern).map_err(|error| format!("ignores {pattern:?}: {error}"))
    };
    let patterns = keys.regexes_to_ignore.unwrap_or_default().into_iter();
    Ok(AnswerMatch {
        ignore_case: keys.ignore_case == Some(true),
        ignore_punctuation: keys.ignore_punctuation == Some(true),
        ignore_numbers: keys.ignore_numbers == Some(true),
        patterns_to_ignore: patterns.map(pattern).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
