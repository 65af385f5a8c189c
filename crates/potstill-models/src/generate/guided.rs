//! A teacher that has a say in what its student writes.
//!
//! ```text
//! mixed          s(v) = α · p(v) + (1 − α) · q(v)
//! speculative    s(v) = [v ∈ K] · q(v) + (1 − q(K)) · p(v)        K the teacher's k likeliest tokens
//! ```
//!
//! Mixing keeps a weak student near text that the teacher knows: Gu et al., *MiniLLM*,
//! arXiv:2306.08543, with α = 0.2. Speculative knowledge distillation has the student propose and
//! replaces what is not among the teacher's k likeliest by a draw from the teacher: Xu et al.,
//! arXiv:2410.11325, with k = 25. k = 0 is the teacher's own text, a k as large as the vocabulary the
//! student's.
//!
//! The paper lets the student propose several tokens before the teacher looks at them, which saves
//! passes of the teacher over a single sequence and changes nothing about what is written: a token is
//! kept or replaced by itself, and what was proposed behind a replaced one is dropped. Here both read
//! every token of a whole batch at once, so the distribution above is drawn from directly. The ratio
//! test of speculative decoding has no place in this: it would give the teacher's distribution.

use burn::module::Module;
use potstill_core::{CausalLm, Draw, FinishReason, GenerateError, GenerateOptions, Rollout};

use super::continued;
use crate::LanguageModel;
use crate::sample::Likeliest;

/// What the teacher does to the student's distribution of the next token.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Guidance {
    /// Draws from a mixture of both.
    Mixed {
        /// α, the teacher's share.
        alpha: f64,
    },
    /// Replaces what the teacher would not say.
    Speculative {
        /// k, the number of the teacher's likeliest tokens that the student may say.
        top_k: usize,
    },
}

/// A teacher and its say.
#[derive(Clone, Copy)]
pub(super) struct Guide<'a> {
    pub(super) teacher: &'a LanguageModel,
    pub(super) guidance: Guidance,
}

/// Continues each prompt with student and teacher together.
///
/// The options apply to the common distribution s. Each [`Draw`] says how likely a token is under the
/// student and under s, so that importance weights can be computed. As with
/// [`Generate`](potstill_core::Generate), a continuation depends on neither the order nor the number
/// of the other prompts.
///
/// In a training loop, `Rollouts` of `potstill-train` lets them write:
///
/// ```text
/// .written_by(move |student, prompts, options| {
///     Ok(write_together(student, &teacher, Guidance::Mixed { alpha: 0.2 }, prompts, options)?)
/// })
/// ```
///
/// # Errors
///
/// As [`Generate::generate`](potstill_core::Generate::generate) for either model, and when their
/// vocabularies differ in size or α is not a share.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::{GenerateOptions, Sampling};
/// use potstill_models::{Architecture, Guidance, LanguageModel, ModelConfig, write_together};
///
/// let device = Device::default();
/// let config = |width| ModelConfig::new(Architecture::Llama, 32, width, 1, 2);
/// let (teacher, student) = (
///     LanguageModel::init(&config(16), 1, &device),
///     LanguageModel::init(&config(8), 2, &device),
/// );
/// let options = GenerateOptions {
///     sampling: Sampling::temperature(1.0),
///     ..GenerateOptions::greedy(4)
/// };
/// let guidance = Guidance::Speculative { top_k: 5 };
/// let rollouts = write_together(&student, &teacher, guidance, &[vec![1, 2]], &options)?;
/// assert_eq!(rollouts[0].tokens.len(), 4);
/// # Ok::<(), potstill_core::GenerateError>(())
/// ```
pub fn write_together(
    student: &LanguageModel,
    teacher: &LanguageModel,
    guidance: Guidance,
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
) -> Result<Vec<Rollout>, GenerateError> {
    guidance.validate()?;
    if student.vocab_size() != teacher.vocab_size() {
        return Err(GenerateError::Vocabularies {
            student: student.vocab_size(),
            teacher: teacher.vocab_size(),
        });
    }
    let teacher = teacher.valid();
    let guide = Guide {
        teacher: &teacher,
        guidance,
    };
    let sequences = continued(student, Some(guide), prompts, options)?;
    Ok(sequences
        .into_iter()
        .map(|sequence| {
            let draws = sequence.log_probs.into_iter().zip(sequence.blended);
            Rollout {
                prompt: sequence.prompt.to_vec(),
                tokens: sequence.tokens,
                draws: draws
                    .map(|(policy, sampler)| Draw { policy, sampler })
                    .collect(),
                finish: sequence.finish.unwrap_or(FinishReason::Length),
            }
        })
        .collect())
}

