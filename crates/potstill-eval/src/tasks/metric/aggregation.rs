//! Many documents to one number, its standard error and its interval.

use super::DocumentScore;
use crate::{BleuCounts, ChrfCounts, Interval, PairedBootstrap, TerCounts};

/// Resamples for what has no formula; always the same ones.
const BOOTSTRAP: PairedBootstrap = PairedBootstrap {
    resamples: 1_000,
    seed: 0,
};

/// How the documents are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tasks) enum Aggregation {
    Mean,
    Median,
    Perplexity,
    WeightedPerplexity,
    BitsPerByte,
    Bleu,
    Chrf,
    ChrfPlusPlus,
    Ter,
    F1,
    MatthewsCorrcoef,
    BrierScore,
}

impl Aggregation {
    const ALL: [Self; 12] = [
        Self::Mean,
        Self::Median,
        Self::Perplexity,
        Self::WeightedPerplexity,
        Self::BitsPerByte,
        Self::Bleu,
        Self::Chrf,
        Self::ChrfPlusPlus,
        Self::Ter,
        Self::F1,
        Self::MatthewsCorrcoef,
        Self::BrierScore,
    ];

    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("has the aggregation `{name}`; known are {names}")
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Perplexity => "perplexity",
            Self::WeightedPerplexity => "weighted_perplexity",
            Self::BitsPerByte => "bits_per_byte",
            Self::Bleu => "bleu",
            Self::Chrf => "chrf",
            Self::ChrfPlusPlus => "chrf++",
            Self::Ter => "ter",
            Self::F1 => "f1",
            Self::MatthewsCorrcoef => "matthews_corrcoef",
            Self::BrierScore => "brier_score",
        }
    }

    /// Whether it sums up the same kind of values as `other`.
    pub(super) fn takes_what(self, other: Self) -> bool {
        let kind = |aggregation| match aggregation {
            Self::Mean | Self::Median | Self::Perplexity => 0,
            Self::WeightedPerplexity | Self::BitsPerByte => 1,
            Self::F1 | Self::MatthewsCorrcoef => 2,
            Self::Bleu => 3,
            Self::Chrf => 4,
            Self::ChrfPlusPlus => 5,
            Self::BrierScore => 6,
            Self::Ter => 7,
        };
        kind(self) == kind(other)
    }

    /// What `scores`, of which there is at least one, come to.
    pub(in crate::tasks) fn of(self, scores: &[&DocumentScore]) -> f64 {
        match self {
            Self::Mean => mean(scores),
            Self::Median => {
                let mut numbers: Vec<f64> = numbers(scores).collect();
                numbers.sort_unstable_by(f64::total_cmp);
                numbers[numbers.len() / 2]
            }
            Self::Perplexity => (-mean(scores)).exp(),
            Self::WeightedPerplexity => (-weighted_mean(scores)).exp(),
            Self::BitsPerByte => -weighted_mean(scores) / std::f64::consts::LN_2,
            Self::Bleu => {
                let counts = scores.iter().filter_map(|score| match score {
                    DocumentScore::Bleu(counts) => Some(*counts),
                    _ => None,
                });
                counts.sum::<BleuCounts>().score()
            }
            Self::Chrf | Self::ChrfPlusPlus => {
                let counts = scores.iter().filter_map(|score| match score {
                    DocumentScore::Chrf(counts) => Some(*counts),
                    _ => None,
                });
                counts.sum::<ChrfCounts>().score()
            }
            Self::Ter => {
                let counts = scores.iter().filter_map(|score| match score {
                    DocumentScore::Ter(counts) => Some(*counts),
                    _ => None,
                });
                counts.sum::<TerCounts>().score()
            }
            Self::F1 => f1(scores),
            Self::MatthewsCorrcoef => matthews(scores),
            Self::BrierScore => brier(scores),
        }
    }

    /// How far chance may have moved what `scores` come to.
    ///
    /// The standard error is there where lm-evaluation-harness states one: `s / √n` of a mean, the
    /// standard deviation over resamples of what has no formula. A mean has no interval here, since
    /// [`Scores`](crate::Scores) know a better one.
    pub(in crate::tasks) fn uncertainty(self, scores: &[DocumentScore]) -> Uncertainty {
        let n = scores.len();
        if n < 2 {
            return Uncertainty::default();
        }
        if self == Self::Mean {
            let scores: Vec<&DocumentScore> = scores.iter().collect();
            let deviation = deviation(&numbers(&scores).collect::<Vec<f64>>());
            return Uncertainty {
                standard_error: Some(deviation / (n as f64).sqrt()),
                interval: None,
            };
        }
        let mut values = Vec::with_capacity(BOOTSTRAP.resamples);
        let found = BOOTSTRAP.interval(n, |drawn| {
            let drawn: Vec<&DocumentScore> = drawn.iter().map(|&place| &scores[place]).collect();
            let value = self.of(&drawn);
            values.push(value);
            Some(value)
        });
        let has_error = !matches!(
            self,
            Self::WeightedPerplexity | Self::BitsPerByte | Self::BrierScore
        );
        Uncertainty {
            standard_error: has_error.then(|| deviation(&values)),
            interval: found.ok().and_then(|found| found.interval),
        }
    }
}

