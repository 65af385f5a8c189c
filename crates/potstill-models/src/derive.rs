//! A student from its teacher.
//!
//! [`StudentSpec`] says how: some of the teacher's blocks (Sanh et al., *DistilBERT*,
//! arXiv:1910.01108), the [parts](KeptParts) that matter most, a fresh smaller model, or all of the
//! teacher. What comes back besides the student is a [`LayerMap`], the correspondence that feature
//! losses need.

mod cut;
mod depth;
mod eigen;
mod importance;
mod kept_parts;
mod layer_choice;
mod layer_map;
mod low_rank_head;
mod shape;
mod vocabulary;

use burn::prelude::*;
use burn::tensor::FloatDType;
use cut::Cut;
pub use depth::{DepthSearch, Removal, Removed};
pub use importance::Importance;
pub use kept_parts::KeptParts;
pub use layer_choice::LayerChoice;
pub use layer_map::LayerMap;
pub use low_rank_head::LowRankHead;
pub use shape::StudentShape;

use crate::weights::load_language_model;
use crate::{Error, LanguageModel, ModelConfig};

/// How a student comes from its teacher.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StudentSpec {
    /// The teacher with some of its blocks only; everything else is copied.
    Layers(LayerChoice),
    /// Some parts of the teacher only, in depth and width.
    Parts(KeptParts),
    /// A fresh model and the seed of its weights, of any architecture with the teacher's vocabulary
    /// size.
    Fresh(ModelConfig, u64),
    /// The whole teacher.
    Copy,
}

/// A student, and which of its layers stands for which of the teacher's.
#[derive(Clone, Debug)]
pub struct DerivedStudent {
    /// The student, in f32.
    pub model: LanguageModel,
    /// The correspondence of hidden states.
    pub layer_map: LayerMap,
}

/// Derives a student, on `device`, from `teacher`.
///
/// The student is a model of its own in f32, whatever the teacher's dtype and device; give an
/// autodiff device to train it.
///
/// # Errors
///
/// When the chosen blocks are not there, none is chosen, the parts are those of another model, or a fresh model's configuration is not
/// valid or has another vocabulary size than the teacher: a student speaks the teacher's tokens.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_models::{
///     Architecture, LanguageModel, LayerChoice, ModelConfig, StudentSpec, derive_student,
/// };
///
/// let device = Device::default();
/// let config = ModelConfig::new(Architecture::Llama, 32, 16, 4, 2);
/// let teacher = LanguageModel::init(&config, 1, &device);
/// let spec = StudentSpec::Layers(LayerChoice::EvenlySpaced(2));
/// let student = derive_student(&teacher, &spec, &device.autodiff())?;
/// assert_eq!(student.model.config().n_layers, 2);
/// // Embeddings, first block, and last block with the final norm.
/// assert_eq!(student.layer_map.pairs(), [(0, 0), (1, 1), (2, 4)]);
/// # Ok::<(), potstill_models::Error>(())
/// ```
pub fn derive_student(
    teacher: &LanguageModel,
    spec: &StudentSpec,
    device: &Device,
) -> Result<DerivedStudent, Error> {
    let teacher_config = teacher.config();
    let n_layers = teacher_config.n_layers;
    let parts = match spec {
        StudentSpec::Fresh(config, seed) => {
            config.validate()?;
            if !config.architecture.is_causal() {
                return Err(Error::NotCausal {
                    architecture: config.architecture.name(),
                });
            }
            if config.vocab_size != teacher_config.vocab_size {
                return Err(Error::StudentVocabulary {
                    student: config.vocab_size,
                    teacher: teacher_config.vocab_size,
                });
            }
            return Ok(DerivedStudent {
                model: LanguageModel::init(config, *seed, device),
                layer_map: LayerMap::evenly_spaced(config.n_layers, n_layers),
            });
        }
        StudentSpec::Layers(choice) => KeptParts::all(teacher_config).with_blocks(choice)?,
        StudentSpec::Parts(parts) if &parts.teacher != teacher_config => {
            return Err(Error::PartsOfAnother);
        }
        StudentSpec::Parts(parts) => parts.clone(),
        StudentSpec::Copy => KeptParts::all(teacher_config),
    };
    let source = Cut::new(teacher, &parts);
    let model = load_language_model(&parts.config(), &source, FloatDType::F32, None, device)?;
    Ok(DerivedStudent {
        model,
        layer_map: LayerMap::of_blocks(parts.blocks(), n_layers),
    })
}

#[cfg(test)]
mod tests;
