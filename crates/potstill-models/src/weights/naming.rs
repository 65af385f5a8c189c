//! Checkpoints that call their tensors a little differently.

use std::collections::HashSet;

use crate::{Architecture, ModelConfig};

/// How one checkpoint names the tensors of an architecture.
///
/// Checkpoints saved without a head lack the prefix of the decoder (`h.0…` instead of
/// `transformer.h.0…`), those of BERT with a head have one more (`bert.encoder…`), and old ones say
/// `gamma` and `beta`.
#[derive(Debug)]
pub(crate) struct Naming {
    present: HashSet<String>,
    strip: &'static str,
    add: &'static str,
}

impl Naming {
    pub(crate) fn of(architecture: Architecture, names: impl IntoIterator<Item = String>) -> Self {
        let present: HashSet<String> = names.into_iter().collect();
        let any = |prefix: &str| present.iter().any(|name| name.starts_with(prefix));
        let prefix = match architecture {
            Architecture::Bert => "",
            Architecture::Gpt2 => "transformer.",
            _ => "model.",
        };
        let strip = if any(prefix) { "" } else { prefix };
        let add = if architecture == Architecture::Bert && any("bert.") {
            "bert."
        } else {
            ""
        };
        Self {
            present,
            strip,
            add,
        }
    }

    /// What the checkpoint calls the tensor `name`, if it has it.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        let stripped = name.strip_prefix(self.strip).unwrap_or(name);
        let found = format!("{}{stripped}", self.add);
        if self.present.contains(&found) {
            return Some(found);
        }
        let old = found
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        (old != found && self.present.contains(&old)).then_some(old)
    }

    /// The tensors that nothing has used and that are not known to be superfluous, sorted.
    pub(crate) fn unexpected(&self, used: &HashSet<String>, config: &ModelConfig) -> Vec<String> {
        let superfluous = |name: &str| {
            name.ends_with("rotary_emb.inv_freq")
                || name.ends_with(".attn.bias")
                || name.ends_with(".attn.masked_bias")
                || name.ends_with("embeddings.position_ids")
                || (config.tie_word_embeddings && name == "lm_head.weight")
                || (config.architecture == Architecture::Bert && name.starts_with("cls."))
        };
        let mut names: Vec<String> = self
            .present
            .difference(used)
            .filter(|name| !superfluous(name))
            .cloned()
            .collect();
        names.sort_unstable();
        names
    }
}
