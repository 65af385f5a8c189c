//! Adding two numbers of up to three digits, from the teacher of the quickstart.
//!
//! The teacher's text comes from the teacher alone; labels exist for a few problems only. Measured is
//! the share of held-out problems answered right, which no arm minimizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{
    CausalLm, Generate, GenerateOptions, Generation, Sampling, TokenRow, Vocabulary,
};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::eval::Item;
use potstill::models::{Checkpoint, DerivedStudent, LanguageModel, StudentShape};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::cost::Bill;
use crate::job::{Arm, Job, Outcome};
use crate::learn::Lesson;
use crate::said::{Said, Text};
use crate::students::Beginnings;

/// What makes a run of this task repeatable, besides the jobs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Settings {
    /// Problems with a label.
    pub(crate) labels: usize,
    /// Questions that the teacher is asked.
    pub(crate) questions: usize,
    /// Held-out problems to choose the learning rate by, and to measure with.
    pub(crate) validation: usize,
    pub(crate) test: usize,
    /// Optimizer steps, and problems in a step.
    pub(crate) steps: usize,
    pub(crate) batch: usize,
}

/// Of the questions: the same for all students.
const SEED: u64 = 31_415;

/// The teacher and its problems.
pub(crate) struct Addition {
    settings: Settings,
    folder: PathBuf,
    said: Said,
    teacher: LanguageModel,
    tokenizer: TextTokenizer,
    division: Division,
    beginnings: Beginnings,
}

impl Addition {
    /// Lets the teacher say what all students are to hear, and keeps it in `folder`.
    pub(crate) fn prepare(settings: Settings, folder: &Path) -> Result<()> {
        let (teacher, tokenizer) = teacher()?;
        let questions = Division::new(settings, &tokenizer)?.questions;
        let answer = || answers(&teacher, &tokenizer, &questions);
        let rows = |texts: &[Text]| texts.iter().map(Text::row).collect();
        Said::prepare(folder, "quickstart", &teacher, answer, rows)
    }

    pub(crate) fn open(settings: Settings, folder: &Path) -> Result<Self> {
        let (teacher, tokenizer) = teacher()?;
        let said = Said::read(folder)?;
        let rows: Vec<TokenRow> = said.texts.iter().map(Text::row).collect();
        let theirs = teacher.config();
        // Half of the teacher in each direction.
        let shape = StudentShape {
            n_layers: Some(theirs.n_layers / 2),
            d_model: Some(theirs.d_model / 2),
            n_heads: Some(theirs.n_heads / 2),
            n_kv_heads: Some(theirs.n_kv_heads / 2),
            d_ff: Some(theirs.d_ff / 2),
        };
        Ok(Self {
            beginnings: Beginnings::new(&teacher, shape, &rows)?,
            division: Division::new(settings, &tokenizer)?,
            said,
            folder: folder.to_owned(),
            settings,
            teacher,
            tokenizer,
        })
    }

    /// What the teacher reaches.
    pub(crate) fn ceiling(&self) -> Result<BTreeMap<String, f64>> {
        self.measure(&self.teacher, &self.division.test)
    }

    pub(crate) fn run(&self, job: &Job) -> Result<Outcome> {
        let bill = Bill::default();
        let rows = match job.arm {
            Arm::LabelsOnly => {
                let mut labelled = self.division.questions.clone();
                labelled.shuffle(&mut ChaCha8Rng::seed_from_u64(job.seed));
                labelled.truncate(self.settings.labels);
                self.right_answers(&labelled)?
            }
            Arm::GoldAnswers => self.right_answers(&self.division.questions)?,
            _ => {
                bill.add(self.said.writing);
                self.said.texts.iter().map(Text::row).collect()
            }
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
        let writing = GenerateOptions {
            sampling: Sampling::temperature(1.0),
            seed: job.seed,
            ..examination::answering(&self.tokenizer)
        };
        let said = (&self.said, self.folder.as_path());
        let rows = (loader, self.tokenizer.pad_id());
        let learned = lesson.attend(student, &self.teacher, said, rows, writing, &bill)?;
        Ok(Outcome {
            validation: self.measure(&learned.student, &self.division.validation)?["exact_match"],
            test: self.measure(&learned.student, &self.division.test)?,
            ..learned.outcome(&bill)
        })
    }

    fn student(&self, job: &Job) -> Result<DerivedStudent> {
        if job.arm == Arm::OtherStart {
            self.beginnings.pruned(&self.teacher)
        } else {
            self.beginnings.random(&self.teacher, job.seed)
        }
    }

    fn right_answers(&self, problems: &[Problem]) -> Result<Vec<TokenRow>> {
        let row = |&problem: &Problem| {
            Ok(training_row(
                &self.tokenizer,
                problem,
                &problem.answer(),
                0.0,
            )?)
        };
        problems.iter().map(row).collect()
    }

    fn measure(&self, model: &LanguageModel, items: &[Item]) -> Result<BTreeMap<String, f64>> {
        let result = examination::examine(model, items, &self.tokenizer)?;
        Ok(BTreeMap::from([(
            "exact_match".to_owned(),
            result.accuracy().value(),
        )]))
    }
}

/// Which problems serve for what: the same for all students.
struct Division {
    questions: Vec<Problem>,
    validation: Vec<Item>,
    test: Vec<Item>,
}

impl Division {
    fn new(settings: Settings, tokenizer: &TextTokenizer) -> Result<Self> {
        let rng = &mut ChaCha8Rng::seed_from_u64(SEED);
        let mut validation = examination::items(settings.validation + settings.test, tokenizer)?;
        Ok(Self {
            questions: Problem::draw_distinct(settings.questions, false, rng),
            test: validation.split_off(settings.validation),
            validation,
        })
    }
}

fn teacher() -> Result<(LanguageModel, TextTokenizer)> {
    let folder = teacher_folder();
    let teacher = Checkpoint::open(&folder)?.language_model(FloatDType::F32, &Device::default())?;
    Ok((teacher, TextTokenizer::from_folder(&folder)?))
}

/// What the teacher says to the questions, right or not.
fn answers(
    teacher: &LanguageModel,
    tokenizer: &TextTokenizer,
    questions: &[Problem],
) -> Result<Vec<Text>> {
    let prompts = questions
        .iter()
        .map(|problem| tokenizer.encode(&format!("<bos>{problem}"), false))
        .collect::<Result<Vec<_>, _>>()?;
    let answers = teacher.generate(&prompts, &examination::answering(tokenizer))?;
    let text = |(prompt, answer): (Vec<u32>, Generation)| Text {
        prompt: prompt.len(),
        tokens: [prompt, answer.tokens].concat(),
    };
    Ok(prompts.into_iter().zip(answers).map(text).collect())
}
