//! Which parts of a model matter, measured on text.

use std::fmt;
use std::rc::Rc;

use burn::module::Module;
use burn::prelude::*;
use potstill_core::TokenBatch;

use super::kept_parts::{KeptChannels, KeptHeads, KeptParts};
use super::shape::group;
use crate::probe::Probe;
use crate::{Error, LanguageModel, ModelConfig, StudentShape};

/// How much each part of a model does, on average over the positions of a text that count.
///
/// ```text
/// block    1 − E cos(input, output)                    block influence
/// head     E ‖its output‖₂
/// neuron   E |what the last map of the MLP reads|
/// channel  E |output of a norm|, summed over all norms of the residual stream
/// ```
///
/// Men et al., *ShortGPT*, arXiv:2403.03853, for blocks; Muralidharan et al., *Compact Language Models
/// via Pruning and Knowledge Distillation* (Minitron), arXiv:2407.14679, for the rest. A few thousand
/// positions are enough; gradients are not needed.
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::{TokenBatch, TokenRow};
/// use potstill_models::{
///     Architecture, Importance, LanguageModel, ModelConfig, StudentShape, StudentSpec,
///     derive_student,
/// };
///
/// let device = Device::default();
/// let config = ModelConfig::new(Architecture::Llama, 32, 16, 4, 4);
/// let teacher = LanguageModel::init(&config, 1, &device);
/// let row = TokenRow::document(&[1, 2, 3, 4, 5, 6], &[1.0; 6]);
/// let text = [TokenBatch::from_rows(&[row], 0, &device)];
///
/// let importance = Importance::measure(&teacher, &text)?;
/// let shape = StudentShape { n_layers: Some(3), d_ff: Some(24), ..StudentShape::default() };
/// let spec = StudentSpec::Parts(importance.keep(&shape)?);
/// let student = derive_student(&teacher, &spec, &device.autodiff())?;
/// assert_eq!(student.model.config().d_ff, 24);
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Importance {
    config: ModelConfig,
    blocks: Vec<f64>,
    heads: Vec<Vec<f64>>,
    neurons: Vec<Vec<f64>>,
    channels: Vec<f64>,
    /// Of every norm, the share of each channel in the squared length of what it is given.
    energy: Vec<Vec<f64>>,
}

impl Importance {
    /// Measures `model` on `batches`.
    ///
    /// # Errors
    ///
    /// When no position of the batches counts, or the results cannot be read back.
    ///
    /// # Panics
    ///
    /// Panics if a segment is longer than the model's positions.
    pub fn measure(model: &LanguageModel, batches: &[TokenBatch]) -> Result<Self, Error> {
        let model = model.valid();
        let config = model.config().clone();
        let zeros = |parts: usize, size: usize| vec![vec![0.0; size]; parts];
        let norms = 2 * config.n_layers + 1;
        let mut cosines = zeros(1, config.n_layers);
        let mut heads = zeros(config.n_layers, config.n_heads);
        let mut neurons = zeros(config.n_layers, config.d_ff);
        let mut outputs = zeros(norms, config.d_model);
        let mut energy = zeros(norms, config.d_model);
        let mut total = 0.0;
        for batch in batches.iter().filter(|batch| batch.rows.count() > 0) {
            let probe = Rc::new(Probe::new(batch.rows.clone()));
            model.show(batch, Rc::clone(&probe));
            let Some(seen) = Rc::into_inner(probe).map(Probe::into_seen) else {
                unreachable!("the pass is over, so nobody else holds the probe");
            };
            let count = batch.rows.count() as f64;
            total += count;
            let cosine = vec![Tensor::cat(seen.cosines, 0)];
            let (output, share): (Vec<_>, Vec<_>) = seen
                .norms
                .into_iter()
                .map(|norm| (norm.output, norm.energy))
                .unzip();
            for (sums, seen) in [
                (&mut cosines, cosine),
                (&mut heads, seen.heads),
                (&mut neurons, seen.neurons),
                (&mut outputs, output),
                (&mut energy, share),
            ] {
                add(sums, seen, count)?;
            }
        }
        if total == 0.0 {
            return Err(Error::NothingToMeasure);
        }
        for sums in [
            &mut cosines,
            &mut heads,
            &mut neurons,
            &mut outputs,
            &mut energy,
        ] {
            sums.iter_mut().flatten().for_each(|sum| *sum /= total);
        }
        let channel = |channel: usize| outputs.iter().map(|norm| norm[channel]).sum();
        Ok(Self {
            blocks: cosines[0].iter().map(|cosine| 1.0 - cosine).collect(),
            channels: (0..config.d_model).map(channel).collect(),
            config,
            heads,
            neurons,
            energy,
        })
    }

