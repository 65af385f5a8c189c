//! The text in front of an answer: description, examples, question.

use serde_json::Value;

use super::keys::{FEWSHOT_SEED, Keys};
use super::python_random::PythonRandom;
use super::template::{Document, Templates};

/// What prompts are made of.
#[derive(Debug)]
pub(super) struct Prompts {
    templates: Templates,
    own: Turn,
    description: String,
    /// How the examples are written.
    example: Turn,
    example_delimiter: String,
    examples: Vec<Document>,
    number: usize,
    sampler: Sampler,
    /// Whether a question is kept out of its own examples.
    keeps_out: bool,
}

/// How one question is written.
#[derive(Debug)]
struct Turn {
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
            own: Turn {
                text: field(&keys.doc_to_text),
                target: field(&keys.doc_to_target),
                choices: keys.doc_to_choice.clone(),
                gen_prefix: keys.gen_prefix.clone(),
                delimiter: keys.target_delimiter.clone(),
            },
            description: keys.description.clone(),
            example: Turn {
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

    /// Each of `documents` as it is put to a model; the place of one that cannot be, and why.
    pub(super) fn questions(
        &self,
        documents: &[Document],
    ) -> Result<Vec<Question>, (usize, String)> {
        let mut random = PythonRandom::new(FEWSHOT_SEED);
        documents
            .iter()
            .enumerate()
            .map(|(place, document)| {
                self.question(document, &mut random)
                    .map_err(|problem| (place, problem))
            })
            .collect()
    }

    fn question(&self, document: &Document, random: &mut PythonRandom) -> Result<Question, String> {
        let mut before = self.field(&self.description, document)?;
        for example in self.drawn(document, random)? {
            before += &self.solved(example)?;
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
            format!("{before}{text}{between}{prefix}")
        };
        Ok(Question {
            contexts: texts.into_iter().map(context).collect(),
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

    fn text(&self, turn: &Turn, document: &Document) -> Result<Value, String> {
        self.templates
            .text(&turn.text, document, turn.choices.is_some())
    }

    fn target(&self, turn: &Turn, document: &Document) -> Result<Value, String> {
        self.templates
            .target(&turn.target, document, turn.choices.is_some())
    }

    fn choices(&self, turn: &Turn, document: &Document) -> Result<Vec<String>, String> {
        match &turn.choices {
            Some(choices) => self.templates.choices(choices, document),
            None => Ok(Vec::new()),
        }
    }

    /// An example with its answer and what stands behind it.
    fn solved(&self, document: &Document) -> Result<String, String> {
        let turn = &self.example;
        let choices = self.choices(turn, document)?;
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
        let text = match self.text(turn, document)? {
            Value::String(text) => text,
            Value::Number(number) => choice(&number)?,
            other => return Err(format!("`doc_to_text` gives {other}, which is no text")),
        };
        let answer = match self.target(turn, document)? {
            Value::String(answer) => answer,
            Value::Number(number) => choice(&number)?,
            Value::Array(several) => match several.first() {
                Some(Value::String(answer)) => answer.clone(),
                _ => return Err("the right answers of an example are no texts".into()),
            },
            other => return Err(format!("`doc_to_target` gives {other}, which is no answer")),
        };
        let prefix = match &turn.gen_prefix {
            Some(prefix) => self.field(prefix, document)?,
            None => String::new(),
        };
        if answer.is_empty() && prefix.is_empty() {
            return Ok(text);
        }
        let between = if prefix.is_empty() || apart(&text, &prefix) {
            turn.delimiter.as_str()
        } else {
            ""
        };
        if answer.is_empty() {
            return Ok(format!("{text}{between}{prefix}"));
        }
        let space = if apart(&prefix, &answer) { " " } else { "" };
        Ok(format!(
            "{text}{between}{prefix}{space}{answer}{}",
            self.example_delimiter
        ))
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

/// Whether something must stand between two texts: neither is empty nor has white space there.
fn apart(before: &str, after: &str) -> bool {
    let open = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
    open(before.chars().next_back()) && open(after.chars().next())
}
