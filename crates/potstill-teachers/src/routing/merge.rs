//! The answers of several teachers, in the order of the batch.

use burn::prelude::*;
use potstill_core::{Prediction, Support, Tapped, TeacherSignal};

use crate::ensemble::EnsembleError;
use crate::prediction::{chunk_rows, logits};

/// What one teacher says about its part of a batch.
#[derive(Debug)]
pub(super) struct Answer {
    /// The teacher, from 1.
    pub(super) number: usize,
    pub(super) prediction: Prediction,
    pub(super) tapped: Tapped,
    /// Which rows of the batch these are.
    pub(super) rows: Vec<usize>,
    /// Where each position of the part lies in the batch; `None` for padding.
    pub(super) places: Vec<Option<usize>>,
}

/// Puts the answers together; there are at least two.
pub(super) fn merge(
    answers: Vec<Answer>,
    shape: [usize; 2],
    device: &Device,
) -> Result<TeacherSignal, EnsembleError> {
    let hidden = hidden(&answers, shape, device)?;
    let mut order = vec![0i32; answers.iter().map(|answer| answer.rows.len()).sum()];
    let rows = answers.iter().flat_map(|answer| &answer.rows);
    for (place, &row) in (0..).zip(rows) {
        order[row] = place;
    }
    let length = order.len();
    let order = Tensor::from_data(TensorData::new(order, [length]), device);
    Ok(TeacherSignal {
        prediction: prediction(answers, &order)?,
        tapped: Tapped {
            hidden,
            attention: Vec::new(),
        },
    })
}

fn prediction(answers: Vec<Answer>, order: &Tensor<1, Int>) -> Result<Prediction, EnsembleError> {
    let (mut dense, mut ids, mut named, mut tails) = (vec![], vec![], vec![], vec![]);
    let first = (answers[0].number, kind(&answers[0].prediction));
    for answer in answers {
        let kind = kind(&answer.prediction);
        if kind != first.1 {
            return Err(EnsembleError::Kinds {
                first: first.0,
                first_kind: first.1,
                second: answer.number,
                second_kind: kind,
            });
        }
        match answer.prediction {
            Prediction::Sparse {
                token_ids,
                log_probs,
                support,
            } => {
                ids.push(token_ids);
                named.push(log_probs);
                if let Support::TopK { tail } = support {
                    tails.push(tail);
                }
            }
            whole => dense.extend(all_logits(&whole, answer.rows.len())),
        }
    }
    let in_order = |parts: Vec<Tensor<2>>| Tensor::cat(parts, 0).select(0, order.clone());
    if !dense.is_empty() {
        return Ok(Prediction::Dense(in_order(dense)));
    }
    if ids.is_empty() {
        return Ok(Prediction::None);
    }
    Ok(Prediction::Sparse {
        token_ids: Tensor::cat(ids, 0).select(0, order.clone()),
        log_probs: in_order(named),
        support: if tails.is_empty() {
            Support::Sampled
        } else {
            Support::TopK {
                tail: Tensor::cat(tails, 0).select(0, order.clone()),
            }
        },
    })
}

/// What has to be the same for rows to stand in one tensor.
fn kind(prediction: &Prediction) -> String {
    match prediction {
        Prediction::Sparse {
            log_probs, support, ..
        } => {
            let [_, k] = log_probs.dims();
            match support {
                Support::TopK { .. } => format!("top-{k}"),
                _ => format!("sampled ({k} draws)"),
            }
        }
        Prediction::None => "no".to_owned(),
        _ => "whole".to_owned(),
    }
}

fn all_logits(prediction: &Prediction, rows: usize) -> Vec<Tensor<2>> {
    let vocab = match prediction {
        Prediction::Deferred { head, .. } => head.vocab_size(),
        _ => 1,
    };
    let chunk = chunk_rows(vocab);
    (0..rows)
        .step_by(chunk)
        .filter_map(|start| logits(prediction, start, chunk.min(rows - start)))
        .collect()
}

/// Tapped hidden states where they were in the batch, and zeros where no teacher looked.
fn hidden(
    answers: &[Answer],
    [batch, seq]: [usize; 2],
    device: &Device,
) -> Result<Vec<(usize, Tensor<3>)>, EnsembleError> {
    let layers = answers[0].tapped.hidden.iter().map(|&(layer, _)| layer);
    layers
        .map(|layer| {
            let states: Vec<Tensor<3>> = answers
                .iter()
                .map(|answer| answer.tapped.hidden(layer))
                .collect();
            let [_, _, d_model] = states[0].dims();
            if states.iter().any(|state| state.dims()[2] != d_model) {
                return Err(EnsembleError::NothingToTap {
                    what: "hidden state",
                    instead: "theirs differ in width; drop the objective that taps it",
                });
            }
            let mut parts = vec![Tensor::zeros([1, d_model], device)];
            let mut sources = vec![0i32; batch * seq];
            let places = answers.iter().flat_map(|answer| &answer.places);
            for (source, place) in (1..).zip(places) {
                if let Some(place) = *place {
                    sources[place] = source;
                }
            }
            parts.extend(states.into_iter().map(|state| state.flatten::<2>(0, 1)));
            let sources = Tensor::from_data(TensorData::new(sources, [batch * seq]), device);
            let whole = Tensor::cat(parts, 0).select(0, sources);
            Ok((layer, whole.reshape([batch, seq, d_model])))
        })
        .collect()
}
