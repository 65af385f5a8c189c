//! The card of a model: what someone has to know who finds it in a folder.

mod front_matter;
mod sections;

use std::collections::BTreeMap;
use std::path::Path;

use potstill_data::PermissionSummary;

use crate::{Error, Ingredient, IngredientKind, Manifest, Report, Results};

/// The file that holds a chat template.
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// Something that a model was made with, as its card names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardSource {
    /// What people call it.
    pub name: String,
    /// Its repository on the Hugging Face hub, such as `HuggingFaceTB/SmolLM2-135M-Instruct`.
    pub repository: Option<String>,
    /// Its license.
    pub license: Option<String>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: Option<String>,
}

impl CardSource {
    /// Something of which only the name is known.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    fn of_ingredient(ingredient: &Ingredient) -> Self {
        Self {
            sha256: Some(ingredient.sha256.clone()),
            ..Self::new(&ingredient.name)
        }
    }
}

/// A file that the card is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFile {
    /// Where it is, relative to the card.
    pub path: String,
    /// What is in it.
    pub about: String,
    /// Its size.
    pub bytes: u64,
}

/// The `README.md` of a model's folder: a header that the Hugging Face hub reads, and what a reader asks.
///
/// Fields that are empty are written as missing: a card says what nobody stated, and invents nothing.
///
/// # Examples
///
/// ```
/// use potstill_eval::{Better, CardSource, Metric, ModelCard, Results};
///
/// let card = ModelCard {
///     license: Some("Apache-2.0".into()),
///     teachers: vec![CardSource::new("the quickstart's teacher")],
///     results: Some(
///         Results::new("adder").with_metric("bytes", Metric::of_value(Better::Lower, 3.2e6)),
///     ),
///     ..ModelCard::new("adder")
/// };
/// let text = card.to_markdown();
/// assert!(text.starts_with("---\n"));
/// assert!(text.contains("license: \"apache-2.0\""));
/// assert!(text.contains("Nobody stated what it may be used for."));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Name of the model.
    pub name: String,
    /// What it is, in a sentence or two.
    pub summary: Option<String>,
    /// Its license, as an SPDX expression.
    pub license: Option<String>,
    /// Languages of its text, as two-letter codes.
    pub languages: Vec<String>,
    /// More tags for the hub, beside `distillation` and `potstill`.
    pub tags: Vec<String>,
    /// The model whose weights it began with.
    pub base: Option<CardSource>,
    /// Who taught it.
    pub teachers: Vec<CardSource>,
    /// What it learned from.
    pub data: Vec<CardSource>,
    /// Who made the records, and under which terms: what
    /// [`Policy::check`](potstill_data::Policy::check) found.
    pub permissions: Option<PermissionSummary>,
    /// How it was made: names and values.
    pub recipe: BTreeMap<String, String>,
    /// What was measured of it alone.
    pub results: Option<Results>,
    /// What was measured of it beside others.
    pub report: Option<Report>,
    /// What it may be used for.
    pub intended_use: Option<String>,
    /// What it cannot do, and what it was not tested for.
    pub limits: Option<String>,
    /// Files of the folder.
    pub files: Vec<CardFile>,
    /// A prompt to try it with, as the tokenizer takes it: with a beginning-of-text token only where the
    /// tokenizer adds none of its own.
    pub prompt: Option<String>,
    /// Whether it has a chat template.
    pub chats: bool,
}

impl ModelCard {
    /// A card of a model of which only the name is known.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            summary: None,
            license: None,
            languages: Vec::new(),
            tags: Vec::new(),
            base: None,
            teachers: Vec::new(),
            data: Vec::new(),
            permissions: None,
            recipe: BTreeMap::new(),
            results: None,
            report: None,
            intended_use: None,
            limits: None,
            files: Vec::new(),
            prompt: None,
            chats: false,
        }
    }

    /// The card of a version of a [`Registry`](crate::Registry): its license, what it was made with, and
    /// its results.
    #[must_use]
    pub fn of_version(manifest: &Manifest, results: Option<Results>) -> Self {
        let mut card = Self {
            license: Some(manifest.license.clone()),
            results,
            recipe: manifest.notes.clone(),
            ..Self::new(manifest.id().to_string())
        };
        for ingredient in &manifest.ingredients {
            let source = CardSource::of_ingredient(ingredient);
            match ingredient.kind {
                IngredientKind::Teacher => card.teachers.push(source),
                IngredientKind::Start => card.base = Some(source),
                IngredientKind::Data => card.data.push(source),
                IngredientKind::Recipe | IngredientKind::Code => {
                    let value = format!("{}, SHA-256 {}", source.name, ingredient.sha256);
                    card.recipe.insert(ingredient.kind.name().into(), value);
                }
            }
        }
        let files = manifest.files.iter().map(|file| CardFile {
            path: file.path.clone(),
            about: format!("SHA-256 {}", file.sha256),
            bytes: file.bytes,
        });
        card.files = files.collect();
        card.chats = manifest.files.iter().any(|file| file.path == CHAT_TEMPLATE);
        card
    }

    /// The same with another file.
    #[must_use]
    pub fn with_file(
        mut self,
        path: impl Into<String>,
        about: impl Into<String>,
        bytes: u64,
    ) -> Self {
        self.files.push(CardFile {
            path: path.into(),
            about: about.into(),
            bytes,
        });
        self
    }

    /// The card as Markdown with a YAML header.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        format!("{}\n{}", self.front_matter(), self.body())
    }

    /// Writes the card, normally as `README.md`: beside `path`, then over it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; what stood there before then stands there still.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        crate::file::write_text(path.as_ref(), &self.to_markdown())
    }
}

#[cfg(test)]
mod tests;
