//! What each part of the reference step costs.

use std::time::Instant;

use anyhow::{Context, Result};
use potstill::burn::optim::GradientsParams;
use potstill::core::{CausalLm, Objective, ObjectiveInput, StudentView, Taps, Teacher};
use serde_json::{Map, Value, json};

use crate::step::{Arguments, Setup};
use crate::turns;
use crate::usage::cpu_time;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Setup {
        mut teacher,
        distiller,
        mut optimizer,
        batch,
    } = Setup::new(arguments)?;
    let mut model = Some(distiller);
    turns::take(|| {
        let mut parts = Parts::default();
        let distiller = model.take().context("the model comes back")?;
        let signal = parts.time("teacher", || teacher.signal(&batch, &Taps::default()))?;
        let encoded = parts.time("student", || {
            distiller.student.encode(&batch, &Taps::default())
        });
        let loss = parts.time("loss", || {
            let student = StudentView {
                hidden: batch.rows.select(encoded.hidden),
                head: distiller.student.head(),
                tapped: encoded.tapped,
            };
            let input = ObjectiveInput {
                student: &student,
                teacher: &signal,
                batch: &batch,
            };
            let mut terms = Vec::new();
            distiller.objective.terms(input, &mut terms);
            terms.swap_remove(0).sum / batch.rows.total_weight()
        });
        let gradients = parts.time("backward", || {
            GradientsParams::from_grads(loss.backward(), &distiller)
        });
        model = Some(parts.time("optimizer", || optimizer.step(1e-4, distiller, gradients)));
        Ok(json!({"parts": parts.0}))
    })
}

/// Name of a part to its seconds on the wall and on processors.
#[derive(Default)]
struct Parts(Map<String, Value>);

impl Parts {
    fn time<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let (start, cpu_before) = (Instant::now(), cpu_time());
        let result = work();
        let wall = start.elapsed().as_secs_f64();
        let cpu = (cpu_time() - cpu_before).as_secs_f64();
        self.0
            .insert(name.to_owned(), json!({"wall": wall, "cpu": cpu}));
        result
    }
}