/// How far chance may have moved a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::tasks) struct Uncertainty {
    pub(in crate::tasks) standard_error: Option<f64>,
    pub(in crate::tasks) interval: Option<Interval>,
}

/// Standard deviation of a sample.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0)).sqrt()
}

fn numbers<'a>(scores: &'a [&DocumentScore]) -> impl Iterator<Item = f64> + 'a {
    scores.iter().filter_map(|score| match score {
        DocumentScore::Number(number) => Some(*number),
        _ => None,
    })
}

fn mean(scores: &[&DocumentScore]) -> f64 {
    numbers(scores).sum::<f64>() / scores.len() as f64
}

fn weighted_mean(scores: &[&DocumentScore]) -> f64 {
    let (mut log_probs, mut weights) = (0.0, 0.0);
    for score in scores {
        if let DocumentScore::Weighted { log_prob, weight } = score {
            log_probs += log_prob;
            weights += weight;
        }
    }
    log_probs / weights
}

fn classes<'a>(scores: &'a [&DocumentScore]) -> impl Iterator<Item = (i64, i64)> + 'a {
    scores.iter().filter_map(|score| match score {
        DocumentScore::Classes { gold, predicted } => Some((*gold, *predicted)),
        _ => None,
    })
}

/// F1 of class 1; 0 where it neither is nor was predicted.
fn f1(scores: &[&DocumentScore]) -> f64 {
    let count = |wanted: fn(bool, bool) -> bool| {
        let chosen =
            classes(scores).filter(|(gold, predicted)| wanted(*gold == 1, *predicted == 1));
        chosen.count() as f64
    };
    let right = count(|gold, predicted| gold && predicted);
    let wrong = count(|gold, predicted| gold != predicted);
    if right + wrong == 0.0 {
        0.0
    } else {
        2.0 * right / (2.0 * right + wrong)
    }
}

/// Matthews' correlation, for any number of classes (Gorodkin, 2004); 0 where it is undefined.
fn matthews(scores: &[&DocumentScore]) -> f64 {
    let pairs: Vec<(i64, i64)> = classes(scores).collect();
    let n = pairs.len() as f64;
    let right = pairs
        .iter()
        .filter(|(gold, predicted)| gold == predicted)
        .count() as f64;
    let mut names: Vec<i64> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    names.sort_unstable();
    names.dedup();
    let (mut both, mut golds, mut predictions) = (0.0, 0.0, 0.0);
    for class in names {
        let gold = pairs.iter().filter(|(gold, _)| *gold == class).count() as f64;
        let predicted = pairs
            .iter()
            .filter(|(_, predicted)| *predicted == class)
            .count() as f64;
        both += gold * predicted;
        golds += gold * gold;
        predictions += predicted * predicted;
    }
    let size = ((n * n - golds) * (n * n - predictions)).sqrt();
    if size == 0.0 {
        0.0
    } else {
        (right * n - both) / size
    }
}

/// Squared distance from the distribution that knows the answer.
fn brier(scores: &[&DocumentScore]) -> f64 {
    let distance = |score: &&DocumentScore| match score {
        DocumentScore::Probabilities {
            gold,
            probabilities,
        } => probabilities
            .iter()
            .enumerate()
            .map(|(class, p)| (p - f64::from(u8::from(class == *gold))).powi(2))
            .sum(),
        _ => 0.0,
    };
    scores.iter().map(distance).sum::<f64>() / scores.len() as f64
}
