//! A model in this process.

use burn::prelude::*;
use potstill_core::{
    CausalLm, LmHead, Prediction, Tapped, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch,
    TokenizerIdentity, Vocabulary,
};

/// A causal language model that teaches.
///
/// It may live on another device than the batches and have its own dtype: batches are moved to it,
/// answers are moved back. Predictions are [`Prediction::Deferred`], so that logits exist only for
/// the rows that count, a chunk at a time.
#[derive(Debug)]
pub struct ModelTeacher<M> {
    model: M,
    device: Device,
    vocabulary: Vocabulary,
    /// The head on the device of the last batch, so that it is moved once.
    head: Option<(Device, LmHead)>,
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
            head: None,
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

    fn head_on(&mut self, device: &Device) -> LmHead {
        match &self.head {
            Some((there, head)) if there == device => head.clone(),
            _ => {
                let head = self.model.head().without_autodiff().to_device(device);
                self.head = Some((device.clone(), head.clone()));
                head
            }
        }
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
        let hidden = batch.rows.select(encoded.hidden).to_device(&home);
        let Tapped {
            hidden: states,
            attention,
        } = encoded.tapped;
        Ok(TeacherSignal {
            prediction: Prediction::Deferred {
                hidden,
                head: self.head_on(&home),
            },
            tapped: Tapped {
                hidden: states
                    .into_iter()
                    .map(|(i, state)| (i, state.to_device(&home)))
                    .collect(),
                attention: attention
                    .into_iter()
                    .map(|(i, map)| (i, map.to_device(&home)))
                    .collect(),
            },
        })
    }
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
