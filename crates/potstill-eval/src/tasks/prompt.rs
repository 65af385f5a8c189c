//! The text in front of an answer: description, examples, question.

use potstill_core::Role;
use serde_json::Value;

use super::keys::{FEWSHOT_SEED, Keys};
use super::prompt_format::{PromptFormat, Turn};
use super::python_random::PythonRandom;
use super::template::{Document, Templates};

/// What prompts are made of.
#[derive(Debug)]
pub(super) struct Prompts {
    templates: Templates,
    own: Fields,
    description: String,
    /// Between the system's instruction and the description.
    description_delimiter: String,
    /// How the examples are written.
    example: Fields,
    example_delimiter: String,
    examples: Vec<Document>,
    number: usize,
    sampler: Sampler,
    /// Whether a question is kept out of its own examples.
    keeps_out: bool,
}

/// How one question is written.
#[derive(Debug)]
struct Fields {
    text: Value,
    target: Value,
    choices: Option<Value>,
    gen_prefix: Option<String>,
    delimiter: String,
}

/// Which examples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampler {
    /// Those that Python draws.
    Default,
    /// The first ones.
    FirstN,
}

/// A document as it is put to a model.
#[derive(Debug)]
pub(super) struct Question {
    /// One text, or one for each choice.
    pub(super) contexts: Vec<String>,
    /// The right answer as the task states it.
    pub(super) target: Value,
    /// None where the task has none.
    pub(super) choices: Vec<String>,
    /// The right one among several contexts.
    pub(super) right_context: Option<usize>,
}

impl Prompts {
    /// `examples` are what few-shot examples are drawn from.
    pub(super) fn new(
        keys: &Keys,
        sampler: Sampler,
        examples: Vec<Document>,
        keeps_out: bool,
    ) -> Self {
        let fewshot = keys.fewshot_config.clone();
        let field = |field: &Option<Value>| field.clone().unwrap_or(Value::Null);
        Self {
            templates: Templates::new(),
            own: Fields {
                text: field(&keys.doc_to_text),
                target: field(&keys.doc_to_target),
                choices: keys.doc_to_choice.clone(),
                gen_prefix: keys.gen_prefix.clone(),
                delimiter: keys.target_delimiter.clone(),
            },
            description: keys.description.clone(),
            description_delimiter: keys.fewshot_delimiter.clone(),
            example: Fields {
                text: fewshot.doc_to_text.unwrap_or(field(&keys.doc_to_text)),
                target: fewshot.doc_to_target.unwrap_or(field(&keys.doc_to_target)),
                choices: fewshot.doc_to_choice.or(keys.doc_to_choice.clone()),
                gen_prefix: fewshot.gen_prefix.or(keys.gen_prefix.clone()),
                delimiter: fewshot
                    .target_delimiter
                    .unwrap_or(keys.target_delimiter.clone()),
            },
            example_delimiter: fewshot
                .fewshot_delimiter
                .unwrap_or(keys.fewshot_delimiter.clone()),
            examples,
            number: keys.num_fewshot.unwrap_or(0),
            sampler,
            keeps_out,
        }
    }

    /// Whether the answer stands behind a text that has already begun it and does not end in white space.
    pub(super) fn begin_the_answer(&self) -> bool {
        let last = self.own.gen_prefix.as_deref().unwrap_or_default().chars();
        open(last.last())
    }

    /// Each of `documents` as it is put to a model; the place of one that cannot be, and why.
    pub(super) fn questions(
        &self,
        documents: &[Document],
        format: &PromptFormat,
    ) -> Result<Vec<Question>, (usize, String)> {
        let mut random = PythonRandom::new(FEWSHOT_SEED);
        documents
            .iter()
            .enumerate()
            .map(|(place, document)| {
                self.question(document, format, &mut random)
                    .map_err(|problem| (place, problem))
            })
            .collect()
    }

    fn question(
        &self,
        document: &Document,
        format: &PromptFormat,
        random: &mut PythonRandom,
    ) -> Result<Question, String> {
        let instruction = format.system_instruction.as_deref().unwrap_or_default();
        let description = self.field(&self.description, document)?;
        let system = delimited(instruction, &self.description_delimiter, &description);
        let mut before = Vec::new();
        if !system.is_empty() {
            before.push(Turn::new(Role::System, system, ""));
        }
        for example in self.drawn(document, random)? {
            before.extend(self.solved(example)?);
        }
        let prefix = match &self.own.gen_prefix {
            Some(prefix) => self.field(prefix, document)?,
            None => String::new(),
        };
        let target = self.target(&self.own, document)?;
        let choices = self.choices(&self.own, document)?;
        let (texts, right_context) = match self.text(&self.own, document)? {
            Value::Number(right) if !choices.is_empty() => {
                let right = right.as_u64().and_then(|right| usize::try_from(right).ok());
                (choices.clone(), right)
            }
            Value::String(text) => (vec![text], None),
            other => return Err(format!("`doc_to_text` gives {other}, which is no text")),
        };
        let delimiter = match right_context {
            Some(_) => "",
            None => &self.own.delimiter,
        };
        let context = |text: String| {
            let between = if apart(&text, &prefix) { delimiter } else { "" };
            let mut turns = before.clone();
            turns.push(Turn::new(Role::User, text, between));
            if !prefix.is_empty() {
                turns.push(Turn::new(Role::Assistant, prefix.clone(), ""));
            }
            format.text(turns)
        };
        Ok(Question {
            contexts: texts
                .into_iter()
                .map(context)
                .collect::<Result<_, String>>()?,
            target,
            choices,
            right_context,
        })
    }

