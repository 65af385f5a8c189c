//! What the teacher says once, for all students: texts, and distributions on the rows that they read.
//!
//! It is paid once and billed to every student as if it were the only one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use potstill::burn::tensor::Device;
use potstill::core::{TokenBatch, TokenRow};
use potstill::models::LanguageModel;
use potstill::teachers::{
    CacheBuilder, CacheConfig, CachedTeacher, Keep, ModelTeacher, TeacherIdentity,
};
use serde::{Deserialize, Serialize};

use crate::cost::{Cost, timed};
use crate::pool::write;

/// A text of the teacher's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) tokens: Vec<u32>,
    /// How many of them were given to it.
    pub(crate) prompt: usize,
}

impl Text {
    /// The text as a training row, in which the prompt does not count.
    pub(crate) fn row(&self) -> TokenRow {
        let weight = |position| f32::from(u8::from(position >= self.prompt));
        let weights: Vec<f32> = (0..self.tokens.len()).map(weight).collect();
        TokenRow::document(&self.tokens, &weights)
    }
}

/// The texts and what everything cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) texts: Vec<Text>,
    /// Of writing the texts.
    pub(crate) writing: Cost,
    /// Of the distributions in the cache.
    pub(crate) scoring: Cost,
}

impl Said {
    /// Has `teacher` write with `write_texts` and say what it thinks of `rows`, which may be these
    /// texts; all of it is kept in `folder`.
    pub(crate) fn prepare(
        folder: &Path,
        name: &str,
        teacher: &LanguageModel,
        write_texts: impl FnOnce() -> Result<Vec<Text>>,
        rows: impl FnOnce(&[Text]) -> Vec<TokenRow>,
    ) -> Result<()> {
        let path = folder.join("said.json");
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let (texts, mut writing) = timed(0, write_texts);
        let texts = texts?;
        writing.positions = texts.iter().map(|text| text.tokens.len()).sum();
        let mut scoring = Cost::default();
        let identity = TeacherIdentity::of_model(name, teacher);
        let config = CacheConfig::new(Keep::Dense);
        let asked = ModelTeacher::new(teacher);
        let mut builder = CacheBuilder::open(folder.join("cache"), asked, identity, &config)?;
        for rows in rows(&texts).chunks(64) {
            let batch = TokenBatch::from_rows(rows, 0, &Device::default());
            let positions = rows.iter().map(TokenRow::len).sum();
            let (added, cost) = timed(positions, || builder.add(&batch));
            added?;
            scoring += cost;
        }
        builder.finish()?;
        let said = Self {
            texts,
            writing,
            scoring,
        };
        write(&path, &serde_json::to_string(&said)?)
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("said.json");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The distributions, as a teacher.
    pub(crate) fn teacher(folder: &Path) -> Result<CachedTeacher> {
        Ok(CachedTeacher::open(folder.join("cache"))?)
    }
}
