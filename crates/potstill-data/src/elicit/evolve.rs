//! Tasks made harder or other, without those that came to nothing (Evol-Instruct,
//! arXiv:2304.12244).
//!
//! The elimination step, which the paper has and its released code has not: an evolved task is
//! rejected if it is the old one over again, speaks of the prompt that made it, is no longer than a
//! few words, or if the model cannot answer it.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Elicitor;
use crate::{
    Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError, rouge_l,
    rouge_tokens,
};

/// A way of changing a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evolution {
    /// In depth: one more condition.
    Constrain,
    /// In depth: ask for more about the same thing.
    Deepen,
    /// In depth: particular things in place of general ones.
    Concretize,
    /// In depth: more steps of thought.
    Reason,
    /// In breadth: another task of the same field.
    Broaden,
}

impl Evolution {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Constrain,
        Self::Deepen,
        Self::Concretize,
        Self::Reason,
        Self::Broaden,
    ];

    fn instruction(self) -> &'static str {
        match self {
            Self::Constrain => "Add one more condition or requirement to the task.",
            Self::Deepen => "Make the task ask for more depth about the same subject.",
            Self::Concretize => "Replace what is general in the task by something particular.",
            Self::Reason => "Change the task so that solving it takes several steps of thought.",
            Self::Broaden => {
                "Write another task of the same field that is rarer, of about the same length and difficulty."
            }
        }
    }
}

/// Phrases of the prompt that have no place in a task.
const LEAKS: [&str; 6] = [
    "given task",
    "given prompt",
    "rewritten task",
    "rewritten prompt",
    "new task",
    "original task",
];

/// How a model says that it cannot.
const REFUSALS: [&str; 6] = [
    "i'm sorry",
    "i am sorry",
    "as an ai",
    "i cannot",
    "i can't",
    "i am unable",
];

/// Evolves the task of each record, and keeps the new one with its answer.
#[derive(Clone, Debug)]
pub struct EvolvePrompts {
    elicitor: Elicitor,
    evolutions: Vec<Evolution>,
    template: PromptTemplate,
    most_overlap: f64,
}

impl EvolvePrompts {
    /// Evolves in one of these ways, which depends on the record and the seed.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    #[must_use]
    pub fn new(elicitor: Elicitor, evolutions: impl Into<Vec<Evolution>>) -> Self {
        let evolutions = evolutions.into();
        assert!(!evolutions.is_empty(), "there has to be a way to evolve");
        Self {
            elicitor,
            evolutions,
            template: PromptTemplate::new("evolve", include_str!("prompts/evolve.jinja")),
            most_overlap: 0.9,
        }
    }

    /// Another prompt: `task`, `change`.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    fn evolution(&self, record: &Record, seed: u64) -> Evolution {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update(record.content_hash());
        let digest: [u8; 32] = hasher.finalize().into();
        self.evolutions[usize::from(digest[0]) % self.evolutions.len()]
    }

    /// Why an evolved task is worth nothing.
    fn elimination(&self, task: &str, evolved: &str) -> Option<&'static str> {
        let (old, new) = (rouge_tokens(task), rouge_tokens(evolved));
        if new.len() < 3 {
            return Some("no task");
        }
        if rouge_l(&old, &new).f_measure > self.most_overlap {
            return Some("not evolved");
        }
        says(evolved, &LEAKS).then_some("leaked prompt")
    }
}

impl Stage for EvolvePrompts {
    fn name(&self) -> &'static str {
        "evolve"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "evolutions": self.evolutions,
            "template": self.template.sha256(),
            "most_overlap": self.most_overlap,
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
        let values = |record: &Record| {
            let change = self.evolution(record, context.seed()).instruction();
            json!({"task": super::question_of(record), "change": change})
        };
        let evolved = self
            .elicitor
            .ask_each(&self.template, records, values, context)?;
        let evolved: Vec<Result<Record, Outcome>> = evolved
            .into_iter()
            .map(|asked| {
                let (record, asked) = asked?;
                let (task, new) = (
                    super::question_of(&record),
                    asked.reply.text.trim().to_owned(),
                );
                if let Some(reason) = self.elimination(&task, &new) {
                    return Err(Outcome::Rejected(
                        Rejected::new(reason, record).with_detail(new),
                    ));
                }
                let mut next: Record = Content::Text(new).into();
                next.weight = record.weight;
                next.meta.insert("evolved_from".into(), json!(task));
                let evolution = self.evolution(&record, context.seed());
                next.meta.insert("evolution".into(), json!(evolution));
                let mut provenance = asked.provenance;
                provenance.seed_record = Some(super::name_of(&record));
                next.add_provenance(&provenance);
                Ok(next)
            })
            .collect();
        self.answered(evolved, context)
    }
}

impl EvolvePrompts {
    /// Keeps the evolved tasks that the model can answer.
    fn answered(
        &self,
        evolved: Vec<Result<Record, Outcome>>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        let template = PromptTemplate::new("answer", "{{ question }}");
        let tasks: Vec<Record> = evolved
            .iter()
            .filter_map(|task| task.as_ref().ok().cloned())
            .collect();
        let mut asked = self
            .elicitor
            .ask_each(&template, tasks, super::question_value, context)?
            .into_iter();
        let settle = |task: Result<Record, Outcome>| match task.map(|_| asked.next()) {
            Err(outcome) | Ok(Some(Err(outcome))) => outcome,
            Ok(Some(Ok((mut record, asked)))) => {
                let answer = asked.reply.text.trim().to_owned();
                if says(&answer, &REFUSALS) {
                    return Outcome::Rejected(
                        Rejected::new("cannot be answered", record).with_detail(answer),
                    );
                }
                record.content = Content::completion(super::question_of(&record), answer);
                record.add_provenance(&asked.provenance);
                Outcome::kept(record)
            }
            Ok(None) => unreachable!("every task is asked"),
        };
        Ok(evolved.into_iter().map(settle).collect())
    }
}

fn says(text: &str, phrases: &[&str]) -> bool {
    let lower = text.to_lowercase().replace('’', "'");
    phrases.iter().any(|phrase| lower.contains(phrase))
}
