//! Held-out metrics: how close a student is to its teacher on text that neither was trained on.
//!
//! ```text
//! forward KL      = Σ_r w_r · Σ_v p_rv (log p_rv − log q_rv) / Σ_r w_r
//! top-1 agreement = Σ_r w_r · [argmax p_r = argmax q_r]      / Σ_r w_r
//! rank correlation = Σ_r w_r · ρ(p_r, q_r over the 10 likeliest tokens of p_r) / Σ_r w_r
//! NLL             = Σ_r w_r · (−log q_r(target_r))           / Σ_r w_r      perplexity = exp(NLL)
//! ```
//!
//! over the rows r that count, in nats per token.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Transaction};
use potstill_core::{CausalLm, LmHead, Prediction, Taps, Teacher, TokenBatch, Vocabulary};
use potstill_losses::Divergence;
use serde::{Deserialize, Serialize};

use crate::number::any_float;
use crate::{Error, spearman};

/// Tokens of a row whose order is compared.
const RANKED: usize = 10;

/// Most logits of one model that exist at a time.
pub(crate) const CHUNK_LOGITS: usize = 1 << 22;

/// Means over the rows that count, weighted by row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Number of rows.
    pub rows: usize,
    /// Sum of their weights.
    pub weight: f64,
    /// `KL(p‖q)` from the teacher to the student, in nats per token.
    #[serde(with = "any_float")]
    pub forward_kl: f64,
    /// Share of rows where teacher and student hold the same token for the likeliest.
    pub top1_agreement: f64,
    /// Whether the student orders the teacher's 10 likeliest tokens as the teacher does: Spearman's ρ
    /// of a row ([`spearman`]). `None` where no row has an order.
    #[serde(default)]
    pub rank_correlation: Option<f64>,
    /// Negative log-likelihood of the targets under the student, in nats per token.
    #[serde(with = "any_float")]
    pub student_nll: f64,
    /// Negative log-likelihood of the targets under the teacher, in nats per token.
    #[serde(with = "any_float")]
    pub teacher_nll: f64,
}

impl HeldOut {
    /// `exp(student_nll)`.
    #[must_use]
    pub fn student_perplexity(&self) -> f64 {
        self.student_nll.exp()
    }

    /// `exp(teacher_nll)`.
    #[must_use]
    pub fn teacher_perplexity(&self) -> f64 {
        self.teacher_nll.exp()
    }

    /// Each metric under the name that logs use.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let rank_correlation = self.rank_correlation.map(|rho| ("rank_correlation", rho));
        [
            ("forward_kl", self.forward_kl),
            ("top1_agreement", self.top1_agreement),
            ("student_nll", self.student_nll),
            ("teacher_nll", self.teacher_nll),
        ]
        .into_iter()
        .chain(rank_correlation)
    }
}

/// Measures `student`, whose tokens are `vocabulary`, against `teacher` on `batches`.
///
/// Logits exist a chunk of rows at a time; sums are accumulated in f64. The student is taken as it is
/// in validation, whatever mode it is in.
///
/// # Errors
///
/// When there is no row that counts, the vocabularies do not fit, the teacher fails or gives less than
/// a whole distribution, a sequence is too long for the student or holds a token that it lacks, a
/// target lies outside the compared vocabulary, or logits are not numbers.
///
/// # Panics
///
/// Panics if `student` and a batch live on different devices.
pub fn held_out<S: CausalLm>(
    student: &S,
    vocabulary: &Vocabulary,
    teacher: &mut dyn Teacher,
    batches: impl IntoIterator<Item = TokenBatch>,
) -> Result<HeldOut, Error> {
    let shared = Vocabulary::shared(vocabulary, teacher.vocabulary())?;
    let student = student.valid();
    let head = student.head().truncated(shared);
    let mut sums = Sums::default();
    for (batch_index, batch) in batches.into_iter().enumerate() {
        if batch.longest_segment() > student.max_positions() {
            return Err(Error::TooLong {
                batch: batch_index,
                length: batch.longest_segment(),
                max_positions: student.max_positions(),
            });
        }
        if batch.rows.count() == 0 {
            continue;
        }
        let targets = checked_targets(&batch, batch_index, shared)?;
        if batch.largest_token() as usize >= student.vocab_size() {
            return Err(Error::Token {
                batch: batch_index,
                token: batch.largest_token(),
                vocab_size: student.vocab_size(),
            });
        }
        let signal = teacher
            .signal(&batch, &Taps::default())
            .map_err(|source| Error::Teacher {
                batch: batch_index,
                source,
            })?;
        let pair = Pair {
            hidden: batch
                .rows
                .select(student.encode(&batch, &Taps::default()).hidden),
            head: &head,
            teacher: signal.prediction.truncated(shared),
            targets,
        };
        let weights = match &batch.rows.weights {
            Some(weights) => host(weights.to_data()),
            None => vec![1.0; batch.rows.count()],
        };
        for (start, weights) in chunks(&weights, shared) {
            sums.add(&pair.measure(start, weights.len())?, weights, batch_index)?;
        }
    }
    sums.means()
}

