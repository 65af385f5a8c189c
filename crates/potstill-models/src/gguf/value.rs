//! Values of GGUF metadata.

use std::fmt;

/// A value of GGUF metadata; integers and floats of every width are one variant each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetadataValue {
    /// An unsigned integer of 8 to 64 bits.
    Unsigned(u64),
    /// A signed integer of 8 to 64 bits.
    Signed(i64),
    /// A number of 32 or 64 bits.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    String(String),
    /// Values of one type.
    Array(Vec<Self>),
}

impl MetadataValue {
    /// As an integer that is not negative, whatever its width and sign.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// As a number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "a number is asked for")]
            Self::Unsigned(value) => Some(*value as f64),
            #[expect(clippy::cast_precision_loss, reason = "a number is asked for")]
            Self::Signed(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// As a truth value.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// As values of one type.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }
}

/// Short enough for a message: long text and arrays are cut.
impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::String(value) if value.chars().count() > 60 => {
                write!(f, "{:?}...", value.chars().take(60).collect::<String>())
            }
            Self::String(value) => write!(f, "{value:?}"),
            Self::Array(values) => write!(f, "an array of {}", values.len()),
        }
    }
}
