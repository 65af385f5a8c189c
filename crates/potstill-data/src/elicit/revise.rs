//! Answers that a model criticizes and improves (constitutional AI, arXiv:2212.08073).

use serde_json::{Value, json};

use super::Elicitor;
use crate::{Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError};

/// How a critic says that there is nothing to improve.
const SATISFIED: &str = "no problems";

/// Has a model criticize the completion of each record and write a better one.
///
/// The first answer stays under `meta.first_answer` and the critique under `meta.critique`: what is
/// learned is the revised text, and nothing is changed silently. An answer without a fault stays.
#[derive(Clone, Debug)]
pub struct CritiqueAndRevise {
    elicitor: Elicitor,
    critique: PromptTemplate,
    revise: PromptTemplate,
}

impl CritiqueAndRevise {
    /// With the default prompts.
    #[must_use]
    pub fn new(elicitor: Elicitor) -> Self {
        Self {
            elicitor,
            critique: PromptTemplate::new("critique", include_str!("prompts/critique.jinja")),
            revise: PromptTemplate::new("revise", include_str!("prompts/revise.jinja")),
        }
    }

    /// Other prompts: `question`, `answer`; and `critique` for the second.
    #[must_use]
    pub fn with_templates(mut self, critique: PromptTemplate, revise: PromptTemplate) -> Self {
        self.critique = critique;
        self.revise = revise;
        self
    }
}

impl Stage for CritiqueAndRevise {
    fn name(&self) -> &'static str {
        "critique-and-revise"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "critique": self.critique.sha256(),
            "revise": self.revise.sha256(),
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
        let (answered, others): (Vec<_>, Vec<_>) = records
            .into_iter()
            .enumerate()
            .partition(|(_, record)| matches!(record.content, Content::Completion { .. }));
        let mut outcomes: Vec<(usize, Outcome)> = others
            .into_iter()
            .map(|(index, record)| (index, Outcome::rejected("no completion", record)))
            .collect();
        let (indices, records): (Vec<usize>, Vec<Record>) = answered.into_iter().unzip();
        let criticized = self
            .elicitor
            .ask_each(&self.critique, records, parts, context)?;
        let mut open = Vec::new();
        for (index, asked) in indices.into_iter().zip(criticized) {
            match asked {
                Err(outcome) => outcomes.push((index, outcome)),
                Ok((mut record, asked)) => {
                    let critique = asked.reply.text.trim().to_owned();
                    record.add_provenance(&asked.provenance);
                    if critique.to_lowercase().starts_with(SATISFIED) {
                        outcomes.push((index, Outcome::kept(record)));
                    } else {
                        record.meta.insert("critique".into(), json!(critique));
                        open.push((index, record));
                    }
                }
            }
        }
        let (indices, records): (Vec<usize>, Vec<Record>) = open.into_iter().unzip();
        let revised = self
            .elicitor
            .ask_each(&self.revise, records, parts, context)?;
        for (index, asked) in indices.into_iter().zip(revised) {
            let outcome = asked.map_or_else(|outcome| outcome, revised_record);
            outcomes.push((index, outcome));
        }
        outcomes.sort_by_key(|(index, _)| *index);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

fn revised_record((mut record, asked): (Record, super::Asked)) -> Outcome {
    let Content::Completion { prompt, completion } = record.content.clone() else {
        return Outcome::Rejected(Rejected::new("no completion", record));
    };
    record.meta.insert("first_answer".into(), json!(completion));
    record.content = Content::completion(prompt, asked.reply.text.trim());
    record.add_provenance(&asked.provenance);
    Outcome::kept(record)
}

fn parts(record: &Record) -> Value {
    let answer = match &record.content {
        Content::Completion { completion, .. } => completion.as_str(),
        _ => "",
    };
    json!({
        "question": super::question_of(record),
        "answer": answer,
        "critique": record.meta.get("critique"),
    })
}