fn chunks(weights: &[f64], vocab_size: usize) -> impl Iterator<Item = (usize, &[f64])> {
    let rows = (CHUNK_LOGITS / vocab_size).max(1);
    weights
        .chunks(rows)
        .enumerate()
        .map(move |(index, weights)| (index * rows, weights))
}

fn checked_targets(
    batch: &TokenBatch,
    batch_index: usize,
    vocab_size: usize,
) -> Result<Tensor<1, Int>, Error> {
    let targets = batch.row_targets();
    let outside = targets
        .to_data()
        .iter::<i64>()
        .find(|&id| id < 0 || id >= vocab_size as i64);
    match outside {
        Some(target) => Err(Error::Target {
            batch: batch_index,
            target,
            vocab_size,
        }),
        None => Ok(targets),
    }
}

fn host(data: TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// Both models on the rows of one batch.
struct Pair<'a> {
    hidden: Tensor<2>,
    head: &'a LmHead,
    teacher: Prediction,
    targets: Tensor<1, Int>,
}

/// The metrics of some rows.
struct Measured {
    forward_kl: Vec<f64>,
    agrees: Vec<f64>,
    /// `None` where a row has no order, as when all of its logits are equal.
    rank_correlation: Vec<Option<f64>>,
    student_nll: Vec<f64>,
    teacher_nll: Vec<f64>,
}

impl Pair<'_> {
    fn measure(&self, start: usize, rows: usize) -> Result<Measured, Error> {
        let student = self.head.logits(self.hidden.clone().narrow(0, start, rows));
        let teacher = match &self.teacher {
            Prediction::Deferred { hidden, head } => {
                head.logits(hidden.clone().narrow(0, start, rows))
            }
            Prediction::Dense(logits) => logits.clone().narrow(0, start, rows),
            other => return Err(Error::Prediction { kind: other.kind() }),
        };
        let targets = self.targets.clone().narrow(0, start, rows);
        let agrees = student
            .clone()
            .argmax(1)
            .equal(teacher.clone().argmax(1))
            .int();
        let forward_kl = Divergence::ForwardKl.per_row(student.clone(), teacher.clone(), 1.0);
        let rank_correlation = rank_correlations(&student, &teacher);
        let [forward_kl, agrees, student_nll, teacher_nll] = Transaction::default()
            .register(forward_kl)
            .register(agrees)
            .register(negative_log_likelihood(student, targets.clone()))
            .register(negative_log_likelihood(teacher, targets))
            .execute()
            .try_into()
            .expect("four tensors were registered");
        Ok(Measured {
            forward_kl: host(forward_kl),
            agrees: host(agrees),
            rank_correlation,
            student_nll: host(student_nll),
            teacher_nll: host(teacher_nll),
        })
    }
}

