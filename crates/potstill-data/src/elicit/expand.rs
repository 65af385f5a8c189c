//! More tasks like given ones (self-instruct, arXiv:2212.10560).

use serde_json::{Value, json};

use super::Elicitor;
use crate::{
    Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError, rouge_l,
    rouge_tokens,
};

/// Tasks that are shown to the model at once.
const SHOWN: usize = 8;

/// Has a model write new tasks after the manner of each record's, and keeps those that resemble none
/// of the tasks before by more than a ROUGE-L of 0.7.
///
/// A seed goes on together with the tasks that it led to. Tasks are compared with all seeds and tasks
/// of the chunk; across chunks, [`NearDuplicates`](crate::NearDuplicates) compares. Tasks carry
/// `meta.most_similar`, their largest ROUGE-L; those that resemble another one too much are listed with
/// it under `meta.too_similar` of the seed.
#[derive(Debug)]
pub struct ExpandSeeds {
    elicitor: Elicitor,
    tasks: usize,
    most_overlap: f64,
    template: PromptTemplate,
}

impl ExpandSeeds {
    /// Asks for so many new tasks with each record.
    #[must_use]
    pub fn new(elicitor: Elicitor, tasks: usize) -> Self {
        Self {
            elicitor,
            tasks,
            most_overlap: 0.7,
            template: PromptTemplate::new("expand", include_str!("prompts/expand.jinja")),
        }
    }

    /// Another limit: a task with exactly this ROUGE-L is kept.
    #[must_use]
    pub fn with_most_overlap(mut self, most_overlap: f64) -> Self {
        self.most_overlap = most_overlap;
        self
    }

    /// Another prompt: `examples`, `tasks`.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }
}

impl Stage for ExpandSeeds {
    fn name(&self) -> &'static str {
        "expand-seeds"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "tasks": self.tasks,
            "most_overlap": self.most_overlap,
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
        let seeds: Vec<String> = records.iter().map(super::question_of).collect();
        let index = std::cell::Cell::new(0);
        let values = |_: &Record| {
            let at = index.replace(index.get() + 1);
            let shown: Vec<&String> = (0..SHOWN.min(seeds.len()))
                .map(|offset| &seeds[(at + offset) % seeds.len()])
                .collect();
            json!({"examples": shown, "tasks": self.tasks})
        };
        let asked = self
            .elicitor
            .ask_each(&self.template, records, values, context)?;
        let mut pool: Vec<Vec<String>> = seeds.iter().map(|seed| rouge_tokens(seed)).collect();
        let mut made = |(seed, asked): (Record, super::Asked)| {
            let listed = listed(&asked.reply.text);
            if listed.is_empty() {
                return Outcome::Rejected(
                    Rejected::new("no list", seed).with_detail(asked.reply.text),
                );
            }
            let source = super::name_of(&seed);
            let (mut kept, mut too_similar) = (vec![seed], Vec::new());
            for task in listed {
                let tokens = rouge_tokens(&task);
                let similar = pool
                    .iter()
                    .map(|other| rouge_l(other, &tokens).f_measure)
                    .fold(0.0, f64::max);
                if similar > self.most_overlap || tokens.is_empty() {
                    too_similar.push(json!({"task": task, "most_similar": similar}));
                    continue;
                }
                pool.push(tokens);
                let mut record: Record = Content::Text(task).into();
                record.meta.insert("most_similar".into(), json!(similar));
                let mut provenance = asked.provenance.clone();
                provenance.seed_record = Some(source.clone());
                record.add_provenance(&provenance);
                kept.push(record);
            }
            if !too_similar.is_empty() {
                let list = Value::Array(too_similar);
                kept[0].meta.insert("too_similar".into(), list);
            }
            Outcome::Kept(kept)
        };
        Ok(asked
            .into_iter()
            .map(|asked| asked.map_or_else(|outcome| outcome, &mut made))
            .collect())
    }
}

/// The entries of a numbered or bulleted list.
pub(super) fn listed(text: &str) -> Vec<String> {
    let entry = |line: &str| {
        let line = line.trim();
        let rest = line.strip_prefix(['-', '*', '•']).or_else(|| {
            let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
            (rest.len() < line.len())
                .then(|| rest.strip_prefix(['.', ')']))
                .flatten()
        })?;
        Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty())
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_however_they_are_marked() {
        assert_eq!(
            listed("Sure:\n1. Add 2 and 2.\n2) Sing.\n- Dance.\n3.\nBye."),
            ["Add 2 and 2.", "Sing.", "Dance."]
        );
        assert!(listed("2024 was a year").is_empty());
    }
}
