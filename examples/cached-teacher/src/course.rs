//! A loop in the open: one step for each batch.

use std::time::Instant;

use anyhow::Result;
use potstill::burn::optim::ModuleOptimizer;
use potstill::core::{Teacher, TokenBatch};
use potstill::losses::SparseTarget;
use potstill::models::LanguageModel;
use potstill::train::{AdamWConfig, Distiller, StepSettings, step};

/// A student in training.
pub(crate) struct Course {
    model: Option<Distiller<LanguageModel, SparseTarget>>,
    optimizer: ModuleOptimizer,
    settings: StepSettings,
}

impl Course {
    /// Begins with `model`, compared with its teacher on the first `vocab` tokens.
    pub(crate) fn new(model: Distiller<LanguageModel, SparseTarget>, vocab: usize) -> Self {
        Self {
            optimizer: AdamWConfig::default().init(&model),
            model: Some(model),
            settings: StepSettings {
                step: 0,
                learning_rate: 5e-4,
                max_grad_norm: Some(1.0),
                shared_vocabulary: vocab,
            },
        }
    }

    /// One step for each batch; says how long it took and where the loss was.
    pub(crate) fn epoch(
        &mut self,
        teacher: &mut dyn Teacher,
        batches: &[TokenBatch],
    ) -> Result<String> {
        let start = Instant::now();
        let mut loss = 0.0;
        for batch in batches {
            self.settings.step += 1;
            let model = self.model.take().expect("a step gives the model back");
            let batch = std::slice::from_ref(batch);
            let (model, report) = step(model, teacher, &mut self.optimizer, batch, &self.settings);
            self.model = Some(model);
            loss += report?.loss / batches.len() as f64;
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(format!("{seconds:6.2} s, mean loss {loss:.3}"))
    }
}
