//! English prose and verse, from SmolLM2-135M.
//!
//! Teacher and student speak the part of the vocabulary that the text uses, which makes the head a
//! small part of the work. Measured is the share of held-out positions where teacher and student hold
//! the same token for the likeliest: a step function, which no arm minimizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::{
    CausalLm, Generate, GenerateOptions, Generation, Sampling, TokenBatch, TokenRow, Vocabulary,
};
use potstill::data::{
    Loader, LoaderOptions, Record, TextSplit, TextTokenizer, TokenCounts, read_text, split_held_out,
};
use potstill::eval::{HeldOut, held_out};
use potstill::models::{Checkpoint, DerivedStudent, LanguageModel, StudentShape};
use potstill::teachers::CachedTeacher;
use serde::Serialize;

use crate::cost::Bill;
use crate::job::{Arm, Job, Outcome};
use crate::learn::Lesson;
use crate::said::{Said, Text};
use crate::students::Beginnings;

/// What makes a run of this task repeatable, besides the jobs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    /// The teacher: a GGUF file or a Hugging Face folder.
    pub(crate) teacher: PathBuf,
    /// Positions in a row, and how many of them are given when text is written.
    pub(crate) seq: usize,
    pub(crate) prompt: usize,
    /// Optimizer steps, and rows in a step.
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    /// Rows to learn from; all of them where there are not so many.
    pub(crate) rows: usize,
    /// Rows to choose the learning rate by, and to measure with.
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

/// Alice and a play of Shakespeare's.
pub(crate) const TEXT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/smollm2/data/corpus.txt"
);

/// Share of the text that is held out, and of what is drawn: the same for all students.
const HELD_OUT: f64 = 0.15;
const SEED: u64 = 31_415;

/// The teacher and its text.
pub(crate) struct Language {
    settings: Settings,
    folder: PathBuf,
    said: Said,
    teacher: LanguageModel,
    division: Division,
    beginnings: Beginnings,
}

impl Language {
    /// Lets the teacher say what all students are to hear, and keeps it in `folder`.
    pub(crate) fn prepare(settings: &Settings, folder: &Path) -> Result<()> {
        let (teacher, division) = open(settings)?;
        let write = || continuations(settings, &teacher, &division.train);
        let rows = |_: &[Text]| division.train.clone();
        Said::prepare(folder, "smollm2", &teacher, write, rows)?;
        for (name, rows) in [
            ("validation", &division.validation),
            ("test", &division.test),
        ] {
            let nothing = || Ok(Vec::new());
            Said::prepare(&folder.join(name), "smollm2", &teacher, nothing, |_| {
                rows.clone()
            })?;
        }
        Ok(())
    }

    pub(crate) fn open(settings: &Settings, folder: &Path) -> Result<Self> {
        let (teacher, division) = open(settings)?;
        let shape = StudentShape {
            n_layers: Some(6),
            d_model: Some(288),
            n_heads: Some(3),
            n_kv_heads: Some(1),
            d_ff: Some(768),
        };
        Ok(Self {
            beginnings: Beginnings::new(&teacher, shape, &division.train)?,
            settings: settings.clone(),
            folder: folder.to_owned(),
            said: Said::read(folder)?,
            teacher,
            division,
        })
    }

    /// What the teacher reaches.
    pub(crate) fn ceiling(&self) -> Result<BTreeMap<String, f64>> {
        self.measure(&self.teacher, "test", &self.division.test)
    }

    pub(crate) fn run(&self, job: &Job) -> Result<Outcome> {
        let bill = Bill::default();
        let rows: Vec<TokenRow> = if job.arm == Arm::SequenceLevel {
            bill.add(self.said.writing);
            self.said.texts.iter().map(Text::row).collect()
        } else if job.arm.is_on_policy() {
            // What is not the student's counts from where the student would begin.
            self.division
                .train
                .iter()
                .map(|row| self.given(row).row())
                .collect()
        } else {
            self.division.train.clone()
        };
        let Settings { steps, batch, .. } = self.settings;
        let loader = Loader::new(rows, LoaderOptions::shuffled(batch, job.seed))?;
        let lesson = Lesson {
            job,
            steps,
            vocabulary: &Vocabulary::of_size(self.teacher.vocab_size()),
            d_teacher: self.teacher.d_model(),
        };
        let student = self.student(job)?;
        let writing = continuing(&self.settings, job.seed);
        let said = (&self.said, self.folder.as_path());
        let learned = lesson.attend(student, &self.teacher, said, (loader, 0), writing, &bill)?;
        let validation = self.measure(&learned.student, "validation", &self.division.validation)?;
        Ok(Outcome {
            validation: validation["top1_agreement"],
            test: self.measure(&learned.student, "test", &self.division.test)?,
            ..learned.outcome(&bill)
        })
    }

