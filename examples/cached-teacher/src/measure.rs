//! How far a cached signal is from the live one, and how fast it is read.

use std::time::Instant;

use anyhow::{Result, bail};
use potstill::burn::tensor::activation::log_softmax;
use potstill::core::{Prediction, Support, Taps, Teacher, TokenBatch};

/// Seconds for which reading is measured, at least.
const READING: f64 = 2.0;

/// Means over the rows, in nats.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deviation {
    /// KL(live ‖ cached); infinite where the cache has no mass.
    pub(crate) forward: f64,
    /// KL(cached ‖ live).
    pub(crate) reverse: f64,
    /// Live mass of the tokens that the cache does not name.
    pub(crate) unnamed: f64,
    /// Different tokens that the cache names.
    pub(crate) tokens: f64,
}

/// Compares what `cached` says with what `live` says, over the tokens that are named and, where it is
/// kept, one bucket for all others.
pub(crate) fn error(
    live: &mut dyn Teacher,
    cached: &mut dyn Teacher,
    batches: &[TokenBatch],
) -> Result<Deviation> {
    let (mut sum, mut rows) = (Deviation::default(), 0.0);
    let vocab = cached.vocabulary().head_size;
    for batch in batches {
        let live = live.signal(batch, &Taps::default())?.prediction;
        let Prediction::Deferred { hidden, head } = live.truncated(vocab) else {
            bail!("a model's prediction is deferred")
        };
        let truth = log_softmax(head.logits(hidden), 1).try_into_vec_as::<f32>()?;
        let cached = Rows::of(cached.signal(batch, &Taps::default())?.prediction)?;
        for (row, truth) in truth.chunks(vocab).enumerate() {
            cached.compare(row, truth, &mut sum);
            rows += 1.0;
        }
    }
    Ok(Deviation {
        forward: sum.forward / rows,
        reverse: sum.reverse / rows,
        unnamed: sum.unnamed / rows,
        tokens: sum.tokens / rows,
    })
}

/// A cached prediction on the host.
struct Rows {
    token_ids: Option<Vec<u32>>,
    log_probs: Vec<f32>,
    tails: Option<Vec<f32>>,
    width: usize,
}

impl Rows {
    fn of(prediction: Prediction) -> Result<Self> {
        Ok(match prediction {
            Prediction::Dense(log_probs) => Self {
                width: log_probs.dims()[1],
                token_ids: None,
                log_probs: log_probs.try_into_vec_as()?,
                tails: None,
            },
            Prediction::Sparse {
                token_ids,
                log_probs,
                support,
            } => Self {
                width: log_probs.dims()[1],
                token_ids: Some(token_ids.try_into_vec_as()?),
                log_probs: log_probs.try_into_vec_as()?,
                tails: match support {
                    Support::TopK { tail } => Some(tail.try_into_vec_as()?),
                    _ => None,
                },
            },
            other => bail!("a cache is dense or sparse, not {}", other.kind()),
        })
    }

    fn compare(&self, row: usize, truth: &[f32], sum: &mut Deviation) {
        let of_row = row * self.width..(row + 1) * self.width;
        let mut named: Vec<(usize, f64)> = match &self.token_ids {
            None => self.log_probs[of_row]
                .iter()
                .map(|&v| f64::from(v))
                .enumerate()
                .collect(),
            Some(ids) => {
                let ids = ids[of_row.clone()].iter().map(|&id| id as usize);
                ids.zip(self.log_probs[of_row].iter().map(|&v| f64::from(v)))
                    .collect()
            }
        };
        if self.token_ids.is_some() && self.tails.is_none() {
            // Draws say with their number how likely a token is.
            let draws = named.len() as f64;
            let runs = named.chunk_by(|(a, _), (b, _)| a == b);
            named = runs
                .map(|run| (run[0].0, (run.len() as f64 / draws).ln()))
                .collect();
        }
        let mut add = |live: f64, cached: f64| {
            // What rounding to f16 takes from a sum of 1 is no divergence.
            let lost = live.exp() - cached.exp();
            sum.forward += live.exp() * (live - cached) - lost;
            sum.reverse += cached.exp() * (cached - live) + lost;
        };
        let mut live_mass = 0.0;
        for &(id, cached) in &named {
            add(truth[id].into(), cached);
            live_mass += f64::from(truth[id]).exp();
        }
        let unnamed = (1.0 - live_mass).max(0.0);
        if named.len() < truth.len() && unnamed > 0.0 {
            match &self.tails {
                Some(tails) => add(unnamed.ln(), tails[row].into()),
                None => {
                    sum.reverse += unnamed;
                    sum.forward = f64::INFINITY;
                }
            }
            sum.unnamed += unnamed;
        }
        sum.tokens += named.len() as f64;
    }
}

/// Rows that `cached` reads in a second, from files that are warm: the fastest pass over `batches`,
/// so that whatever else the machine does is left out.
pub(crate) fn rate(cached: &mut dyn Teacher, batches: &[TokenBatch]) -> Result<f64> {
    let rows: usize = batches.iter().map(|batch| batch.rows.count()).sum();
    let (start, mut fastest) = (Instant::now(), f64::INFINITY);
    while start.elapsed().as_secs_f64() < READING {
        let pass = Instant::now();
        for batch in batches {
            cached.signal(batch, &Taps::default())?;
        }
        fastest = fastest.min(pass.elapsed().as_secs_f64());
    }
    Ok(rows as f64 / fastest)
}
