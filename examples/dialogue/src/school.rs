//! Lessons, records, training, quiz again: talking that ends in weights.

use std::thread;

use anyhow::{Context, Result};
use potstill::burn::tensor::Device;
use potstill::core::Vocabulary;
use potstill::data::{
    ChatTemplate, Content, DialoguePrompts, EncodeOptions, Lesson, LessonOptions, Limits, Loader,
    LoaderOptions, PackOptions, Part, Participant, QuizOptions, QuizResult, Record, Syllabus,
    TextTokenizer, Transcript, encode_records, pack, take_quiz,
};
use potstill::losses::HardTargetConfig;
use potstill::models::LanguageModel;
use potstill::teachers::NoTeacher;
use potstill::train::{
    AdamWConfig, Decay, LoaderBatches, Progress, Schedule, Trainer, TrainerConfig,
};
use potstill_serve::{BatchLimits, LocalChat};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use std::sync::Arc;

use crate::expert::Expert;
use crate::pupil::{ANSWER_TOKENS, Pupil};
use crate::sums::Sum;

/// Lessons that are held side by side.
const SIDE_BY_SIDE: usize = 8;

/// Positions in a row; what was said in one exchange is shorter.
const ROW: usize = 288;

/// How a student speaks and learns.
pub(crate) struct School {
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) template: ChatTemplate,
    pub(crate) syllabus: Syllabus,
    pub(crate) learning_rate: f64,
    pub(crate) rows_per_step: usize,
    pub(crate) seed: u64,
}

impl School {
    /// The student as somebody to talk to.
    pub(crate) fn voice(&self, name: &str, student: &LanguageModel) -> Result<LocalChat> {
        let (tokenizer, template) = (self.tokenizer.clone(), self.template.clone());
        let limits = BatchLimits::default();
        Ok(LocalChat::new(
            name,
            student.clone(),
            tokenizer,
            Some(template),
            limits,
        )?)
    }

    /// What the student knows about sums that no teacher ever spoke of.
    pub(crate) fn quiz(&self, student: &LanguageModel) -> Result<QuizResult> {
        let options = QuizOptions {
            max_tokens: ANSWER_TOKENS,
            ..QuizOptions::default()
        };
        let voice = self.voice("student", student)?;
        Ok(take_quiz(&voice, &self.syllabus, None, &options)?)
    }

    /// The student takes so many lessons from the expert.
    pub(crate) fn lessons(
        &self,
        student: &LanguageModel,
        term: u64,
        count: usize,
    ) -> Result<Vec<Transcript>> {
        let pupil = Arc::new(Pupil::new(self.voice("student", student)?));
        let lesson = |number: usize| -> Result<Transcript> {
            let participants = vec![
                Participant::teacher("Ada", Arc::new(Expert)).with_terms("own"),
                Participant::student("Bob", pupil.clone()).with_terms("own"),
            ];
            let options = LessonOptions {
                limits: Limits {
                    turns: 24,
                    ..Limits::default()
                },
                seed: self.seed + 1_000_000 * term + number as u64,
                ..LessonOptions::default()
            };
            Ok(Lesson::new(self.syllabus.clone(), participants, options)?.hold()?)
        };
        let share = |worker: usize| -> Result<Vec<(usize, Transcript)>> {
            let numbers = (worker..count).step_by(SIDE_BY_SIDE);
            numbers
                .map(|number| Ok((number, lesson(number)?)))
                .collect()
        };
        let mut transcripts = thread::scope(|scope| -> Result<Vec<_>> {
            let share = &share;
            let workers: Vec<_> = (0..SIDE_BY_SIDE)
                .map(|worker| scope.spawn(move || share(worker)))
                .collect();
            let mut all = Vec::new();
            for worker in workers {
                let held = worker.join().ok().context("a lesson broke off")?;
                all.extend(held?);
            }
            Ok(all)
        })?;
        transcripts.sort_by_key(|(number, _)| *number);
        Ok(transcripts.into_iter().map(|(_, held)| held).collect())
    }

    /// A record for each exchange: what the student said, and what the expert made of it.
    pub(crate) fn records(&self, transcripts: &[Transcript]) -> Result<Vec<Record>> {
        let prompts = DialoguePrompts::default();
        let title = serde_json::json!({ "title": self.syllabus.title });
        let opening = prompts.opening.render(title)?;
        let mut records = Vec::new();
        for transcript in transcripts {
            records.extend(transcript.records(None, &opening, 2)?);
        }
        Ok(records)
    }

    /// Trains the student on what the expert said.
    pub(crate) fn train(
        &self,
        student: LanguageModel,
        records: &[Record],
        steps: usize,
    ) -> Result<LanguageModel> {
        let options = EncodeOptions::default();
        let template = Some(&self.template);
        let encoded = encode_records(records, &self.tokenizer, template, &options)?;
        let rows = pack(&encoded.documents, ROW, &PackOptions::default())?.rows;
        let config = TrainerConfig {
            learning_rate: self.learning_rate,
            schedule: Schedule {
                warmup: steps / 20,
                decay: Decay::Cosine,
                floor: 0.02,
            },
            optimizer: AdamWConfig {
                beta_2: 0.99,
                ..AdamWConfig::default()
            },
            seed: self.seed,
            ..TrainerConfig::steps(steps)
        };
        let loader = Loader::new(rows, LoaderOptions::shuffled(self.rows_per_step, self.seed))?;
        let pad = self.tokenizer.pad_id();
        let vocabulary = Vocabulary::of_size(self.tokenizer.vocab_size());
        let mut trainer = Trainer::new(
            config,
            student,
            HardTargetConfig::new().init()?,
            NoTeacher::new(vocabulary),
            LoaderBatches::new(loader, pad, &Device::default()),
        )?
        .callback(Progress::stderr());
        trainer.run()?;
        Ok(trainer.student())
    }
}

/// The same records with the teacher's answers given to other questions.
pub(crate) fn shuffled(records: &[Record], seed: u64) -> Vec<Record> {
    let mut answers: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.content {
            Content::Messages(messages) => messages.last().cloned(),
            _ => None,
        })
        .collect();
    answers.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut records = records.to_vec();
    for (record, answer) in records.iter_mut().zip(answers) {
        if let Content::Messages(messages) = &mut record.content
            && let Some(last) = messages.last_mut()
        {
            *last = answer;
        }
    }
    records
}

/// What students claimed in lessons: how often, and how often they were right.
pub(crate) fn claims(transcripts: &[Transcript]) -> (usize, usize) {
    let turns = transcripts.iter().flat_map(|transcript| &transcript.turns);
    let claims = turns
        .filter(|turn| turn.part == Part::Student)
        .filter_map(|turn| Sum::claim_in(&turn.text));
    claims.fold((0, 0), |(all, right), (sum, claim)| {
        (all + 1, right + usize::from(claim == sum.value()))
    })
}
