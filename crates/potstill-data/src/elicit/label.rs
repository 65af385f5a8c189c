//! Labels from a closed set.

use serde_json::{Value, json};

use super::Elicitor;
use crate::{
    Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError, rouge_tokens,
};

/// Asks for one of a few labels and notes it under a key of `meta`.
///
/// The answer has to be a label and nothing else, but for case and punctuation.
#[derive(Clone, Debug)]
pub struct LabelRecords {
    elicitor: Elicitor,
    key: String,
    labels: Vec<String>,
    template: PromptTemplate,
}

impl LabelRecords {
    /// # Panics
    ///
    /// Panics if there are fewer than two labels, or two that differ only in case and punctuation.
    #[must_use]
    pub fn new<T: Into<String>>(
        elicitor: Elicitor,
        key: impl Into<String>,
        labels: impl IntoIterator<Item = T>,
    ) -> Self {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        let mut read: Vec<_> = labels.iter().map(|label| rouge_tokens(label)).collect();
        read.sort();
        read.dedup();
        assert!(
            labels.len() > 1 && read.len() == labels.len(),
            "the labels {labels:?} cannot be told apart"
        );
        Self {
            elicitor,
            key: key.into(),
            labels,
            template: PromptTemplate::new("label", include_str!("prompts/label.jinja")),
        }
    }

    /// Another prompt: `text`, `labels`.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    fn label(&self, answer: &str) -> Option<&String> {
        let answer = rouge_tokens(answer);
        self.labels
            .iter()
            .find(|label| rouge_tokens(label) == answer)
    }
}

impl Stage for LabelRecords {
    fn name(&self) -> &'static str {
        "label"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "key": self.key,
            "labels": self.labels,
            "template": self.template.sha256(),
        })
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        let values = |record: &Record| json!({"text": record.text(), "labels": self.labels});
        let asked = self
            .elicitor
            .ask_each(&self.template, records, values, context)?;
        let judge = |(mut record, asked): (Record, super::Asked)| {
            let answer = asked.reply.text.trim();
            let Some(label) = self.label(answer) else {
                return Outcome::Rejected(Rejected::new("no label", record).with_detail(answer));
            };
            record.meta.insert(self.key.clone(), json!(label));
            record.add_provenance(&asked.provenance);
            Outcome::kept(record)
        };
        Ok(asked
            .into_iter()
            .map(|asked| asked.map_or_else(|outcome| outcome, judge))
            .collect())
    }
}
