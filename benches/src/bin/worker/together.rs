//! The reference step, of several students that learn from one teacher at once.

use anyhow::{Context, Result, ensure};
use potstill::burn::module::Module;
use potstill::burn::optim::ModuleOptimizer;
use potstill::losses::SoftTarget;
use potstill::models::LanguageModel;
use potstill::teachers::SharedTeacher;
use potstill::train::{AdamWConfig, Distiller, StepSettings, step};
use serde_json::json;

use crate::step::{self as reference, Setup};
use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Students, all of one shape.
    #[arg(long, default_value_t = 2)]
    students: usize,
    /// Multiplies with the teacher's head once for all of them.
    #[arg(long)]
    logits: bool,
    #[command(flatten)]
    step: reference::Arguments,
}

type Student = (Distiller<LanguageModel, SoftTarget>, ModuleOptimizer);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Setup {
        teacher, distiller, ..
    } = Setup::new(&arguments.step)?;
    let device = arguments.step.backend.device()?;
    let mut students: Vec<Option<Student>> = (0..arguments.students as u64)
        .map(|number| {
            let config = distiller.student.config();
            let student = LanguageModel::init(config, number, &device.clone().autodiff());
            let distiller = Distiller {
                student: student.train(),
                objective: distiller.objective.clone(),
            };
            let optimizer = AdamWConfig::default().init(&distiller);
            Some((distiller, optimizer))
        })
        .collect();
    drop(distiller);
    let mut shared = SharedTeacher::new(teacher);
    if arguments.logits {
        shared = shared.with_logits();
    }
    let settings = StepSettings {
        step: 1,
        learning_rate: 1e-4,
        max_grad_norm: Some(1.0),
        shared_vocabulary: arguments.step.vocab,
    };
    let mut turn = 0;
    turns::take(|| {
        // A batch of its own for each turn, or the teacher would not be asked again.
        let batches = [reference::batch(&arguments.step, turn, &device)?];
        turn += 1;
        let (mut losses, mut tokens) = (Vec::new(), 0);
        for student in &mut students {
            let (model, mut optimizer) = student.take().context("a step gives the model back")?;
            let mut teacher = shared.clone();
            let (model, report) = step(model, &mut teacher, &mut optimizer, &batches, &settings);
            *student = Some((model, optimizer));
            let report = report?;
            losses.push(report.loss);
            tokens = report.tokens;
        }
        ensure!(shared.passes() == turn, "the teacher has one pass a turn");
        Ok(json!({"losses": losses, "tokens": tokens, "passes": shared.passes()}))
    })
}