    /// A row of the text of which the beginning is given.
    fn given(&self, row: &TokenRow) -> Text {
        let last = row.targets().last().copied();
        Text {
            tokens: row.tokens().iter().copied().chain(last).collect(),
            prompt: self.settings.prompt,
        }
    }

    fn student(&self, job: &Job) -> Result<DerivedStudent> {
        if job.arm == Arm::OtherStart {
            self.beginnings.random(&self.teacher, job.seed)
        } else {
            self.beginnings.pruned(&self.teacher)
        }
    }

    fn measure(
        &self,
        model: &LanguageModel,
        name: &str,
        rows: &[TokenRow],
    ) -> Result<BTreeMap<String, f64>> {
        let mut teacher: CachedTeacher = Said::teacher(&self.folder.join(name))?;
        let device = Device::default();
        let batches = rows
            .chunks(16)
            .map(|rows| TokenBatch::from_rows(rows, 0, &device));
        let vocabulary = Vocabulary::of_size(model.vocab_size());
        let measured: HeldOut = held_out(model, &vocabulary, &mut teacher, batches)?;
        let values = measured.values();
        Ok(values
            .map(|(name, value)| (name.to_owned(), value))
            .collect())
    }
}

/// Which rows serve for what.
struct Division {
    train: Vec<TokenRow>,
    validation: Vec<TokenRow>,
    test: Vec<TokenRow>,
}

/// The teacher and the text, in the tokens that the text uses.
fn open(settings: &Settings) -> Result<(LanguageModel, Division)> {
    let checkpoint = Checkpoint::open(&settings.teacher).with_context(|| {
        format!(
            "the teacher is not at {}; `cargo xtask fetch smollm2` brings it",
            settings.teacher.display()
        )
    })?;
    let full = checkpoint_tokenizer(&checkpoint)?;
    let records = read_text(TEXT, TextSplit::Paragraphs { max_chars: 2_000 })?;
    let mut counts = TokenCounts::default();
    for record in &records {
        counts.add(&full.encode(&record.text(), false)?);
    }
    let kept = full.tokens_to_keep(counts.at_least(1))?;
    let tokenizer = full.restricted_to(&kept)?;
    let teacher = checkpoint
        .language_model(FloatDType::F32, &Device::default())?
        .restricted_to(&kept)?;

    let split = split_held_out(records, HELD_OUT, SEED)?;
    let rows = |records: &[Record], tokenizer: &TextTokenizer| -> Result<Vec<TokenRow>> {
        let mut text = Vec::new();
        for record in records {
            text.extend(tokenizer.encode(&record.text(), false)?);
        }
        let blocks = text.chunks_exact(settings.seq + 1);
        let row = |block: &[u32]| TokenRow::document(block, &vec![1.0; block.len()]);
        Ok(blocks.map(row).collect())
    };
    let mut train = rows(&split.train, &tokenizer)?;
    train.truncate(settings.rows);
    let mut validation = rows(&split.held_out, &tokenizer)?;
    ensure!(
        validation.len() >= settings.validation + settings.test,
        "{} rows are held out, {} are wanted",
        validation.len(),
        settings.validation + settings.test
    );
    let mut test = validation.split_off(settings.validation);
    test.truncate(settings.test);
    let division = Division {
        train,
        validation,
        test,
    };
    Ok((teacher, division))
}

/// How somebody goes on where a row begins.
fn continuing(settings: &Settings, seed: u64) -> GenerateOptions {
    GenerateOptions {
        sampling: Sampling::temperature(1.0),
        seed,
        ..GenerateOptions::greedy(settings.seq + 1 - settings.prompt)
    }
}

/// How the teacher goes on where the rows begin.
fn continuations(
    settings: &Settings,
    teacher: &LanguageModel,
    rows: &[TokenRow],
) -> Result<Vec<Text>> {
    let options = continuing(settings, SEED);
    let mut texts = Vec::with_capacity(rows.len());
    for rows in rows.chunks(64) {
        let prompts: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| row.tokens()[..settings.prompt].to_vec())
            .collect();
        let answers = teacher.generate(&prompts, &options)?;
        let text = |(prompt, answer): (Vec<u32>, Generation)| Text {
            prompt: prompt.len(),
            tokens: [prompt, answer.tokens].concat(),
        };
        texts.extend(prompts.into_iter().zip(answers).map(text));
    }
    Ok(texts)
}