/// Spearman's ρ of each row, over the tokens that the teacher holds likeliest there.
///
/// Only the teacher's logits are copied from the device: its own top-k sorts whole rows.
fn rank_correlations(student: &Tensor<2>, teacher: &Tensor<2>) -> Vec<Option<f64>> {
    let [rows, vocab_size] = teacher.dims();
    let logits = teacher.clone().cast(FloatDType::F32).into_data();
    let logits = logits.try_into_vec::<f32>().expect("they were cast");
    let (mut tokens, mut of_teacher) = (Vec::new(), Vec::new());
    for row in logits.chunks(vocab_size) {
        let likeliest = largest(row, RANKED);
        of_teacher.extend(likeliest.iter().map(|&token| f64::from(row[token])));
        tokens.extend(likeliest.into_iter().map(|token| token as i64));
    }
    let ranked = RANKED.min(vocab_size);
    let tokens = TensorData::new(tokens, [rows, ranked]);
    let tokens = Tensor::<2, Int>::from_data(tokens, &student.device());
    let of_student = host(student.clone().gather(1, tokens).into_data());
    let pairs = of_student.chunks(ranked).zip(of_teacher.chunks(ranked));
    pairs
        .map(|(student, teacher)| spearman(student, teacher))
        .collect()
}

/// Places of the largest values, the largest first.
fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::with_capacity(count + 1);
    for (place, value) in values.iter().enumerate() {
        let full = places.len() == count;
        if full && places.last().is_some_and(|&last| *value <= values[last]) {
            continue;
        }
        let rank = places.partition_point(|&other| values[other] >= *value);
        places.insert(rank, place);
        places.truncate(count);
    }
    places
}

/// Infinite where the model forbids the target, unlike a loss, which stays finite for its gradient.
fn negative_log_likelihood(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let log_probs = log_softmax(logits, 1);
    log_probs
        .gather(1, targets.unsqueeze_dim(1))
        .squeeze_dim::<1>(1)
        .neg()
}

#[derive(Default)]
struct Sums {
    rows: usize,
    weight: f64,
    forward_kl: f64,
    agrees: f64,
    rank_correlation: f64,
    /// Weight of the rows that have an order.
    ranked: f64,
    student_nll: f64,
    teacher_nll: f64,
}

impl Sums {
    fn add(&mut self, measured: &Measured, weights: &[f64], batch: usize) -> Result<(), Error> {
        let not_a_number = |values: &[f64]| values.iter().any(|value| value.is_nan());
        for (metric, model, values) in [
            (
                "the teacher's negative log-likelihood",
                "teacher",
                &measured.teacher_nll,
            ),
            (
                "the student's negative log-likelihood",
                "student",
                &measured.student_nll,
            ),
            ("the forward KL", "student", &measured.forward_kl),
        ] {
            if not_a_number(values) {
                return Err(Error::NotANumber {
                    metric,
                    batch,
                    model,
                });
            }
        }
        let weighted = |values: &[f64]| -> f64 {
            values
                .iter()
                .zip(weights)
                .map(|(value, weight)| value * weight)
                .sum()
        };
        self.rows += weights.len();
        self.weight += weights.iter().sum::<f64>();
        self.forward_kl += weighted(&measured.forward_kl);
        self.agrees += weighted(&measured.agrees);
        for (rho, weight) in measured.rank_correlation.iter().zip(weights) {
            if let Some(rho) = rho {
                self.rank_correlation += rho * weight;
                self.ranked += weight;
            }
        }
        self.student_nll += weighted(&measured.student_nll);
        self.teacher_nll += weighted(&measured.teacher_nll);
        Ok(())
    }

    fn means(self) -> Result<HeldOut, Error> {
        if self.weight <= 0.0 {
            return Err(Error::Empty {
                what: "row that counts",
            });
        }
        Ok(HeldOut {
            rows: self.rows,
            weight: self.weight,
            forward_kl: self.forward_kl / self.weight,
            top1_agreement: self.agrees / self.weight,
            rank_correlation: (self.ranked > 0.0).then(|| self.rank_correlation / self.ranked),
            student_nll: self.student_nll / self.weight,
            teacher_nll: self.teacher_nll / self.weight,
        })
    }
}

#[cfg(test)]
mod tests;
