//! One text, token by token.

use burn::prelude::*;
use potstill_core::{CausalLm, FinishReason, GenerateError, GenerateOptions};

use super::{Sequence, check};
use crate::{KvCache, LanguageModel, Sampler};

/// A text that a model writes while somebody watches: the tokens that
/// [`Generate`](potstill_core::Generate) gives, one after the other.
///
/// Nothing waits for the device, which a browser would not allow; whoever calls
/// [`step`](Self::step) may do something else between two tokens, or stop.
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::GenerateOptions;
/// use potstill_models::{Architecture, Continuation, LanguageModel, ModelConfig};
///
/// # async fn write() -> Result<(), potstill_core::GenerateError> {
/// let config = ModelConfig::new(Architecture::Llama, 32, 16, 2, 2);
/// let model = LanguageModel::init(&config, 42, &Device::default());
/// let mut text = Continuation::new(&model, &[1, 2, 3], &GenerateOptions::greedy(8))?;
/// while text.step().await? {
///     println!("{:?}", text.tokens());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Continuation {
    model: LanguageModel,
    options: GenerateOptions,
    cache: KvCache,
    sequence: Sequence<'static>,
    /// What the model has not read yet.
    unread: Vec<u32>,
}

impl Continuation {
    /// Prepares to continue `prompt`; the model's weights are shared.
    ///
    /// # Errors
    ///
    /// Those of [`Generate::generate`](potstill_core::Generate::generate) for this prompt.
    pub fn new(
        model: &LanguageModel,
        prompt: &[u32],
        options: &GenerateOptions,
    ) -> Result<Self, GenerateError> {
        options.sampling.validate()?;
        check(model, 0, prompt, options.max_new_tokens)?;
        let sampler = Sampler::seeded(options.sampling, prompt, options.seed, 0);
        Ok(Self {
            model: model.valid(),
            options: options.clone(),
            cache: KvCache::new(vec![0], prompt.len() + options.max_new_tokens),
            // The cache needs the prompt once, and takes it from `unread`.
            sequence: Sequence::new(0, &[], sampler, options.max_new_tokens),
            unread: prompt.to_vec(),
        })
    }

    /// Writes one more token; false once the text has ended.
    ///
    /// # Errors
    ///
    /// When no logit is finite.
    ///
    /// # Panics
    ///
    /// Panics if the device fails.
    pub async fn step(&mut self) -> Result<bool, GenerateError> {
        if self.sequence.finish.is_some() {
            return Ok(false);
        }
        let tokens: Vec<i32> = self
            .unread
            .iter()
            .map(|token| token.cast_signed())
            .collect();
        let tokens = TensorData::new(tokens, [1, self.unread.len()]);
        let tokens = Tensor::from_data(tokens, &self.model.head().weight.device());
        let logits = self.model.next_logits(tokens, &mut self.cache);
        let logits = logits.into_data_async().await.expect("the device computes");
        let logits: Vec<f32> = logits.try_into_vec().expect("logits are in f32");
        self.sequence.push(&logits, None, &self.options)?;
        self.unread.clear();
        self.unread.extend(self.sequence.tokens.last());
        Ok(true)
    }

    /// The tokens so far, without the prompt.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.sequence.tokens
    }

    /// Why the text has ended, if so.
    #[must_use]
    pub fn finish(&self) -> Option<FinishReason> {
        self.sequence.finish
    }
}