    /// Influence of each block.
    #[must_use]
    pub fn blocks(&self) -> &[f64] {
        &self.blocks
    }

    /// Importance of each query head of each block.
    #[must_use]
    pub fn heads(&self) -> &[Vec<f64>] {
        &self.heads
    }

    /// Importance of each neuron of each block.
    #[must_use]
    pub fn neurons(&self) -> &[Vec<f64>] {
        &self.neurons
    }

    /// Importance of each channel of the residual stream.
    #[must_use]
    pub fn channels(&self) -> &[f64] {
        &self.channels
    }

    /// The most important parts that make a student of `shape`; of equal ones the earlier.
    ///
    /// Of the groups of query heads that share a key, those with the most important heads are kept,
    /// and in each the most important heads.
    ///
    /// # Errors
    ///
    /// When the model has no parts of which such a student could be [made](StudentShape::config).
    pub fn keep(&self, shape: &StudentShape) -> Result<KeptParts, Error> {
        let teacher = &self.config;
        let student = shape.config(teacher)?;
        let heads = self.heads.iter().map(|scores| {
            let groups: Vec<&[f64]> = scores.chunks(group(teacher)).collect();
            let best = |group: &[f64]| {
                let kept = most_important(group, student.n_heads / student.n_kv_heads);
                kept.into_iter().map(|head| group[head]).sum::<f64>()
            };
            let totals: Vec<f64> = groups.iter().map(|group| best(group)).collect();
            let keys = most_important(&totals, student.n_kv_heads);
            let queries = keys.iter().flat_map(|&key| {
                let kept = most_important(groups[key], student.n_heads / student.n_kv_heads);
                kept.into_iter()
                    .map(move |head| key * group(teacher) + head)
            });
            KeptHeads {
                queries: queries.collect(),
                keys: keys.clone(),
            }
        });
        let channels = (student.d_model < teacher.d_model).then(|| {
            let channels = most_important(&self.channels, student.d_model);
            let scale = |energy: &Vec<f64>| {
                let share: f64 = channels.iter().map(|&channel| energy[channel]).sum();
                (share * teacher.d_model as f64 / student.d_model as f64).sqrt()
            };
            KeptChannels {
                norm_scales: self.energy.iter().map(scale).collect(),
                channels,
            }
        });
        let fewer_heads =
            student.n_heads < teacher.n_heads || student.n_kv_heads < teacher.n_kv_heads;
        Ok(KeptParts {
            teacher: teacher.clone(),
            blocks: most_important(&self.blocks, student.n_layers),
            heads: fewer_heads.then(|| heads.collect()),
            neurons: (student.d_ff < teacher.d_ff).then(|| {
                let kept = |scores: &Vec<f64>| most_important(scores, student.d_ff);
                self.neurons.iter().map(kept).collect()
            }),
            channels,
        })
    }
}

/// One line a block: its influence, and how its heads and neurons spread.
impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "block  influence  heads (least, most)  neurons (least, most)"
        )?;
        let extent = |scores: &[f64]| {
            let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
            (least, scores.iter().copied().fold(0.0, f64::max))
        };
        for (block, influence) in self.blocks.iter().enumerate() {
            let (heads, neurons) = (extent(&self.heads[block]), extent(&self.neurons[block]));
            writeln!(
                f,
                "{block:>5}  {influence:>9.4}  {:>8.3} {:>10.3}  {:>9.4} {:>11.4}",
                heads.0, heads.1, neurons.0, neurons.1
            )?;
        }
        Ok(())
    }
}

/// The places of the `count` largest scores, ascending; of equal ones the earlier.
pub(super) fn most_important(scores: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    places.truncate(count);
    places.sort_unstable();
    places
}

/// Adds `count` times what was seen.
fn add(sums: &mut [Vec<f64>], seen: Vec<Tensor<1>>, count: f64) -> Result<(), Error> {
    for (sums, seen) in sums.iter_mut().zip(seen) {
        let seen = seen
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::Readback {
                name: "importance".into(),
                reason: error.to_string(),
            })?;
        for (sum, value) in sums.iter_mut().zip(seen) {
            *sum += count * f64::from(value);
        }
    }
    Ok(())
}
