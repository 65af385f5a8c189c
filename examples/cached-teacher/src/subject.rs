//! Who is cached, and on what text.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::{CausalLm, TokenBatch, TokenRow};
use potstill::data::{
    EncodeOptions, PackOptions, TextSplit, TextTokenizer, encode_records, pack, read_text,
};
use potstill::models::{Checkpoint, LanguageModel};
use potstill::teachers::{ModelTeacher, TeacherIdentity};
use quickstart::addition::Problem;
use quickstart::{teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Positions in a row of text.
const SEQ: usize = 256;

/// A teacher and the batches that it is asked about.
pub(crate) struct Subject {
    pub(crate) model: LanguageModel,
    pub(crate) batches: Vec<TokenBatch>,
    name: String,
    tokenizer: TextTokenizer,
}

impl Subject {
    /// The quickstart's teacher, on addition problems of which the answers count.
    pub(crate) fn of_quickstart(batches: usize, batch: usize) -> Result<Self> {
        Self::new(&teacher_folder(), batches, batch, |tokenizer| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            Problem::draw_distinct(batches * batch, false, &mut rng)
                .into_iter()
                .map(|problem| Ok(training_row(tokenizer, problem, &problem.answer(), 0.0)?))
                .collect()
        })
    }

    /// A checkpoint, on the text of the example `smollm2`.
    pub(crate) fn of_checkpoint(path: &Path, batches: usize, batch: usize) -> Result<Self> {
        Self::new(path, batches, batch, |tokenizer| {
            let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../smollm2/data/corpus.txt");
            let records = read_text(text, TextSplit::Paragraphs { max_chars: 2000 })?;
            let encoded = encode_records(&records, tokenizer, None, &EncodeOptions::default())?;
            Ok(pack(&encoded.documents, SEQ, &PackOptions::default())?.rows)
        })
    }

    fn new(
        path: &Path,
        batches: usize,
        batch: usize,
        rows: impl FnOnce(&TextTokenizer) -> Result<Vec<TokenRow>>,
    ) -> Result<Self> {
        let device = Device::default();
        let checkpoint = Checkpoint::open(path)?;
        let tokenizer = checkpoint_tokenizer(&checkpoint)?;
        let rows = rows(&tokenizer)?;
        Ok(Self {
            batches: rows
                .chunks(batch)
                .take(batches)
                .map(|rows| TokenBatch::from_rows(rows, tokenizer.pad_id(), &device))
                .collect(),
            model: checkpoint.language_model(FloatDType::F32, &device)?,
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            tokenizer,
        })
    }

    /// The teacher itself.
    pub(crate) fn teacher(&self) -> ModelTeacher<LanguageModel> {
        ModelTeacher::new(&self.model).with_tokenizer(self.tokenizer.identity())
    }

    /// What its cache is known by.
    pub(crate) fn identity(&self) -> TeacherIdentity {
        TeacherIdentity::of_model(&self.name, &self.model)
    }

    /// Tokens of the tokenizer, without the padding of the head.
    pub(crate) fn vocab(&self) -> usize {
        self.model.vocab_size().min(self.tokenizer.identity().size)
    }

    /// A third of the teacher's layers.
    pub(crate) fn student_layers(&self) -> usize {
        self.model.n_layers().div_ceil(3)
    }

    /// Rows that count.
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.count()).sum()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} layers of width {}, {} tokens; {} batches, {} rows that count",
            self.name,
            self.model.n_layers(),
            self.model.d_model(),
            self.vocab(),
            self.batches.len(),
            self.rows(),
        )
    }
}
