//! Heads of low rank.

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::CausalLm;

use super::eigen::symmetric_eigen;
use crate::{Error, LanguageModel, ModelConfig};

/// A head as the product of two narrow matrices, from its singular value decomposition.
///
/// ```text
/// W [vocab, d] ≈ A · B       A = W·V_r [vocab, r]     B = V_rᵀ [r, d]
/// logits = (hidden · Bᵀ) · Aᵀ
/// ```
///
/// with V_r the r first right singular vectors, which is the best that rank r can do (Eckart-Young).
/// The model projects its hidden states to r channels and has a head of that width, so nothing that
/// reads [`CausalLm::head`] has to know; both factors are trained. The embeddings stay as they are, which
/// means that a tied head is tied no more. Worthwhile where `r · (vocab + d)` is much less than
/// `vocab · d`.
///
/// [`save_pretrained`](crate::save_pretrained) multiplies the factors, so that other programs load
/// the folder. Whoever reads it back decomposes it again, without loss, since its rank is r.
///
/// ```
/// use burn::prelude::*;
/// use potstill_models::{Architecture, LanguageModel, LowRankHead, ModelConfig};
///
/// let config = ModelConfig::new(Architecture::Llama, 64, 16, 2, 2);
/// let model = LanguageModel::init(&config, 1, &Device::default());
/// let decomposed = LowRankHead::of(&model)?;
/// assert!(decomposed.relative_error(8) > decomposed.relative_error(12));
/// let student = decomposed.model(&model, 8)?;
/// assert_eq!(student.config().head_rank, Some(8));
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LowRankHead {
    /// Descending.
    singular_values: Vec<f64>,
    /// Right singular vectors, in the same order.
    vectors: Vec<Vec<f64>>,
}

impl LowRankHead {
    /// Decomposes the head of a model. The time grows with the cube of its width.
    ///
    /// # Errors
    ///
    /// When the head cannot be read back from its device, or holds what is not finite.
    pub fn of(model: &LanguageModel) -> Result<Self, Error> {
        let failed = |reason: String| Error::Readback {
            name: "lm_head.weight".into(),
            reason,
        };
        let weight = model.with_merged_head().head().weight.without_autodiff();
        let device = weight.device();
        let precise = device.supports_dtype(FloatDType::F64);
        let weight = weight.cast(if precise {
            FloatDType::F64
        } else {
            FloatDType::F32
        });
        // WᵀW = V · diag(s²) · Vᵀ, and is small where W is tall.
        let gram = weight.clone().transpose().matmul(weight);
        let [d, _] = gram.dims();
        let gram = gram
            .try_into_vec_as::<f64>()
            .map_err(|error| failed(error.to_string()))?;
        if gram.iter().any(|value| !value.is_finite()) {
            return Err(failed("it holds a number that is not finite".into()));
        }
        let (squared, vectors) = symmetric_eigen(gram.chunks(d).map(<[f64]>::to_vec).collect());
        Ok(Self {
            singular_values: squared.into_iter().map(f64::sqrt).collect(),
            vectors,
        })
    }

    /// The singular values, descending.
    #[must_use]
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// `‖W − A·B‖ / ‖W‖` in the Frobenius norm, of a head of this rank.
    #[must_use]
    pub fn relative_error(&self, rank: usize) -> f64 {
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        let total = squares(&self.singular_values);
        let lost = self.singular_values.get(rank..).map_or(0.0, squares);
        if total == 0.0 {
            0.0
        } else {
            (lost / total).sqrt()
        }
    }

    /// `model`, whose head was decomposed, with a head of this rank. Everything else is shared with
    /// it.
    ///
    /// # Errors
    ///
    /// When the rank is 0 or more than the width of the head, or the head is of another width.
    pub fn model(&self, model: &LanguageModel, rank: usize) -> Result<LanguageModel, Error> {
        let model = model.with_merged_head();
        let weight = model.head().weight.without_autodiff();
        let (d, device) = (self.singular_values.len(), weight.device());
        let config = ModelConfig {
            tie_word_embeddings: false,
            head_rank: Some(rank),
            ..model.config().clone()
        };
        config.validate()?;
        if weight.dims()[1] != d {
            return Err(Error::PartsOfAnother);
        }
        let basis: Vec<f32> = self.vectors[..rank]
            .iter()
            .flatten()
            .map(|&value| value as f32)
            .collect();
        let basis = TensorData::new(basis, [rank, d]);
        let basis = Tensor::<2>::from_data(basis, (&device, weight.dtype())).transpose();
        let table = weight.matmul(basis.clone());
        Ok(model.with_head(Some(basis), table, config))
    }
}

