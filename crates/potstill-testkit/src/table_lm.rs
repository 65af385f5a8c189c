//! A language model that is a table: what follows one or two tokens.

use burn::module::Param;
use burn::prelude::*;
use potstill_core::{
    CausalLm, Encoded, FinishReason, Generate, GenerateError, GenerateOptions, Generation, LmHead,
    Tapped, Taps, TokenBatch,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::normals;

/// A Markov chain of order 1 or 2 over few tokens: everything about it can be computed exactly.
///
/// Of order 2, the first token of a segment counts as if it came behind token 0.
#[derive(Module, Debug)]
pub struct TableLm {
    /// Logits behind each context, `[contexts, vocab]`.
    table: Param<Tensor<2>>,
    order: usize,
}

impl TableLm {
    /// A chain of `order` 1 or 2 with normal logits of standard deviation `scale`.
    ///
    /// # Panics
    ///
    /// Panics if the order is another.
    #[must_use]
    pub fn new(vocab_size: usize, order: usize, scale: f64, seed: u64, device: &Device) -> Self {
        assert!((1..=2).contains(&order), "a table is of order 1 or 2");
        let contexts = vocab_size.pow(u32::try_from(order).expect("1 or 2"));
        let logits = normals(contexts * vocab_size, scale, seed);
        let logits: Vec<f32> = logits.into_iter().map(|value| value as f32).collect();
        let data = TensorData::new(logits, [contexts, vocab_size]);
        Self {
            table: Param::from_tensor(Tensor::from_data(data, device)),
            order,
        }
    }

    /// Probabilities behind each context; of order 2, context `earlier · vocab + last`.
    #[must_use]
    pub fn probabilities(&self) -> Vec<Vec<f64>> {
        let logits: Vec<f64> = self.table.val().into_data().iter::<f64>().collect();
        logits.chunks(self.vocab_size()).map(softmax).collect()
    }

    fn context(&self, tokens: &[u32]) -> usize {
        let (last, before) = tokens.split_last().expect("a context is not empty");
        let earlier = before.last().filter(|_| self.order == 2);
        earlier.map_or(0, |&earlier| earlier as usize) * self.vocab_size() + *last as usize
    }
}

impl CausalLm for TableLm {
    fn encode(&self, batch: &TokenBatch, _: &Taps) -> Encoded {
        let [rows, seq] = batch.dims();
        let tokens = batch.tokens.clone();
        let contexts = if self.order == 1 {
            tokens
        } else {
            let zeros = Tensor::<2, Int>::zeros([rows, 1], &tokens.device());
            let earlier = Tensor::cat(vec![zeros, tokens.clone()], 1).narrow(1, 0, seq);
            let is_first = batch.positions.clone().equal_scalar(0);
            let vocab = i64::try_from(self.vocab_size()).expect("a vocabulary is small");
            earlier.mask_fill(is_first, 0) * vocab + tokens
        };
        let hidden = self
            .table
            .val()
            .select(0, contexts.reshape([rows * seq]))
            .reshape([rows, seq, self.vocab_size()]);
        Encoded {
            hidden,
            tapped: Tapped::default(),
        }
    }

    fn head(&self) -> LmHead {
        LmHead::new(Tensor::eye(self.vocab_size(), &self.table.val().device()))
    }

    fn vocab_size(&self) -> usize {
        self.table.dims()[1]
    }

    fn n_layers(&self) -> usize {
        0
    }

    fn d_model(&self) -> usize {
        self.vocab_size()
    }

    fn max_positions(&self) -> usize {
        4096
    }
}

/// At temperature 1, whatever the options say about sampling.
impl Generate for TableLm {
    fn generate(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>, GenerateError> {
        let table = self.probabilities();
        let mut random = ChaCha8Rng::seed_from_u64(options.seed);
        let generations = prompts.iter().map(|prompt| {
            let mut text = prompt.clone();
            let mut log_probs = Vec::new();
            let mut finish = FinishReason::Length;
            for _ in 0..options.max_new_tokens {
                let q = &table[self.context(&text)];
                let token = draw(q, random.random());
                log_probs.push(q[token].ln() as f32);
                text.push(u32::try_from(token).expect("a vocabulary is small"));
                if let Some(stop) = text.last().filter(|t| options.stop_tokens.contains(t)) {
                    finish = FinishReason::StopToken(*stop);
                    break;
                }
            }
            Generation {
                tokens: text.split_off(prompt.len()),
                log_probs,
                finish,
            }
        });
        Ok(generations.collect())
    }
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let total: f64 = exps.iter().sum();
    exps.iter().map(|exp| exp / total).collect()
}

fn draw(probabilities: &[f64], mut left: f64) -> usize {
    for (token, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return token;
        }
    }
    probabilities.len() - 1
}

#[cfg(test)]
mod tests {
    use potstill_core::{Rollout, TokenRow};

    use super::*;
    use crate::{plain_device, values};

    #[test]
    fn what_it_writes_is_as_likely_as_what_it_reads() {
        let model = TableLm::new(4, 2, 1.0, 3, &plain_device());
        let options = GenerateOptions {
            seed: 5,
            ..GenerateOptions::greedy(6)
        };
        let prompt = vec![1, 3];
        let generation = model
            .generate(std::slice::from_ref(&prompt), &options)
            .unwrap();
        let rollout = Rollout::new(prompt, generation[0].clone());
        let other = TokenRow::document(&[2, 2, 1], &[0.0; 3]);
        let mut row = other;
        row.push_rollout(&rollout);
        let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
        let log_q = burn::tensor::activation::log_softmax(model.row_logits(&batch), 1);
        let targets = batch.row_targets().unsqueeze_dim::<2>(1);
        let read = values(&log_q.gather(1, targets));
        for (read, written) in read.iter().zip(&generation[0].log_probs) {
            assert!((read - f64::from(*written)).abs() < 1e-5);
        }
        assert_eq!(read.len(), 6);
    }
}
