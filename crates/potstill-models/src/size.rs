//! Which student fits a budget.

mod count;
mod rate;

use std::fmt;

pub use rate::{DecodeRate, MeasuredDecoding};
use serde::{Deserialize, Serialize};

use crate::derive::StudentShape;
use crate::{Error, ModelConfig};

/// How the weights of a model are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredAs {
    /// 4 bytes each.
    F32,
    /// 2 bytes each.
    Half,
    /// Matrices and tables in blocks of 8 bits with their scales (8.5 bits each), the rest in f32.
    Int8,
    /// Matrices in blocks of 4 bits (4.5 bits each), tables in blocks of 8, the rest in f32.
    Int4,
}

impl StoredAs {
    /// Bits of a weight in a matrix of a block, in a table, and elsewhere.
    fn bits(self) -> [f64; 3] {
        match self {
            Self::F32 => [32.0; 3],
            Self::Half => [16.0; 3],
            Self::Int8 => [8.5, 8.5, 32.0],
            Self::Int4 => [4.5, 8.5, 32.0],
        }
    }

    /// Bytes of all weights of a model.
    #[must_use]
    pub fn bytes(self, config: &ModelConfig) -> u64 {
        let counts = count::parameters(config);
        self.of(counts.matrices, counts.tables, counts.rest)
    }

    /// Bytes that are read for one token: all but the rows of tables that are only looked up.
    #[must_use]
    pub fn bytes_per_token(self, config: &ModelConfig) -> u64 {
        let counts = count::parameters(config);
        self.of(counts.matrices, counts.head, counts.rest)
    }

    fn of(self, matrices: usize, tables: usize, rest: usize) -> u64 {
        let counts = [matrices, tables, rest];
        let bits: f64 = counts
            .iter()
            .zip(self.bits())
            .map(|(&count, bits)| count as f64 * bits)
            .sum();
        (bits / 8.0).ceil() as u64
    }
}

/// What a student may cost; every limit that is given holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How the student is stored when it is used.
    pub stored: StoredAs,
    /// Most parameters.
    #[serde(default)]
    pub parameters: Option<usize>,
    /// Most bytes of weights.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Most time for a token.
    #[serde(default)]
    pub time: Option<TimeLimit>,
}

/// Most time for a token of a single sequence, on a machine that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeLimit {
    /// The limit.
    pub milliseconds_per_token: f64,
    /// What the machine does.
    pub rate: DecodeRate,
}

impl Budget {
    /// No limit yet.
    #[must_use]
    pub fn stored(stored: StoredAs) -> Self {
        Self {
            stored,
            parameters: None,
            bytes: None,
            time: None,
        }
    }
}

/// The students that are looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SizeOptions {
    /// Widths as shares of the teacher's: of its key heads, from which the other widths follow.
    pub widths: Vec<f64>,
    /// Sizes of the vocabulary; the teacher's without any.
    pub vocab_sizes: Vec<usize>,
}

impl Default for SizeOptions {
    /// From the teacher's width down to a quarter, with its vocabulary.
    fn default() -> Self {
        Self {
            widths: vec![1.0, 0.75, 0.5, 0.25],
            vocab_sizes: Vec::new(),
        }
    }
}

/// A student that fits, and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittingStudent {
    /// Its sizes, for [`Importance::keep`](crate::Importance::keep).
    pub shape: StudentShape,
    /// Its tokens.
    pub vocab_size: usize,
    /// Parameters in all.
    pub parameters: usize,
    /// Parameters in its blocks, which is what there is to think with.
    pub block_parameters: usize,
    /// Bytes of its weights.
    pub bytes: u64,
    /// Expected time for a token, where a machine was measured.
    pub milliseconds_per_token: Option<f64>,
}

impl fmt::Display for FittingStudent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |size: Option<usize>| size.unwrap_or(0);
        write!(
            f,
            "{:>3} layers, width {:>4}, {:>2} heads, MLP {:>5}, {:>6} tokens: {:>6.1} M parameters, {:>7.1} MB",
            size(self.shape.n_layers),
            size(self.shape.d_model),
            size(self.shape.n_heads),
            size(self.shape.d_ff),
            self.vocab_size,
            self.parameters as f64 / 1e6,
            self.bytes as f64 / 1e6,
        )?;
        match self.milliseconds_per_token {
            Some(time) => write!(f, ", {time:.2} ms a token"),
            None => Ok(()),
        }
    }
}

