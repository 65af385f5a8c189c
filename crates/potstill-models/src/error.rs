//! What can go wrong with checkpoints and configurations.

use std::path::{Path, PathBuf};

use crate::{BlockType, GgufProblem};

/// Why a model could not be described, loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "read", "open", "write", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{} is not valid JSON for this purpose", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A configuration is not a JSON object.
    #[error("the model configuration is not a JSON object")]
    ConfigSyntax(#[source] serde_json::Error),
    /// A configuration of an architecture that this crate does not have.
    #[error("unknown model_type {found:?}; supported are {}", supported.join(", "))]
    UnknownArchitecture {
        /// What the configuration names.
        found: String,
        /// What would be accepted.
        supported: &'static [&'static str],
    },
    /// A configuration value that makes no sense or is not supported.
    #[error("configuration key {key} is {found}; expected {expected}")]
    ConfigValue {
        /// The key.
        key: String,
        /// Its value, as JSON.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// The configuration of a checkpoint cannot be used.
    #[error("cannot use {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A configuration lacks a key.
    #[error("the model configuration lacks {key}")]
    ConfigMissing {
        /// The key.
        key: &'static str,
    },
    /// The checkpoint is an encoder where a language model was asked for, or the other way round.
    #[error("{} holds a {found} model, not {expected}", path.display())]
    WrongKind {
        /// The checkpoint.
        path: PathBuf,
        /// Its architecture.
        found: &'static str,
        /// What was asked for.
        expected: &'static str,
    },
    /// A path holds no checkpoint.
    #[error("{} is no checkpoint: {expected}", path.display())]
    NotACheckpoint {
        /// The path.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// A safetensors file whose header or layout is wrong.
    #[error("{} is not a valid safetensors file: {reason}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, with numbers.
        reason: String,
    },
    /// A tensor whose place in the file is wrong.
    #[error("tensor {name} of {} is damaged: {reason}", path.display())]
    DamagedTensor {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong, with numbers.
        reason: String,
    },
    /// A tensor of an element type that cannot be read.
    #[error("tensor {name} of {} has type {dtype}; readable are {supported}", path.display())]
    UnsupportedDtype {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its type.
        dtype: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// A shard index that points outside its folder, or to a tensor that its shard lacks.
    #[error("the shard index {} is wrong: {reason}", path.display())]
    ShardIndex {
        /// The index file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint lacks tensors that its configuration calls for.
    #[error("{} lacks {count} tensors of its model: {}", path.display(), Listed { names: first, count: *count })]
    MissingTensors {
        /// The checkpoint.
        path: PathBuf,
        /// The first few names.
        first: Vec<String>,
        /// How many are missing.
        count: usize,
    },
    /// A parameter could not be read back from its device.
    #[error("cannot read parameter {name} back from its device: {reason}")]
    Readback {
        /// The parameter.
        name: String,
        /// Why.
        reason: String,
    },
    /// A tensor whose shape is not what the configuration calls for.
    #[error("tensor {name} of {} has shape {found:?}, its configuration calls for {expected:?}", path.display())]
    WrongShape {
        /// The tensor.
        name: String,
        /// The checkpoint.
        path: PathBuf,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the configuration calls for.
        expected: Vec<usize>,
    },
    /// A GGUF file that is damaged, or holds what this crate cannot use.
    #[error("cannot use the GGUF file {}: {problem}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<GgufProblem>,
    },
    /// A model or a tokenizer that a GGUF file cannot hold, or that its readers would compute otherwise.
    #[error("a GGUF file cannot hold {what}; {expected}")]
    NotInGguf {
        /// What it cannot hold.
        what: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A student of no blocks, or of more than its teacher has.
    #[error("{chosen} blocks are chosen; choose from 1 to the teacher's {n_layers}")]
    LayerCount {
        /// How many are chosen.
        chosen: usize,
        /// How many the teacher has.
        n_layers: usize,
    },
    /// A block that the teacher lacks.
    #[error("block {block} is chosen, but the last of the teacher is {}", n_layers - 1)]
    LayerOutOfRange {
        /// The block, counted from 0.
        block: usize,
        /// How many the teacher has.
        n_layers: usize,
    },
    /// A block that is chosen more than once.
    #[error("block {block} is chosen twice; name each block once")]
    LayerTwice {
        /// The block, counted from 0.
        block: usize,
    },
    /// A student whose head cannot be compared with the teacher's.
    #[error(
        "the student's vocabulary has {student} tokens and the teacher's {teacher}; make them equal"
    )]
    StudentVocabulary {
        /// Tokens of the student.
        student: usize,
        /// Tokens of the teacher.
        teacher: usize,
    },
    /// An encoder where a causal language model is called for.
    #[error("a {architecture} model is an encoder, a student must be a causal language model")]
    NotCausal {
        /// The architecture.
        architecture: &'static str,
    },
    /// Parts that were chosen in another model.
    #[error("the parts were chosen in a model of another configuration; measure this one")]
    PartsOfAnother,
    /// Text of which no position counts.
    #[error("no position of the text counts; give batches with at least one row")]
    NothingToMeasure,
    /// A budget that is too small.
    #[error("no student fits the budget; the smallest that was looked at: {smallest}")]
    NothingFits {
        /// The student with the fewest parameters, and what it costs.
        smallest: String,
    },
    /// A smaller vocabulary of no tokens.
    #[error("no token is kept; keep at least one")]
    NoTokenKept,
    /// A token to keep that the model lacks.
    #[error("token {id} is to be kept, but the last of the model is {}", vocab_size - 1)]
    TokenOutOfRange {
        /// The token.
        id: u32,
        /// Rows of the model's embedding table.
        vocab_size: usize,
    },
    /// A token with a role that a smaller vocabulary lacks.
    #[error("{key} is {id}, and token {id} is not kept; keep it, or give another token the role")]
    RoleNotKept {
        /// The key of the configuration.
        key: &'static str,
        /// The token, as the full vocabulary numbers it.
        id: u32,
    },
    /// A file beside the weights is not the JSON it should be.
    #[error("the text of {file} is not a JSON object")]
    Companion {
        /// The file.
        file: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A name that no matrix of the model's blocks has.
    #[error("no matrix is called {name:?}; there are {}", known.join(", "))]
    NoSuchMatrix {
        /// The name.
        name: String,
        /// What would be accepted.
        known: Vec<String>,
    },
    /// An adapter that is no smaller than the matrix that it adapts.
    #[error("an adapter of rank {rank} does not fit {name}; its rank is from 1 to at most {most}")]
    AdapterRank {
        /// The rank.
        rank: usize,
        /// The matrix.
        name: String,
        /// Its shorter side.
        most: usize,
    },
    /// Weights of a precision that the device lacks.
    #[error("the device does not compute in {dtype}; choose f32, which every device does")]
    NoSuchPrecision {
        /// The precision.
        dtype: &'static str,
    },
    /// Weights of integers on a device that cannot hold them.
    #[error("the device holds no integers in blocks along the inputs; use flex, or floats")]
    NoIntegers,
    /// A matrix that cannot be quantized.
    #[error("{name} has {size} inputs; blocks of 32 need a multiple of 32")]
    PartialBlocks {
        /// The matrix.
        name: String,
        /// Its inputs.
        size: usize,
    },
    /// Values that do not fill blocks.
    #[error(
        "{values} values are no whole number of {block_type} blocks of {}", block_type.values_per_block()
    )]
    PartialValues {
        /// The type of the blocks.
        block_type: BlockType,
        /// How many values there are.
        values: usize,
    },
    /// A block type that can be read, but not written.
    #[error("{block_type} blocks cannot be written; F32, F16, BF16, Q8_0, Q5_0, Q4_0 and Q4_K can")]
    NotEncoded {
        /// The type.
        block_type: BlockType,
    },
    /// Bytes that are not whole blocks.
    #[error("{bytes} bytes are no whole number of {block_type} blocks of {block_bytes} bytes")]
    PartialBlock {
        /// The type of the blocks.
        block_type: BlockType,
        /// How many bytes there are.
        bytes: usize,
        /// How many bytes a block takes.
        block_bytes: usize,
    },
    /// A block type that cannot be decoded.
    #[error("unknown block type {found:?}; known are {}", BlockType::ALL.map(BlockType::name).join(", "))]
    UnknownBlockType {
        /// The name.
        found: String,
    },
}

impl Error {
    /// For `map_err` after an operation on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

struct Listed<'a> {
    names: &'a [String],
    count: usize,
}

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names.join(", "))?;
        if self.count > self.names.len() {
            f.write_str(", ...")
        } else {
            Ok(())
        }
    }
}
