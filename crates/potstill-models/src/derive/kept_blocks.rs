//! The tensors of a teacher that a student with fewer blocks takes over.

use std::path::Path;

use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{Error, LanguageModel};

/// A model's tensors with its blocks chosen and numbered anew.
#[derive(Debug)]
pub(super) struct KeptBlocks {
    source: ModelSource,
    prefix: &'static str,
    blocks: Vec<usize>,
}

impl KeptBlocks {
    pub(super) fn new(model: &LanguageModel, blocks: Vec<usize>) -> Self {
        let prefix = model.config().architecture.block_prefix();
        Self {
            source: ModelSource::new(model),
            prefix,
            blocks,
        }
    }

    /// The number of a block's tensor, and the rest of its name.
    fn block<'a>(&self, name: &'a str) -> Option<(usize, &'a str)> {
        let (block, rest) = name.strip_prefix(self.prefix)?.split_once('.')?;
        Some((block.parse().ok()?, rest))
    }

    /// What the teacher calls a tensor of the student.
    fn original(&self, name: &str) -> Option<String> {
        match self.block(name) {
            None => Some(name.to_owned()),
            Some((block, rest)) => {
                Some(format!("{}{}.{rest}", self.prefix, self.blocks.get(block)?))
            }
        }
    }
}

impl TensorSource for KeptBlocks {
    fn names(&self) -> Vec<String> {
        let renamed = |name: String| match self.block(&name) {
            None => Some(name),
            Some((block, rest)) => {
                let place = self.blocks.iter().position(|kept| *kept == block)?;
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
        self.source.shape(&self.original(name)?)
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        match self.original(name) {
            Some(original) => self.source.read(&original),
            None => self.source.read(name),
        }
    }

    fn origin(&self) -> &Path {
        self.source.origin()
    }
}