/// For each width and vocabulary the deepest student of `teacher` that fits `budget`; first the one
/// with the most parameters in its blocks.
///
/// # Errors
///
/// When none fits; the message says what the smallest one costs. When no student of a width can be
/// made, or a vocabulary is larger than the teacher's.
///
/// # Examples
///
/// ```
/// use potstill_models::{
///     Architecture, Budget, ModelConfig, SizeOptions, StoredAs, students_that_fit,
/// };
///
/// let mut teacher = ModelConfig::new(Architecture::Llama, 49_152, 576, 30, 9);
/// (teacher.n_kv_heads, teacher.d_ff, teacher.tie_word_embeddings) = (3, 1536, true);
/// let budget = Budget { bytes: Some(40_000_000), ..Budget::stored(StoredAs::Int4) };
/// let options = SizeOptions { vocab_sizes: vec![49_152, 8_192], ..SizeOptions::default() };
/// let students = students_that_fit(&teacher, &budget, &options)?;
/// assert!(students.iter().all(|student| student.bytes <= 40_000_000));
/// assert_eq!(students[0].vocab_size, 8_192);
/// # Ok::<(), potstill_models::Error>(())
/// ```
pub fn students_that_fit(
    teacher: &ModelConfig,
    budget: &Budget,
    options: &SizeOptions,
) -> Result<Vec<FittingStudent>, Error> {
    let vocab_sizes = match options.vocab_sizes.as_slice() {
        [] => &[teacher.vocab_size],
        sizes => sizes,
    };
    if let Some(&size) = vocab_sizes
        .iter()
        .find(|&&size| size == 0 || size > teacher.vocab_size)
    {
        return Err(Error::ConfigValue {
            key: "vocab_size".into(),
            found: size.to_string(),
            expected: format!("from 1 to the teacher's {}", teacher.vocab_size),
        });
    }
    let mut fitting: Vec<FittingStudent> = Vec::new();
    let mut smallest: Option<FittingStudent> = None;
    for &width in &options.widths {
        for &vocab_size in vocab_sizes {
            let shallowest = student(teacher, width, vocab_size, 1, budget)?;
            let mut deepest = None;
            for n_layers in (1..=teacher.n_layers).rev() {
                let student = student(teacher, width, vocab_size, n_layers, budget)?;
                if budget.allows(&student) {
                    deepest = Some(student);
                    break;
                }
            }
            fitting.extend(deepest);
            if smallest
                .as_ref()
                .is_none_or(|smallest| shallowest.parameters < smallest.parameters)
            {
                smallest = Some(shallowest);
            }
        }
    }
    if fitting.is_empty() {
        return Err(Error::NothingFits {
            smallest: smallest.map_or_else(|| "no width is given".into(), |s| s.to_string()),
        });
    }
    fitting.sort_by_key(|student| std::cmp::Reverse(student.block_parameters));
    fitting.dedup();
    Ok(fitting)
}

impl Budget {
    fn allows(&self, student: &FittingStudent) -> bool {
        let time = student.milliseconds_per_token.unwrap_or(0.0);
        self.parameters
            .is_none_or(|most| student.parameters <= most)
            && self.bytes.is_none_or(|most| student.bytes <= most)
            && self
                .time
                .is_none_or(|limit| time <= limit.milliseconds_per_token)
    }
}

/// The MLP is cut to a multiple of this, so that its rows fill blocks.
const STEP: usize = 32;

/// A student of a share of the teacher's width.
fn student(
    teacher: &ModelConfig,
    width: f64,
    vocab_size: usize,
    n_layers: usize,
    budget: &Budget,
) -> Result<FittingStudent, Error> {
    let share = |size: usize| ((size as f64 * width).round() as usize).clamp(1, size);
    let n_kv_heads = share(teacher.n_kv_heads);
    let n_heads = n_kv_heads * (teacher.n_heads / teacher.n_kv_heads);
    // Channels go with the heads, which some architectures need.
    let d_model = (teacher.d_model * n_heads / teacher.n_heads).max(1);
    let d_ff = match share(teacher.d_ff) {
        d_ff if d_ff == teacher.d_ff => d_ff,
        d_ff => (d_ff / STEP * STEP).clamp(STEP.min(teacher.d_ff), teacher.d_ff),
    };
    let shape = StudentShape {
        n_layers: Some(n_layers),
        d_model: Some(d_model),
        n_heads: Some(n_heads),
        n_kv_heads: Some(n_kv_heads),
        d_ff: Some(d_ff),
    };
    let mut config = shape.config(teacher)?;
    config.vocab_size = vocab_size;
    let counts = count::parameters(&config);
    Ok(FittingStudent {
        shape,
        vocab_size,
        parameters: config.parameter_count(),
        block_parameters: counts.matrices,
        bytes: budget.stored.bytes(&config),
        milliseconds_per_token: budget
            .time
            .map(|limit| 1e3 * limit.rate.seconds_per_token(&config, budget.stored)),
    })
}

#[cfg(test)]
mod tests;