impl LanguageModel {
    /// This model with one matrix for a head, where it has a [`LowRankHead`]; else the same model.
    #[must_use]
    pub fn with_merged_head(&self) -> Self {
        let projection = match self {
            Self::Llama(model) => model.head_projection(),
            Self::Gpt2(model) => model.head_projection(),
        };
        let Some(projection) = projection else {
            return self.clone();
        };
        let table = self.head().weight.detach();
        let config = ModelConfig {
            head_rank: None,
            ..self.config().clone()
        };
        self.with_head(None, table.matmul(projection.detach().transpose()), config)
    }

    fn with_head(
        &self,
        projection: Option<Tensor<2>>,
        table: Tensor<2>,
        config: ModelConfig,
    ) -> Self {
        match self {
            Self::Llama(model) => Self::Llama(model.with_head(projection, table, config)),
            Self::Gpt2(model) => Self::Gpt2(model.with_head(projection, table, config)),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;
    use potstill_core::{TokenBatch, TokenRow};

    use super::*;
    use crate::{
        Architecture, Checkpoint, Companions, StudentSpec, derive_student, save_pretrained,
    };

    fn model(architecture: Architecture) -> LanguageModel {
        let mut config = ModelConfig::new(architecture, 48, 16, 2, 2);
        (config.tie_word_embeddings, config.initializer_range) = (true, 0.3);
        config.max_positions = 16;
        LanguageModel::init(&config, 5, &Device::default())
    }

    fn logits(model: &LanguageModel) -> TensorData {
        let row = TokenRow::document(&[1, 40, 3, 7, 9], &[1.0; 5]);
        let batch = TokenBatch::from_rows(&[row], 0, &Device::default());
        model.row_logits(&batch).into_data()
    }

    #[test]
    fn full_rank_changes_nothing() {
        for architecture in [Architecture::Llama, Architecture::Gpt2] {
            let model = model(architecture);
            let decomposed = LowRankHead::of(&model).unwrap();
            assert_eq!(decomposed.relative_error(16), 0.0);
            let same = decomposed.model(&model, 16).unwrap();
            logits(&same).assert_approx_eq::<f32>(&logits(&model), Tolerance::absolute(2e-5));
        }
    }

    #[test]
    fn the_error_of_a_rank_is_what_the_singular_values_say() {
        let model = model(Architecture::Llama);
        let decomposed = LowRankHead::of(&model).unwrap();
        let whole = model.head().weight;
        let norm = |x: Tensor<2>| x.square().sum().sqrt().into_scalar::<f32>();
        for rank in [1, 5, 15] {
            let cut = decomposed.model(&model, rank).unwrap();
            let rebuilt = cut.with_merged_head().head().weight;
            let found = norm(whole.clone() - rebuilt) / norm(whole.clone());
            let expected = decomposed.relative_error(rank) as f32;
            assert!(
                (found - expected).abs() < 1e-4,
                "rank {rank}: {found}, {expected}"
            );
        }
    }

    #[test]
    fn both_factors_are_trained_and_the_folder_holds_their_product() {
        let teacher = model(Architecture::Llama);
        let narrow = LowRankHead::of(&teacher)
            .unwrap()
            .model(&teacher, 6)
            .unwrap();
        let device = Device::default().autodiff();
        let student = derive_student(&narrow, &StudentSpec::Copy, &device)
            .unwrap()
            .model;
        let row = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
        let batch = TokenBatch::from_rows(&[row], 0, &Device::default());
        let gradients = student.row_logits(&batch).square().sum().backward();
        let LanguageModel::Llama(llama) = &student else {
            panic!("it is a Llama")
        };
        let projection = llama.head_projection().unwrap();
        assert!(projection.grad(&gradients).is_some());
        assert!(student.head().weight.grad(&gradients).is_some());

        let folder = tempfile::tempdir().unwrap();
        save_pretrained(&student, folder.path(), &Companions::default()).unwrap();
        let reloaded = Checkpoint::open(folder.path()).unwrap();
        let reloaded = reloaded
            .language_model(FloatDType::F32, &Device::default())
            .unwrap();
        assert_eq!(reloaded.config().head_rank, None);
        logits(&reloaded).assert_approx_eq::<f32>(&logits(&narrow), Tolerance::absolute(1e-5));
        let again = LowRankHead::of(&reloaded).unwrap();
        assert!(again.relative_error(6) < 1e-3);
        let again = again.model(&reloaded, 6).unwrap();
        logits(&again).assert_approx_eq::<f32>(&logits(&narrow), Tolerance::absolute(1e-4));
    }

    #[test]
    fn a_rank_that_makes_no_sense_is_refused() {
        let model = model(Architecture::Llama);
        let decomposed = LowRankHead::of(&model).unwrap();
        for rank in [0, 17] {
            let error = decomposed.model(&model, rank).unwrap_err().to_string();
            assert!(
                error.contains("head_rank") && error.contains("16"),
                "{error}"
            );
        }
    }
}
