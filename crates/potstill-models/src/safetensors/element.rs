//! Element types of weights on disk.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightDtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats of IEEE 754; beyond ±65504 they are infinite.
    F16,
    /// The upper half of 32-bit floats.
    Bf16,
}

impl WeightDtype {
    pub(crate) const SUPPORTED: &'static str = "F32, F16, BF16";

    /// The type that a safetensors header calls `name`.
    pub(crate) fn from_safetensors(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            _ => None,
        }
    }

    /// What a safetensors header calls it.
    pub(crate) fn safetensors_name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// What `config.json` calls it.
    pub(crate) fn config_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Bytes of an element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Little-endian bytes to numbers; `bytes` must be whole elements.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let halves = || {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .copied()
                .map(u16::from_le_bytes)
        };
        match self {
            Self::F32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .copied()
                .map(f32::from_le_bytes)
                .collect(),
            Self::F16 => {
                let values: Vec<f16> = halves().map(f16::from_bits).collect();
                values.to_f32_vec()
            }
            Self::Bf16 => halves()
                .map(|bits| bf16::from_bits(bits).to_f32())
                .collect(),
        }
    }

    /// Numbers to little-endian bytes, rounded to the nearest.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            Self::F16 => values
                .iter()
                .flat_map(|&value| f16::from_f32(value).to_le_bytes())
                .collect(),
            Self::Bf16 => values
                .iter()
                .flat_map(|&value| bf16::from_f32(value).to_le_bytes())
                .collect(),
        }
    }
}
