//! How large a student is.

use serde::{Deserialize, Serialize};

use crate::{Error, ModelConfig};

/// The sizes of a student; what is `None` stays as in the teacher.
///
/// ```
/// use potstill_models::{Architecture, ModelConfig, StudentShape};
///
/// let teacher = ModelConfig::new(Architecture::Llama, 512, 64, 8, 8);
/// let shape = StudentShape { n_layers: Some(4), d_ff: Some(128), ..StudentShape::default() };
/// let student = shape.config(&teacher)?;
/// assert_eq!((student.n_layers, student.d_model, student.d_ff), (4, 64, 128));
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudentShape {
    /// Number of blocks.
    pub n_layers: Option<usize>,
    /// Width of the residual stream.
    pub d_model: Option<usize>,
    /// Number of query heads; they keep their width.
    pub n_heads: Option<usize>,
    /// Number of key and value heads; divides `n_heads`.
    pub n_kv_heads: Option<usize>,
    /// Width of the MLP.
    pub d_ff: Option<usize>,
}

impl StudentShape {
    /// The configuration of a student of this shape, with everything else as in the teacher's.
    ///
    /// # Errors
    ///
    /// When a size is larger than the teacher's, more heads than the teacher's would share a key, or
    /// there is no [valid](ModelConfig::validate) model of these sizes; for GPT-2, `n_heads` times
    /// the width of a head must be `d_model`.
    pub fn config(&self, teacher: &ModelConfig) -> Result<ModelConfig, Error> {
        let mut config = teacher.clone();
        for (size, wanted, most, key) in [
            (
                &mut config.n_layers,
                self.n_layers,
                teacher.n_layers,
                "num_hidden_layers",
            ),
            (
                &mut config.d_model,
                self.d_model,
                teacher.d_model,
                "hidden_size",
            ),
            (
                &mut config.n_heads,
                self.n_heads,
                teacher.n_heads,
                "num_attention_heads",
            ),
            (
                &mut config.n_kv_heads,
                self.n_kv_heads,
                teacher.n_kv_heads,
                "num_key_value_heads",
            ),
            (
                &mut config.d_ff,
                self.d_ff,
                teacher.d_ff,
                "intermediate_size",
            ),
        ] {
            let Some(wanted) = wanted else { continue };
            if wanted > most {
                return Err(Error::ConfigValue {
                    key: key.into(),
                    found: wanted.to_string(),
                    expected: format!("at most the teacher's {most}"),
                });
            }
            *size = wanted;
        }
        let keys_follow_heads = !config.architecture.is_llama_like() && self.n_kv_heads.is_none();
        if keys_follow_heads {
            config.n_kv_heads = config.n_heads;
        }
        config.validate()?;
        let (most, sharing) = (group(teacher), group(&config));
        if sharing > most {
            return Err(Error::ConfigValue {
                key: "num_key_value_heads".into(),
                found: config.n_kv_heads.to_string(),
                expected: format!(
                    "at least {}, since {most} heads share a key in the teacher",
                    config.n_heads.div_ceil(most)
                ),
            });
        }
        Ok(config)
    }
}

/// Query heads that share a key head.
pub(super) fn group(config: &ModelConfig) -> usize {
    config.n_heads / config.n_kv_heads
}
