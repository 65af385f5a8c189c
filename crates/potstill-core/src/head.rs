//! The map from hidden states to the vocabulary.

use burn::prelude::*;
use burn::tensor::{FloatDType, assert_shape};

/// A language-model head: `logits = softcap · tanh(scale · (hidden · weightᵀ + bias) / softcap)`.
///
/// Holds tensors, not parameters: a tied embedding stays one `Param` in its model, and the gradient
/// reaches it through `weight`.
#[derive(Clone, Debug)]
pub struct LmHead {
    /// `[vocab, d_model]`.
    pub weight: Tensor<2>,
    /// `[vocab]`.
    pub bias: Option<Tensor<1>>,
    /// Factor on the logits; 1 for most models.
    pub scale: f64,
    /// Bound on the logits, as in Gemma 2; `None` for most models.
    pub softcap: Option<f64>,
}

impl LmHead {
    /// A head with neither bias nor scale nor softcap.
    #[must_use]
    pub fn new(weight: Tensor<2>) -> Self {
        Self {
            weight,
            bias: None,
            scale: 1.0,
            softcap: None,
        }
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Logits in f32, whatever the dtype of the model.
    ///
    /// # Shapes
    ///
    /// - `hidden`: `[rows, d_model]`
    /// - output: `[rows, vocab]`
    ///
    /// # Panics
    ///
    /// Panics if the width of `hidden` is not that of the head.
    #[must_use]
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let [_, d_model] = self.weight.dims();
        assert_shape!(hidden, [_, d_model]);
        self.logits_of_products(hidden.matmul(self.weight.clone().transpose()))
    }

    /// Logits in f32 from `hidden · weightᵀ`, for who computes that in another way.
    ///
    /// # Shapes
    ///
    /// - `products`, output: `[rows, vocab]`
    ///
    /// # Panics
    ///
    /// Panics if `products` is not as wide as the vocabulary.
    #[must_use]
    pub fn logits_of_products(&self, products: Tensor<2>) -> Tensor<2> {
        let vocab = self.vocab_size();
        assert_shape!(products, [_, vocab]);
        let mut logits = products;
        if logits.dtype() != burn::tensor::DType::F64 {
            logits = logits.cast(FloatDType::F32);
        }
        if let Some(bias) = &self.bias {
            let bias = bias.clone().cast(logits.dtype());
            logits = logits + bias.unsqueeze::<2>();
        }
        if self.scale != 1.0 {
            logits = logits * self.scale;
        }
        match self.softcap {
            // Not `logits / cap`: autodiff keeps the derivative of that in f32, also for f64.
            Some(cap) => (logits * cap.recip()).tanh() * cap,
            None => logits,
        }
    }

    /// The head of the first `vocab_size` tokens.
    ///
    /// Heads are often padded beyond the tokenizer for the sake of the hardware; the padding must
    /// not take part in a distribution.
    ///
    /// # Panics
    ///
    /// Panics if the head is smaller than that.
    #[must_use]
    pub fn truncated(self, vocab_size: usize) -> Self {
        let rows = self.vocab_size();
        assert!(
            vocab_size <= rows,
            "a head of {rows} tokens has no first {vocab_size}"
        );
        if rows == vocab_size {
            return self;
        }
        Self {
            weight: self.weight.narrow(0, 0, vocab_size),
            bias: self.bias.map(|bias| bias.narrow(0, 0, vocab_size)),
            ..self
        }
    }

    /// The same head on `device`.
    #[must_use]
    pub fn to_device(self, device: &Device) -> Self {
        Self {
            weight: self.weight.to_device(device),
            bias: self.bias.map(|bias| bias.to_device(device)),
            ..self
        }
    }

    /// The same head, cut from the autodiff graph.
    #[must_use]
    pub fn without_autodiff(self) -> Self {
        Self {
            weight: self.weight.without_autodiff(),
            bias: self.bias.map(Tensor::without_autodiff),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;

    use super::*;

    fn head(device: &Device) -> LmHead {
        LmHead::new(Tensor::from_floats(
            [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
            device,
        ))
    }

    fn check(head: &LmHead, expected: [f32; 3]) {
        let hidden = Tensor::from_floats([[2.0, -3.0]], &head.weight.device());
        let expected = TensorData::from([expected]);
        head.logits(hidden)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn logits_are_products_plus_bias_scaled_and_capped_in_that_order() {
        let device = Device::default();
        let mut head = head(&device);
        check(&head, [2.0, -3.0, -1.0]);
        head.bias = Some(Tensor::from_floats([1.0, 0.0, 1.0], &device));
        check(&head, [3.0, -3.0, 0.0]);
        head.scale = 0.5;
        check(&head, [1.5, -1.5, 0.0]);
        head.softcap = Some(1.0);
        check(&head, [1.5f32.tanh(), (-1.5f32).tanh(), 0.0]);
    }

    #[test]
    fn truncation_drops_the_padding() {
        let mut head = head(&Device::default());
        head.bias = Some(Tensor::from_floats([1.0, 2.0, 3.0], &Device::default()));
        let head = head.truncated(2);
        assert_eq!(head.vocab_size(), 2);
        assert_eq!(head.bias.map(|bias| bias.dims()), Some([2]));
    }

    #[test]
    fn half_precision_weights_give_f32_logits() {
        let device = Device::default();
        let mut head = head(&device);
        head.weight = head.weight.cast(FloatDType::BF16);
        let hidden = Tensor::<2>::from_floats([[2.0, -3.0]], &device).cast(FloatDType::BF16);
        assert_eq!(head.logits(hidden).dtype(), burn::tensor::DType::F32);
    }

    #[test]
    #[should_panic(expected = "a head of 3 tokens has no first 4")]
    fn a_head_cannot_be_truncated_to_more_than_it_has() {
        let _ = head(&Device::default()).truncated(4);
    }
}
