//! Training one student: what all tasks have in common.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use cpu_time::ProcessTime;
use potstill::burn::tensor::Device;
use potstill::core::{CausalLm, GenerateOptions, Objective, Teacher, Vocabulary};
use potstill::data::Loader;
use potstill::losses::{HardTargetConfig, HiddenDistance, HiddenMatchConfig, SoftTarget};
use potstill::models::{DerivedStudent, LanguageModel};
use potstill::teachers::{ModelTeacher, NoTeacher};
use potstill::train::{
    AdamWConfig, BatchSource, Decay, Event, Flow, LoaderBatches, Mixture, Rollouts, Schedule,
    StudentShare, Trainer, TrainerConfig,
};

use crate::cost::{Bill, Billed};
use crate::job::{Arm, Job, Outcome};
use crate::said::Said;

/// A student and how it came about.
pub(crate) struct Learned {
    pub(crate) student: LanguageModel,
    pub(crate) rows: usize,
    /// Processor time of training, including what a teacher was asked meanwhile.
    pub(crate) seconds: f64,
}

/// What is taught, apart from the text.
pub(crate) struct Lesson<'a> {
    pub(crate) job: &'a Job,
    pub(crate) steps: usize,
    /// The tokens that student and teacher share.
    pub(crate) vocabulary: &'a Vocabulary,
    /// Width of the teacher's hidden states.
    pub(crate) d_teacher: usize,
}

impl Lesson<'_> {
    /// Has `student` learn the rows of `loader` as the arm says: on-policy from the teacher itself, which
    /// reads what the student wrote as `writing` says; otherwise from what it `said` of the rows.
    pub(crate) fn attend(
        &self,
        student: DerivedStudent,
        teacher: &LanguageModel,
        (said, cache): (&Said, &Path),
        (loader, pad_token): (Loader, u32),
        writing: GenerateOptions,
        bill: &Bill,
    ) -> Result<Learned> {
        if self.job.arm.is_on_policy() {
            let teacher = Billed::new(ModelTeacher::new(teacher), bill);
            return self.learn(student, teacher, own_answers(loader, writing, pad_token)?);
        }
        if self.job.arm.divergence()?.is_some() {
            bill.add(said.scoring);
        }
        let source = LoaderBatches::new(loader, pad_token, &Device::default());
        self.learn(student, Said::teacher(cache)?, source)
    }

    /// Trains `student` as the arm says, on what comes from `source`.
    fn learn(
        &self,
        student: DerivedStudent,
        teacher: impl Teacher + 'static,
        source: impl BatchSource<LanguageModel> + 'static,
    ) -> Result<Learned> {
        let Some(divergence) = self.job.arm.divergence()? else {
            let nobody = NoTeacher::new(self.vocabulary.clone());
            return self.train(
                student.model,
                HardTargetConfig::new().init()?,
                nobody,
                source,
            );
        };
        let soft = SoftTarget::new(divergence);
        if self.job.arm != Arm::OnPolicyHints {
            return self.train(student.model, soft, teacher, source);
        }
        let device = Device::default().autodiff();
        device.seed(self.job.seed);
        let pairs = student.layer_map.inner().to_vec();
        let hints = HiddenMatchConfig::new(pairs, student.model.d_model(), self.d_teacher)
            .with_distance(HiddenDistance::Cosine)
            .init(&device)?;
        self.train(student.model, (soft, hints), teacher, source)
    }

    fn train(
        &self,
        student: LanguageModel,
        objective: impl Objective,
        teacher: impl Teacher + 'static,
        source: impl BatchSource<LanguageModel> + 'static,
    ) -> Result<Learned> {
        let steps = self.steps;
        let config = TrainerConfig {
            learning_rate: self.job.learning_rate,
            schedule: Schedule {
                warmup: steps / 20,
                decay: Decay::Cosine,
                floor: 0.01,
            },
            optimizer: AdamWConfig {
                beta_2: 0.99,
                ..AdamWConfig::default()
            },
            seed: self.job.seed,
            ..TrainerConfig::steps(steps)
        };
        let rows = Rc::new(Cell::new(0));
        let counted = rows.clone();
        let count = move |event: &Event<'_>| {
            if let Event::Step { report, .. } = event {
                counted.set(counted.get() + report.rows);
            }
            Flow::Continue
        };
        let vocabulary = self.vocabulary;
        let mut trainer =
            Trainer::with_vocabulary(config, student, vocabulary, objective, teacher, source)?
                .callback(count);
        let start = ProcessTime::now();
        trainer.run()?;
        Ok(Learned {
            student: trainer.student(),
            rows: rows.get(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// Batches of which half of the samples are the student's own, at temperature 1: TRL's mixture for GKD.
///
/// Four batches are written at once, since that costs little more than one.
fn own_answers(
    loader: Loader,
    options: GenerateOptions,
    pad_token: u32,
) -> Result<Rollouts<LanguageModel>> {
    let half = Mixture::PerSample(StudentShare::constant(0.5)?);
    let rollouts = Rollouts::new(loader, options, pad_token, &Device::default())?;
    Ok(rollouts.mixed(half)?.refreshed_every(4)?)
}

impl Learned {
    /// The costs.
    pub(crate) fn outcome(&self, bill: &Bill) -> Outcome {
        Outcome {
            student_seconds: self.seconds - bill.meanwhile().seconds,
            teacher_seconds: bill.total().seconds,
            teacher_positions: bill.total().positions,
            rows: self.rows,
            ..Outcome::default()
        }
    }
}
