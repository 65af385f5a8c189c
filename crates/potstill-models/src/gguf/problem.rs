//! What can be wrong with a GGUF file.

/// Why a GGUF file cannot be used; [`Error::Gguf`](crate::Error::Gguf) adds the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufProblem {
    /// The file starts with something else.
    #[error("it starts with {found:02x?} instead of \"GGUF\"")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version of the format that differs in its header.
    #[error("it has version {found}; versions 2 and 3 (little-endian) are read")]
    Version {
        /// What the file says.
        found: u32,
    },
    /// A count, length or value that goes beyond the end of the file.
    #[error("{what} at byte {at} needs {needed} bytes, but only {left} are left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where.
        at: u64,
        /// How many bytes it takes at least.
        needed: u64,
        /// How many there are.
        left: u64,
    },
    /// A header that is larger than that of any model.
    #[error(
        "{what} at byte {at} needs {needed} bytes of memory, but only {left} are left of what a \
         header may take"
    )]
    HeaderTooLarge {
        /// What was being read.
        what: String,
        /// Where.
        at: u64,
        /// How many bytes it takes at least.
        needed: u64,
        /// How many it may take.
        left: u64,
    },
    /// A string that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    NotUtf8 {
        /// What was being read.
        what: String,
        /// Where.
        at: u64,
    },
    /// A metadata value of a type that the format does not have, or arrays inside arrays.
    #[error("metadata {key} has type {found}; types are 0 to 12, and an array holds no arrays")]
    ValueType {
        /// The metadata key.
        key: String,
        /// The type number.
        found: u32,
    },
    /// Two metadata entries or two tensors of one name.
    #[error("{name} appears twice")]
    Duplicate {
        /// The metadata key or tensor.
        name: String,
    },
    /// An alignment that no file can have.
    #[error("general.alignment is {found}; it must be a power of two from 1 to 65536")]
    Alignment {
        /// What the file says.
        found: u64,
    },
    /// Metadata that a model needs.
    #[error("metadata {key} is missing")]
    MissingMetadata {
        /// The key.
        key: String,
    },
    /// Metadata whose value makes no sense.
    #[error("metadata {key} is {found}; expected {expected}")]
    Metadata {
        /// The key.
        key: String,
        /// Its value, shortened.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A tensor whose shape is impossible.
    #[error("tensor {name} has dimensions {dimensions:?}; {expected}")]
    Dimensions {
        /// The tensor.
        name: String,
        /// As in the file: the fastest first.
        dimensions: Vec<u64>,
        /// What would be right.
        expected: &'static str,
    },
    /// A tensor that this crate cannot decode.
    #[error(
        "tensor {name} has block type {found}; readable are {}",
        super::BlockType::listed()
    )]
    TensorType {
        /// The tensor.
        name: String,
        /// The name of its type, or its number.
        found: String,
    },
    /// A tensor that does not start on the alignment of the file.
    #[error(
        "tensor {name} starts at offset {offset}, which is no multiple of the alignment {alignment}"
    )]
    Misaligned {
        /// The tensor.
        name: String,
        /// Relative to the tensor data.
        offset: u64,
        /// Of the file.
        alignment: u64,
    },
    /// A tensor that ends behind the file.
    #[error(
        "tensor {name} takes {size} bytes from offset {offset}, but the tensor data has {available} bytes; \
         the file is truncated"
    )]
    OutOfFile {
        /// The tensor.
        name: String,
        /// Relative to the tensor data.
        offset: u64,
        /// Bytes that it takes.
        size: u64,
        /// Bytes of tensor data in the file.
        available: u64,
    },
    /// Two tensors in one place.
    #[error("tensor {second} starts at offset {offset}, before tensor {first} ends at {end}")]
    Overlap {
        /// The tensor that comes first.
        first: String,
        /// Where it ends.
        end: u64,
        /// The tensor that starts too early.
        second: String,
        /// Where it starts.
        offset: u64,
    },
    /// A tensor that is needed for more than its values.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// The tensor, as GGUF names it.
        name: String,
    },
    /// A model of another architecture.
    #[error("it holds a model of architecture {found:?}; supported are {}", supported.join(", "))]
    Architecture {
        /// What `general.architecture` says.
        found: String,
        /// What would be accepted.
        supported: &'static [&'static str],
    },
    /// Rotary frequencies that no known rule explains.
    #[error("the factors in rope_freqs.weight do not follow the rule of Llama 3: {reason}")]
    RopeFactors {
        /// Where they depart.
        reason: String,
    },
    /// A tokenizer that is not byte-level BPE.
    #[error(
        "its tokenizer is of kind {found:?}; only byte-level BPE (\"gpt2\") can be rebuilt, for others \
         take the tokenizer.json of the original model"
    )]
    TokenizerKind {
        /// What `tokenizer.ggml.model` says.
        found: String,
    },
    /// A pre-tokenizer whose rule is not known for sure.
    #[error("its pre-tokenizer is {found:?}; known are {}", known.join(", "))]
    PreTokenizer {
        /// What `tokenizer.ggml.pre` says.
        found: String,
        /// What would be accepted.
        known: Vec<&'static str>,
    },
    /// A merge that is not two tokens of the vocabulary whose union is a third.
    #[error("merge {index} of its tokenizer, {merge:?}, {reason}")]
    Merge {
        /// Position in `tokenizer.ggml.merges`.
        index: usize,
        /// The merge.
        merge: String,
        /// What is wrong.
        reason: &'static str,
    },
}