impl Guidance {
    fn validate(self) -> Result<(), GenerateError> {
        match self {
            Self::Mixed { alpha } if !(0.0..=1.0).contains(&alpha) => {
                Err(GenerateError::Sampling {
                    name: "alpha",
                    value: alpha,
                    expected: "in [0, 1]",
                })
            }
            _ => Ok(()),
        }
    }

    /// `log s` of each token; nothing but −∞ where one of the models gives no finite logit.
    pub(super) fn blend(self, student: &[f32], teacher: &[f32]) -> Vec<f32> {
        let (Some(q), Some(p)) = (Likeliest::of(student), Likeliest::of(teacher)) else {
            return vec![f32::NEG_INFINITY; student.len()];
        };
        let probability = |logit: f32, of: Likeliest| {
            if logit.is_finite() {
                (f64::from(logit) - of.normalizer).exp()
            } else {
                0.0
            }
        };
        let both = || {
            let both = student.iter().zip(teacher);
            both.map(|(&own, &other)| (probability(own, q), probability(other, p)))
        };
        match self {
            Self::Mixed { alpha } => both()
                .map(|(q, p)| logarithm(alpha * p + (1.0 - alpha) * q))
                .collect(),
            Self::Speculative { top_k } => {
                let may = likeliest(teacher, top_k);
                let kept = both().zip(&may).filter(|(_, may)| **may);
                let replaced = (1.0 - kept.map(|((q, _), _)| q).sum::<f64>()).max(0.0);
                both()
                    .zip(&may)
                    .map(|((q, p), &may)| logarithm(if may { q } else { 0.0 } + replaced * p))
                    .collect()
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "log-probabilities are f32 everywhere"
)]
fn logarithm(probability: f64) -> f32 {
    probability.ln() as f32
}

/// Whether each token is one of the `k` with the largest logits, smaller ids first among equals.
fn likeliest(logits: &[f32], k: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    if k > 0 && k < order.len() {
        order.select_nth_unstable_by(k - 1, |&a, &b| {
            logits[b].total_cmp(&logits[a]).then(a.cmp(&b))
        });
    }
    let mut is_likely = vec![false; logits.len()];
    for token in order.into_iter().take(k) {
        is_likely[token] = true;
    }
    is_likely
}

#[cfg(test)]
mod tests {
    use potstill_core::{Generate, Sampling, TokenBatch};
    use potstill_testkit::{plain_device, values};

    use super::*;
    use crate::{Architecture, ModelConfig};

    const VOCAB: usize = 12;

    fn model(width: usize, seed: u64) -> LanguageModel {
        let config = ModelConfig {
            initializer_range: 0.5,
            ..ModelConfig::new(Architecture::Llama, VOCAB, width, 2, 2)
        };
        LanguageModel::init(&config, seed, &plain_device())
    }

    fn options(new: usize, seed: u64) -> GenerateOptions {
        GenerateOptions {
            sampling: Sampling::temperature(1.0),
            stop_tokens: vec![0],
            seed,
            ..GenerateOptions::greedy(new)
        }
    }

    fn prompts() -> Vec<Vec<u32>> {
        (1..9)
            .map(|i| (1..=i % 4 + 1).map(|j| i * j % 11 + 1).collect())
            .collect()
    }

    fn probabilities(logits: &[f32]) -> Vec<f64> {
        logits.iter().map(|&logit| f64::from(logit).exp()).collect()
    }

    #[test]
    fn each_guidance_is_the_distribution_it_says() {
        let logs = |probabilities: [f32; 4]| probabilities.map(|p| p.ln() + 3.0);
        let (q, p) = (logs([0.1, 0.2, 0.3, 0.4]), logs([0.5, 0.0, 0.3, 0.2]));
        for (guidance, expected) in [
            (Guidance::Mixed { alpha: 0.25 }, [0.2, 0.15, 0.3, 0.35]),
            (Guidance::Mixed { alpha: 0.0 }, [0.1, 0.2, 0.3, 0.4]),
            // K = {0, 2}, of which the student says 0.4: 0.6 is drawn from the teacher.
            (Guidance::Speculative { top_k: 2 }, [0.4, 0.0, 0.48, 0.12]),
            (Guidance::Speculative { top_k: 0 }, [0.5, 0.0, 0.3, 0.2]),
            (Guidance::Speculative { top_k: 9 }, [0.1, 0.2, 0.3, 0.4]),
        ] {
            let found = probabilities(&guidance.blend(&q, &p));
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{guidance:?} {found} {expected}"
                );
            }
        }
        let nothing = [f32::NAN; 4];
        let blended = Guidance::Mixed { alpha: 0.5 }.blend(&nothing, &p);
        assert!(blended.iter().all(|log| *log == f32::NEG_INFINITY));
    }