    fn field(&self, field: &str, document: &Document) -> Result<String, String> {
        if field.is_empty() {
            return Ok(String::new());
        }
        match self.templates.value(field, document)? {
            Value::String(text) => Ok(text),
            other => Err(format!("`{field}` gives {other}, which is no text")),
        }
    }

    fn text(&self, fields: &Fields, document: &Document) -> Result<Value, String> {
        self.templates
            .text(&fields.text, document, fields.choices.is_some())
    }

    fn target(&self, fields: &Fields, document: &Document) -> Result<Value, String> {
        self.templates
            .target(&fields.target, document, fields.choices.is_some())
    }

    fn choices(&self, fields: &Fields, document: &Document) -> Result<Vec<String>, String> {
        match &fields.choices {
            Some(choices) => self.templates.choices(choices, document),
            None => Ok(Vec::new()),
        }
    }

    /// An example with its answer.
    fn solved(&self, document: &Document) -> Result<Vec<Turn>, String> {
        let fields = &self.example;
        let choices = self.choices(fields, document)?;
        let choice = |number: &serde_json::Number| {
            let place = number
                .as_u64()
                .and_then(|place| usize::try_from(place).ok());
            let choice = place.and_then(|place| choices.get(place));
            choice.cloned().ok_or_else(|| {
                format!(
                    "an example has choice {number}, but there are {}",
                    choices.len()
                )
            })
        };
        let text = match self.text(fields, document)? {
            Value::String(text) => text,
            Value::Number(number) => choice(&number)?,
            other => return Err(format!("`doc_to_text` gives {other}, which is no text")),
        };
        let answer = match self.target(fields, document)? {
            Value::String(answer) => answer,
            Value::Number(number) => choice(&number)?,
            Value::Array(several) => match several.first() {
                Some(Value::String(answer)) => answer.clone(),
                _ => return Err("the right answers of an example are no texts".into()),
            },
            other => return Err(format!("`doc_to_target` gives {other}, which is no answer")),
        };
        let prefix = match &fields.gen_prefix {
            Some(prefix) => self.field(prefix, document)?,
            None => String::new(),
        };
        let between = match (prefix.is_empty(), answer.is_empty()) {
            (true, true) => "",
            (true, false) => &fields.delimiter,
            (false, _) if apart(&text, &prefix) => &fields.delimiter,
            (false, _) => "",
        };
        let behind = match answer.is_empty() {
            true => "",
            false => &self.example_delimiter,
        };
        let mut turns = vec![Turn::new(Role::User, text, between)];
        let answer = delimited(&prefix, " ", &answer);
        if !answer.is_empty() {
            turns.push(Turn::new(Role::Assistant, answer, behind));
        }
        Ok(turns)
    }

    fn drawn(
        &self,
        document: &Document,
        random: &mut PythonRandom,
    ) -> Result<Vec<&Document>, String> {
        let wanted = self.number;
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let is_other = |example: &&Document| !self.keeps_out || *example != document;
        let others: Vec<&Document> = self.examples.iter().filter(is_other).collect();
        let drawn = match self.sampler {
            Sampler::FirstN => others.get(..wanted).map(<[_]>::to_vec),
            Sampler::Default => {
                let all = self.examples.len();
                let number = wanted + usize::from(self.keeps_out);
                (number <= all && others.len() >= wanted).then(|| {
                    let drawn: Vec<&Document> = random
                        .sample(all, number)
                        .into_iter()
                        .map(|place| &self.examples[place])
                        .filter(is_other)
                        .take(wanted)
                        .collect();
                    if drawn.len() == wanted {
                        return drawn;
                    }
                    let again = random.sample(others.len(), wanted).into_iter();
                    again.map(|place| others[place]).collect()
                })
            }
        };
        drawn.ok_or_else(|| {
            format!(
                "{wanted} examples were asked for, but there are {}",
                others.len()
            )
        })
    }
}

/// Two texts with a delimiter between them where one is needed.
fn delimited(before: &str, delimiter: &str, after: &str) -> String {
    let between = if apart(before, after) { delimiter } else { "" };
    format!("{before}{between}{after}")
}

/// Whether something must stand between two texts: neither is empty nor has white space there.
fn apart(before: &str, after: &str) -> bool {
    open(before.chars().next_back()) && open(after.chars().next())
}

fn open(end: Option<char>) -> bool {
    end.is_some_and(|c| !c.is_whitespace())
}
