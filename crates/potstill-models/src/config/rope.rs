//! Rotary position settings.

use crate::Error;

/// Rotary positions (Su et al., *RoFormer*, arXiv:2104.09864), rotate-half layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How the frequencies are changed for longer contexts.
    pub scaling: Option<RopeScaling>,
}

/// A change of the rotary frequencies.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Every frequency is divided by `factor` (position interpolation, arXiv:2306.15595).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Low frequencies are divided by `factor`, high ones kept, those between interpolated
    /// (Llama 3.1, arXiv:2407.21783).
    Llama3 {
        /// The divisor.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length before the change.
        original_max_positions: usize,
    },
}

impl Rope {
    /// The frequency of each pair of channels.
    ///
    /// ```text
    /// f_i = θ^(−2i / head_dim),  i < head_dim / 2
    /// ```
    #[must_use]
    pub fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        (0..head_dim / 2)
            .map(|i| self.theta.powf(-2.0 * i as f64 / head_dim as f64))
            .map(|frequency| match self.scaling {
                None => frequency,
                Some(RopeScaling::Linear { factor }) => frequency / factor,
                Some(RopeScaling::Llama3 {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_positions,
                }) => {
                    let turns = original_max_positions as f64 * frequency / std::f64::consts::TAU;
                    let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let kept = kept.clamp(0.0, 1.0);
                    (1.0 - kept) * frequency / factor + kept * frequency
                }
            })
            .collect()
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let positive = |key: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            Err(Error::ConfigValue {
                key: key.into(),
                found: value.to_string(),
                expected: "a finite number above 0".into(),
            })
        };
        positive("rope_theta", self.theta)?;
        match self.scaling {
            None => Ok(()),
            Some(RopeScaling::Linear { factor }) => positive("rope scaling factor", factor),
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions,
            }) => {
                positive("rope scaling factor", factor)?;
                positive("low_freq_factor", low_freq_factor)?;
                positive("high_freq_factor", high_freq_factor)?;
                positive(
                    "original_max_position_embeddings",
                    original_max_positions as f64,
                )?;
                positive(
                    "high_freq_factor - low_freq_factor",
                    high_freq_factor - low_freq_factor,
                )
            }
        }
    }
}
