//! Which blocks a model can do without.

use std::fmt;

use burn::module::Module;
use potstill_core::{CausalLm, Taps, TokenBatch};
use potstill_kernels::linear_cross_entropy;
use serde::{Deserialize, Serialize};

use super::LayerChoice;
use super::importance::most_important;
use crate::{Error, LanguageModel};

/// How blocks are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Each block is left out once, and those go together that are missed least.
    OneShot,
    /// The block that is missed least goes, then each of the others is left out of what remains.
    /// Costs a pass over the text for each block that is still there, each time.
    Iterative,
}

/// A block that was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    /// The block, counted from 0.
    pub block: usize,
    /// Nats per token without it, and without those that went before.
    pub loss: f64,
}

/// The blocks of a model that a text is predicted worst without, found by leaving blocks out.
///
/// Sees what block influence (see [`Importance`](crate::Importance)) does not: a block that changes
/// its input much may still change little that matters. It costs a forward pass for each block.
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::{TokenBatch, TokenRow};
/// use potstill_models::{Architecture, DepthSearch, LanguageModel, ModelConfig, Removal};
///
/// let device = Device::default();
/// let config = ModelConfig::new(Architecture::Llama, 32, 16, 4, 2);
/// let teacher = LanguageModel::init(&config, 1, &device);
/// let row = TokenRow::document(&[1, 2, 3, 4, 5, 6], &[1.0; 6]);
/// let text = [TokenBatch::from_rows(&[row], 0, &device)];
///
/// let search = DepthSearch::by_loss(&teacher, &text, 2, Removal::Iterative)?;
/// assert_eq!((search.removed().len(), search.kept().len()), (2, 2));
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthSearch {
    full_loss: f64,
    losses: Vec<f64>,
    removed: Vec<Removed>,
    kept: Vec<usize>,
}

impl DepthSearch {
    /// Looks for the `keep` blocks that `batches` need.
    ///
    /// # Errors
    ///
    /// When no block is to be kept, more than there are, or no position of the batches counts.
    ///
    /// # Panics
    ///
    /// Panics if a segment is longer than the model's positions.
    pub fn by_loss(
        model: &LanguageModel,
        batches: &[TokenBatch],
        keep: usize,
        removal: Removal,
    ) -> Result<Self, Error> {
        let model = model.valid();
        let mut kept = LayerChoice::First(model.n_layers()).blocks(model.n_layers())?;
        LayerChoice::First(keep).blocks(kept.len())?;
        let loss = |blocks: &[usize]| mean_loss(&model.with_blocks(blocks), batches);
        let without = |kept: &[usize]| -> Result<Vec<f64>, Error> {
            let missed = |place: usize| {
                let (before, after) = (&kept[..place], &kept[place + 1..]);
                loss(&[before, after].concat())
            };
            (0..kept.len()).map(missed).collect()
        };
        let full_loss = loss(&kept)?;
        let losses = without(&kept)?;
        let mut removed = Vec::new();
        let mut scores = losses.clone();
        match removal {
            Removal::OneShot => {
                let chosen = most_important(&losses, keep);
                let mut going: Vec<usize> = (0..losses.len())
                    .filter(|block| !chosen.contains(block))
                    .collect();
                going.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
                for block in going {
                    kept.retain(|other| *other != block);
                    let loss = loss(&kept)?;
                    removed.push(Removed { block, loss });
                }
            }
            Removal::Iterative => {
                while kept.len() > keep {
                    let (place, loss) = least(&scores);
                    let block = kept.remove(place);
                    removed.push(Removed { block, loss });
                    if kept.len() > keep {
                        scores = without(&kept)?;
                    }
                }
            }
        }
        Ok(Self {
            full_loss,
            losses,
            removed,
            kept,
        })
    }

    /// Nats per token of the whole model.
    #[must_use]
    pub fn full_loss(&self) -> f64 {
        self.full_loss
    }

    /// Nats per token without one block, for each of them.
    #[must_use]
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The blocks that went, in that order.
    #[must_use]
    pub fn removed(&self) -> &[Removed] {
        &self.removed
    }

    /// The blocks that are left, ascending.
    #[must_use]
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// The blocks that are left, for a [`StudentSpec`](crate::StudentSpec).
    #[must_use]
    pub fn choice(&self) -> LayerChoice {
        LayerChoice::Named(self.kept.clone())
    }
}

/// One line a block: what leaving it out costs, and when it went.
impl fmt::Display for DepthSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "all blocks: {:.4} nats per token", self.full_loss)?;
        writeln!(f, "block  loss without  removed")?;
        for (block, loss) in self.losses.iter().enumerate() {
            write!(f, "{block:>5}  {loss:>12.4}")?;
            match self
                .removed
                .iter()
                .position(|removed| removed.block == block)
            {
                Some(turn) => {
                    writeln!(f, "  {:>3}, loss {:.4}", turn + 1, self.removed[turn].loss)?
                }
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

fn least(scores: &[f64]) -> (usize, f64) {
    let places = scores.iter().copied().enumerate();
    places
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, f64::NAN))
}

/// The weighted mean of the targets' negative log-likelihood.
fn mean_loss(model: &LanguageModel, batches: &[TokenBatch]) -> Result<f64, Error> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let head = model.head();
    for batch in batches.iter().filter(|batch| batch.rows.count() > 0) {
        let hidden = model.encode(batch, &Taps::default()).hidden;
        let hidden = batch.rows.select(hidden);
        let targets = batch.row_targets();
        let weights = batch.rows.weights.as_ref();
        let loss = linear_cross_entropy(&hidden, &head, &targets, weights);
        sum += f64::from(loss.into_scalar::<f32>());
        weight += batch.rows.total_weight();
    }
    if weight == 0.0 {
        return Err(Error::NothingToMeasure);
    }
    Ok(sum / weight)
}