    #[test]
    fn a_student_that_is_left_alone_writes_as_it_does_alone() {
        let (student, teacher) = (model(8, 1), model(16, 2));
        let alone = student.generate(&prompts(), &options(6, 3)).unwrap();
        let guidance = Guidance::Speculative { top_k: VOCAB };
        let together =
            write_together(&student, &teacher, guidance, &prompts(), &options(6, 3)).unwrap();
        for (rollout, generation) in together.iter().zip(&alone) {
            assert_eq!(rollout.tokens, generation.tokens);
            assert_eq!(rollout.finish, generation.finish);
            for (draw, log_prob) in rollout.draws.iter().zip(&generation.log_probs) {
                assert!((draw.policy - log_prob).abs() < 1e-5);
                assert!((draw.sampler - log_prob).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn draws_are_what_both_models_say_about_the_text() {
        let (student, teacher) = (model(8, 1), model(16, 2));
        let alpha = 0.3;
        let guidance = Guidance::Mixed { alpha };
        let rollouts =
            write_together(&student, &teacher, guidance, &prompts(), &options(6, 5)).unwrap();
        let rows: Vec<_> = rollouts.iter().map(Rollout::row).collect();
        let batch = TokenBatch::from_rows(&rows, 0, &plain_device());
        let scored = |model: &LanguageModel| {
            let log_probs = burn::tensor::activation::log_softmax(model.row_logits(&batch), 1);
            values(&log_probs.gather(1, batch.row_targets().unsqueeze_dim::<2>(1)))
        };
        let (log_q, log_p) = (scored(&student), scored(&teacher));
        let drawn = batch.drawn.unwrap();
        let (policy, sampler) = (values(&drawn.policy), values(&drawn.sampler));
        for row in 0..policy.len() {
            let mixed = (alpha * log_p[row].exp() + (1.0 - alpha) * log_q[row].exp()).ln();
            assert!((policy[row] - log_q[row]).abs() < 1e-4);
            assert!((sampler[row] - mixed).abs() < 1e-4);
        }
        assert!(policy.len() > 20);
    }

    #[test]
    fn nothing_is_kept_that_the_teacher_would_not_say() {
        let (student, teacher) = (model(8, 1), model(16, 2));
        let guidance = Guidance::Speculative { top_k: 1 };
        let options = GenerateOptions {
            stop_tokens: Vec::new(),
            ..options(1, 0)
        };
        let prompts = vec![vec![3, 4]; 3000];
        let rollouts = write_together(&student, &teacher, guidance, &prompts, &options).unwrap();
        let row = Rollout::row(&rollouts[0]);
        let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
        let probabilities = |model: &LanguageModel| {
            values(&burn::tensor::activation::softmax(
                model.row_logits(&batch),
                1,
            ))
        };
        let (q, p) = (probabilities(&student), probabilities(&teacher));
        let best = (0..VOCAB).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        for (token, p) in p.iter().enumerate() {
            let own = if token == best { q[best] } else { 0.0 };
            let expected = own + (1.0 - q[best]) * p;
            let drawn = rollouts.iter().filter(|r| r.tokens[0] as usize == token);
            let found = drawn.count() as f64 / 3000.0;
            let deviation = (expected * (1.0 - expected) / 3000.0).sqrt();
            assert!(
                (found - expected).abs() < 5.0 * deviation + 1e-9,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn models_that_cannot_write_together_are_refused() {
        let config = ModelConfig::new(Architecture::Llama, VOCAB + 1, 8, 1, 2);
        let other = LanguageModel::init(&config, 1, &plain_device());
        let refused = |teacher: &LanguageModel, guidance| {
            write_together(&model(8, 1), teacher, guidance, &prompts(), &options(2, 1))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(&other, Guidance::Speculative { top_k: 3 }),
            "a student of 12 tokens and a teacher of 13 cannot write together; both must have the same \
             vocabulary"
        );
        assert_eq!(
            refused(&model(8, 1), Guidance::Mixed { alpha: 1.5 }),
            "alpha is 1.5, it must be in [0, 1]"
        );
    }
}
