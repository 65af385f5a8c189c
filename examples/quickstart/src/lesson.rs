//! One way of training the student: rows, an objective, a teacher.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use potstill::burn::tensor::Device;
use potstill::core::{Objective, Teacher, TokenRow};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::eval::Item;
use potstill::models::LanguageModel;
use potstill::train::{
    AdamWConfig, Decay, LoaderBatches, Metrics, Progress, Schedule, Trainer, TrainerConfig, Watch,
};
use quickstart::examination;

use crate::Arguments;

/// What all students have in common.
pub(crate) struct Lesson<'a> {
    /// Steps, batch size, learning rate, seed.
    pub(crate) arguments: &'a Arguments,
    /// The tokenizer of the task.
    pub(crate) tokenizer: &'a TextTokenizer,
    /// Problems on which the student is watched while it learns.
    pub(crate) watched: &'a [Item],
}

/// A student that has learned.
pub(crate) struct Learned {
    /// The student after the last step.
    pub(crate) student: LanguageModel,
    /// The log of its run.
    pub(crate) log: PathBuf,
    /// How long it took, the watching included.
    pub(crate) seconds: f64,
}

impl Lesson<'_> {
    /// Trains `student` on `rows`; everything that is written goes to `folder`.
    pub(crate) fn train(
        &self,
        student: LanguageModel,
        objective: impl Objective,
        teacher: impl Teacher + 'static,
        rows: Vec<TokenRow>,
        steps: usize,
        folder: &Path,
    ) -> Result<Learned> {
        let Arguments {
            batch,
            learning_rate,
            seed,
            ..
        } = *self.arguments;
        let config = TrainerConfig {
            learning_rate,
            schedule: Schedule {
                warmup: steps / 20,
                decay: Decay::Cosine,
                floor: 0.01,
            },
            optimizer: AdamWConfig {
                beta_2: 0.99,
                ..AdamWConfig::default()
            },
            evaluate_every: Some(steps.div_ceil(5)),
            log_every: steps.div_ceil(20),
            seed,
            ..TrainerConfig::steps(steps)
        };
        let loader = Loader::new(rows, LoaderOptions::shuffled(batch, seed))?;
        let source = LoaderBatches::new(loader, self.tokenizer.pad_id(), &Device::default());
        let (watched, tokenizer) = (self.watched.to_vec(), self.tokenizer.clone());
        let mut trainer = Trainer::new(config, student, objective, teacher, source)?
            .evaluation(
                Watch::highest("exact_match"),
                move |student: &LanguageModel| {
                    let result = examination::examine(student, &watched, &tokenizer)?;
                    Ok(Metrics::from([(
                        "exact_match".to_owned(),
                        result.accuracy().value(),
                    )]))
                },
            )
            .callback(Progress::stderr())
            .start_in(folder)?;
        let start = Instant::now();
        trainer.run()?;
        Ok(Learned {
            student: trainer.student(),
            log: folder.join("metrics.jsonl"),
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}
