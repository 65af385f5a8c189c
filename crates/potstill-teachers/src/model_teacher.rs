//! A model in this process.

use burn::prelude::*;
use potstill_core::{
    CausalLm, LmHead, Prediction, Tapped, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch,
    TokenizerIdentity, Vocabulary,
};

use crate::error::Error;

/// A causal language model that teaches.
///
/// It may live on another device than the batches and have its own dtype: batches are moved to it,
/// answers are moved back. Predictions are [`Prediction::Deferred`], so that logits exist only for
/// the rows that count, a chunk at a time.
///
/// The device may be that of another machine (burn's remote backend, the facade's feature `remote`).
/// Then the weights stay there, the head comes over once, and each batch costs its tokens on the way
/// out and the hidden states of its rows on the way back. A device that is gone is an error.
#[derive(Debug)]
pub struct ModelTeacher<M> {
    model: M,
    device: Device,
    vocabulary: Vocabulary,
    /// The head on each device that a batch came from, so that it is moved once.
    heads: Vec<(Device, LmHead)>,
}

impl<M: CausalLm> ModelTeacher<M> {
    /// A teacher with a validation snapshot of `model`: no autodiff, no dropout, and later changes
    /// of `model` do not reach it.
    ///
    /// # Panics
    ///
    /// Panics if `model` has no parameters.
    #[must_use]
    pub fn new(model: &M) -> Self {
        let model = model.valid();
        let device = model
            .devices()
            .into_iter()
            .next()
            .expect("a model has parameters");
        Self {
            vocabulary: Vocabulary::of_size(model.vocab_size()),
            device: device.without_autodiff(),
            model,
            heads: Vec::new(),
        }
    }

    /// Names the tokenizer, so that a student of another vocabulary is recognised, and a padded
    /// head is cut to the real size.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: TokenizerIdentity) -> Self {
        self.vocabulary.tokenizer = Some(tokenizer);
        self
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &M {
        &self.model
    }

    fn check(&self, batch: &TokenBatch, taps: &Taps) -> Result<(), TeacherError> {
        if let Some((kind, layer, last)) = taps.out_of_range(self.model.n_layers()) {
            return Err(TeacherError::MissingLayer { kind, layer, last });
        }
        let (length, max_positions) = (batch.longest_segment(), self.model.max_positions());
        if length > max_positions {
            return Err(TeacherError::TooLong {
                length,
                max_positions,
            });
        }
        Ok(())
    }

    fn head_on(&mut self, device: &Device) -> Result<LmHead, Error> {
        if let Some((_, head)) = self.heads.iter().find(|(there, _)| there == device) {
            return Ok(head.clone());
        }
        let head = self.model.head().without_autodiff();
        let head = LmHead {
            weight: brought(head.weight, device)?,
            bias: head.bias.map(|bias| brought(bias, device)).transpose()?,
            ..head
        };
        self.heads.push((device.clone(), head.clone()));
        Ok(head)
    }
}

impl<M: CausalLm> Teacher for ModelTeacher<M> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        Some(self.model.max_positions())
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        self.check(batch, taps)?;
        let home = batch.tokens.device().without_autodiff();
        let batch = without_autodiff(batch).to_device(&self.device);
        let encoded = self.model.encode(&batch, taps);
        let hidden = brought(batch.rows.select(encoded.hidden), &home)?;
        let Tapped {
            hidden: states,
            attention,
        } = encoded.tapped;
        Ok(TeacherSignal {
            prediction: Prediction::Deferred {
                hidden,
                head: self.head_on(&home)?,
            },
            tapped: Tapped {
                hidden: all_brought(states, &home)?,
                attention: all_brought(attention, &home)?,
            },
        })
    }
}

/// The tensor on another device; unlike `to_device`, with an error if its own cannot be read.
fn brought<const D: usize>(tensor: Tensor<D>, home: &Device) -> Result<Tensor<D>, Error> {
    let (there, dtype) = (tensor.device(), tensor.dtype());
    if there == *home {
        return Ok(tensor);
    }
    let data = tensor.try_into_data().map_err(|source| Error::Device {
        device: format!("{there:?}"),
        source: source.into(),
    })?;
    Ok(Tensor::from_data(data, (home, dtype)))
}

fn all_brought<const D: usize>(
    tapped: Vec<(usize, Tensor<D>)>,
    home: &Device,
) -> Result<Vec<(usize, Tensor<D>)>, Error> {
    tapped
        .into_iter()
        .map(|(layer, tensor)| Ok((layer, brought(tensor, home)?)))
        .collect()
}

/// Token tensors made on an autodiff device would drag autodiff through the whole forward pass.
fn without_autodiff(batch: &TokenBatch) -> TokenBatch {
    let mut batch = batch.clone();
    batch.tokens = batch.tokens.without_autodiff();
    batch.segments = batch.segments.without_autodiff();
    batch.positions = batch.positions.without_autodiff();
    batch.targets = batch.targets.without_autodiff();
    batch.rows.indices = batch.rows.indices.without_autodiff();
    batch.rows.weights = batch.rows.weights.map(Tensor::without_autodiff);
    batch
}

#[cfg(test)]
mod tests;
