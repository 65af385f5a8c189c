//! The tensors of a student that has some parts of its teacher.

use std::path::Path;

use super::kept_parts::KeptParts;
use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{Architecture, Error, LanguageModel};

/// A model's tensors, cut to the parts that are kept and with its blocks numbered anew.
#[derive(Debug)]
pub(super) struct Cut<'a> {
    source: ModelSource,
    prefix: &'static str,
    parts: &'a KeptParts,
}

/// What the places along an axis of a tensor stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// Nothing that is cut.
    Whole,
    Channels,
    Neurons,
    Queries,
    Keys,
    /// Queries, keys and values behind one another.
    Fused,
}

/// A tensor of the student.
struct Original {
    /// What the teacher calls it.
    name: String,
    /// The kept places along each axis; `None` for all.
    places: Vec<Option<Vec<usize>>>,
    /// Factor of a norm.
    scale: Option<f32>,
}

impl<'a> Cut<'a> {
    pub(super) fn new(model: &LanguageModel, parts: &'a KeptParts) -> Self {
        Self {
            source: ModelSource::new(model),
            prefix: model.config().architecture.block_prefix(),
            parts,
        }
    }

    /// The number of a block's tensor, and the rest of its name.
    fn block<'n>(&self, name: &'n str) -> Option<(usize, &'n str)> {
        let (block, rest) = name.strip_prefix(self.prefix)?.split_once('.')?;
        Some((block.parse().ok()?, rest))
    }

    fn original(&self, name: &str) -> Option<Original> {
        let (name, block, field) = match self.block(name) {
            None => (name.to_owned(), None, name),
            Some((place, rest)) => {
                let block = *self.parts.blocks.get(place)?;
                (format!("{}{block}.{rest}", self.prefix), Some(block), rest)
            }
        };
        let mut axes = self.axes(field);
        axes.truncate(self.source.shape(&name)?.len());
        let places = axes.iter().map(|&axis| self.places(axis, block)).collect();
        Some(Original {
            places,
            scale: self.norm_scale(field, block),
            name,
        })
    }

    /// The axes of a tensor as checkpoints hold it; of a bias or a norm the first counts.
    fn axes(&self, field: &str) -> Vec<Axis> {
        use Axis::{Channels, Fused, Keys, Neurons, Queries, Whole};

        let gpt2 = self.parts.teacher.architecture == Architecture::Gpt2;
        let (field, kind) = field.rsplit_once('.').unwrap_or((field, ""));
        let (d_in, d_out) = match field {
            "self_attn.q_proj" => (Channels, Queries),
            "self_attn.k_proj" | "self_attn.v_proj" => (Channels, Keys),
            "attn.c_attn" => (Channels, Fused),
            "self_attn.o_proj" | "attn.c_proj" => (Queries, Channels),
            "mlp.gate_proj" | "mlp.up_proj" | "mlp.c_fc" => (Channels, Neurons),
            "mlp.down_proj" | "mlp.c_proj" => (Neurons, Channels),
            "self_attn.q_norm" | "self_attn.k_norm" => return vec![Whole],
            "head_projection" => (Channels, Whole),
            "lm_head" if self.parts.teacher.head_rank.is_some() => (Whole, Whole),
            "model.embed_tokens" | "transformer.wte" | "transformer.wpe" | "lm_head" => {
                return vec![Whole, Channels];
            }
            // Norms of the residual stream.
            _ => return vec![Channels],
        };
        match kind {
            "bias" => vec![d_out],
            _ if gpt2 => vec![d_in, d_out],
            _ => vec![d_out, d_in],
        }
    }

    /// The places that are kept along an axis, in a block of the teacher.
    fn places(&self, axis: Axis, block: Option<usize>) -> Option<Vec<usize>> {
        let (parts, teacher) = (self.parts, &self.parts.teacher);
        let heads = || Some(&parts.heads.as_ref()?[block?]);
        let columns = |heads: &[usize], offset: usize| -> Vec<usize> {
            let head_dim = teacher.head_dim;
            let starts = heads.iter().map(move |head| offset + head * head_dim);
            starts.flat_map(|start| start..start + head_dim).collect()
        };
        match axis {
            Axis::Whole => None,
            Axis::Channels => parts.channels().map(<[usize]>::to_vec),
            Axis::Neurons => parts.neurons(block?).map(<[usize]>::to_vec),
            Axis::Queries => Some(columns(&heads()?.queries, 0)),
            Axis::Keys => Some(columns(&heads()?.keys, 0)),
            Axis::Fused => {
                let width = teacher.n_heads * teacher.head_dim;
                let queries = &heads()?.queries;
                let sections = (0..3).flat_map(|section| columns(queries, section * width));
                Some(sections.collect())
            }
        }
    }

    /// The factor of a norm of the residual stream. A bias moves channels, whatever their number.
    fn norm_scale(&self, field: &str, block: Option<usize>) -> Option<f32> {
        let scales = &self.parts.channels.as_ref()?.norm_scales;
        let norm = match (block, field) {
            (Some(block), "input_layernorm.weight" | "ln_1.weight") => 2 * block,
            (Some(block), "post_attention_layernorm.weight" | "ln_2.weight") => 2 * block + 1,
            (None, "model.norm.weight" | "transformer.ln_f.weight") => {
                2 * self.parts.teacher.n_layers
            }
            _ => return None,
        };
        Some(scales[norm] as f32)
    }
}

impl TensorSource for Cut<'_> {
    fn names(&self) -> Vec<String> {
        let renamed = |name: String| match self.block(&name) {
            None => Some(name),
            Some((block, rest)) => {
                let place = self.parts.blocks.iter().position(|kept| *kept == block)?;
                Some(format!("{}{place}.{rest}", self.prefix))
            }
        };
        self.source
            .names()
            .into_iter()
            .filter_map(renamed)
            .collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let original = self.original(name)?;
        let mut shape = self.source.shape(&original.name)?;
        for (size, places) in shape.iter_mut().zip(&original.places) {
            if let Some(places) = places {
                *size = places.len();
            }
        }
        Some(shape)
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let Some(original) = self.original(name) else {
            return self.source.read(name);
        };
        let mut values = self.source.read(&original.name)?;
        let width = match self.source.shape(&original.name).as_deref() {
            Some(&[_, columns]) => columns,
            _ => 1,
        };
        if let Some(Some(rows)) = original.places.first() {
            let row = |&row: &usize| &values[row * width..(row + 1) * width];
            values = rows.iter().flat_map(row).copied().collect();
        }
        if let Some(Some(columns)) = original.places.get(1) {
            let cut = |row: &[f32]| {
                columns
                    .iter()
                    .map(|&column| row[column])
                    .collect::<Vec<_>>()
            };
            values = values.chunks(width).flat_map(cut).collect();
        }
        if let Some(scale) = original.scale {
            values.iter_mut().for_each(|value| *value *= scale);
        }
        Ok(values)
    }

    fn origin(&self) -> &Path {
        self.source.origin()
    }
}
