//! A model does a task.

use serde_json::Value;

use super::keys::OutputType;
use super::metric::{Choice, DocumentScore, Kind};
use super::prompt::Question;
use super::task_run::{TaskMetric, TaskRun, TaskSample};
use super::{Task, TaskError, metric, python};
use crate::{GenerateUntil, LogLikelihood, TextModel};

/// What a model said to the requests of a document.
enum Response {
    Continuations(Vec<LogLikelihood>),
    Text(f64),
    /// Answers to one prompt.
    Answers(Vec<String>),
}

/// A document with its requests.
struct Item {
    question: Question,
    /// The right choices.
    gold: Vec<usize>,
    /// Context and continuation of each request; the continuation is empty where there is none.
    requests: Vec<(String, String)>,
}

impl Task {
    /// Puts every document to `model` and judges what it says.
    ///
    /// # Errors
    ///
    /// When a document does not fit the templates, or the model fails. A model is never judged on some
    /// of the documents alone.
    pub fn run(&self, model: &dyn TextModel) -> Result<TaskRun, TaskError> {
        let broken = |(document, problem)| TaskError::Document {
            task: self.name.clone(),
            document,
            problem,
        };
        let questions = self
            .prompts
            .questions(&self.documents, &self.format)
            .map_err(broken)?;
        let items = questions.into_iter().enumerate().map(|(place, question)| {
            self.item(question)
                .map_err(|problem| broken((place, problem)))
        });
        let items: Vec<Item> = items.collect::<Result<_, _>>()?;
        let responses = self
            .responses(model, &items)
            .map_err(|source| TaskError::Model {
                model: model.name().to_owned(),
                task: self.name.clone(),
                source: Box::new(source),
            })?;
        let mut samples = Vec::new();
        let mut metrics = Vec::new();
        for pipeline in &self.pipelines {
            let mut columns: Vec<Vec<DocumentScore>> = vec![Vec::new(); self.metrics.len()];
            for (place, (item, response)) in items.iter().zip(&responses).enumerate() {
                let answer = match response {
                    Response::Answers(answers) => Some(pipeline.apply(answers)),
                    _ => None,
                };
                let scores = self
                    .scores(item, response, answer.as_deref())
                    .map_err(|problem| broken((place, problem)))?;
                samples.push(self.sample(place, item, response, answer, &pipeline.name, &scores));
                for (column, score) in columns.iter_mut().zip(scores) {
                    column.push(score);
                }
            }
            for (metric, column) in self.metrics.iter().zip(columns) {
                metrics.push(TaskMetric::new(self, metric, &pipeline.name, &column)?);
            }
        }
        let confidences = items.iter().zip(&responses).filter_map(|(item, response)| {
            match (response, self.output_type) {
                (Response::Continuations(found), OutputType::MultipleChoice) => {
                    Some(self.choice(item, found).confidence())
                }
                _ => None,
            }
        });
        Ok(TaskRun::new(
            self,
            model,
            metrics,
            samples,
            confidences.collect(),
        ))
    }

    fn item(&self, question: Question) -> Result<Item, String> {
        let target = || match &question.target {
            Value::String(text) => Ok(text.clone()),
            other => Err(format!("`doc_to_target` gives {other}, which is no text")),
        };
        let context = || question.contexts[0].clone();
        // In a chat an answer begins its turn.
        let delimiter = match self.format.is_chat() && !self.prompts.begin_the_answer() {
            true => "",
            false => &self.target_delimiter,
        };
        let requests = match self.output_type {
            OutputType::Loglikelihood => vec![(context(), target()?)],
            OutputType::LoglikelihoodRolling => vec![(target()?, String::new())],
            OutputType::GenerateUntil => vec![(context(), String::new())],
            OutputType::MultipleChoice => {
                let mut requests: Vec<(String, String)> = match question.right_context {
                    Some(_) => {
                        let continuation = format!("{delimiter}{}", target()?);
                        let contexts = question.contexts.iter();
                        contexts
                            .map(|context| (context.clone(), continuation.clone()))
                            .collect()
                    }
                    None => question
                        .choices
                        .iter()
                        .map(|choice| (context(), format!("{delimiter}{choice}")))
                        .collect(),
                };
                if self.asks_unconditional() {
                    let alone = question.choices.iter();
                    requests.extend(
                        alone.map(|choice| (String::new(), format!("{delimiter}{choice}"))),
                    );
                }
                if question.choices.is_empty() {
                    return Err("`doc_to_choice` gives no choice".into());
                }
                requests
            }
        };
        let gold = match self.output_type {
            OutputType::MultipleChoice => gold(&question)?,
            _ => Vec::new(),
        };
        Ok(Item {
            question,
            gold,
            requests,
        })
    }

    fn asks_unconditional(&self) -> bool {
        let mut metrics = self.metrics.iter();
        metrics.any(|metric| matches!(metric.kind, Kind::AccMutualInfo))
    }

    fn responses(
        &self,
        model: &dyn TextModel,
        items: &[Item],
    ) -> Result<Vec<Response>, crate::Error> {
        let first = || -> Vec<&str> {
            let items = items.iter();
            items.map(|item| item.requests[0].0.as_str()).collect()
        };
        match self.output_type {
            OutputType::LoglikelihoodRolling => {
                let found = model.log_likelihood_rolling(&first())?;
                Ok(found.into_iter().map(Response::Text).collect())
            }
            OutputType::GenerateUntil => {
                let prompts = first();
                let mut answers: Vec<Vec<String>> = vec![Vec::new(); items.len()];
                for repeat in 0..self.repeats {
                    let options = GenerateUntil {
                        seed: repeat as u64,
                        ..self.generation.clone()
                    };
                    let written = model.generate_until(&prompts, &options)?;
                    for (answers, answer) in answers.iter_mut().zip(written) {
                        answers.push(answer);
                    }
                }
                Ok(answers.into_iter().map(Response::Answers).collect())
            }
            OutputType::Loglikelihood | OutputType::MultipleChoice => {
                let pairs: Vec<(&str, &str)> = items
                    .iter()
                    .flat_map(|item| &item.requests)
                    .map(|(context, continuation)| (context.as_str(), continuation.as_str()))
                    .collect();
                let mut found = model.log_likelihood(&pairs)?.into_iter();
                let of_item = |item: &Item| {
                    let found = found.by_ref().take(item.requests.len());
                    Response::Continuations(found.collect())
                };
                Ok(items.iter().map(of_item).collect())
            }
        }
    }

    fn scores(
        &self,
        item: &Item,
        response: &Response,
        answer: Option<&str>,
    ) -> Result<Vec<DocumentScore>, String> {
        let metrics = self.metrics.iter();
        match response {
            Response::Text(log_prob) => {
                let text = &item.requests[0].0;
                Ok(metrics
                    .map(|metric| metric.of_text(text, *log_prob))
                    .collect())
            }
            Response::Answers(_) => {
                let references = references(&item.question)?;
                let references: Vec<&str> = references.iter().map(String::as_str).collect();
                let answer = answer.unwrap_or_default();
                Ok(metrics
                    .map(|metric| metric.of_answer(answer, &references))
                    .collect())
            }
            Response::Continuations(found) if self.output_type == OutputType::MultipleChoice => {
                let choice = self.choice(item, found);
                Ok(metrics.map(|metric| metric.of_choice(&choice)).collect())
            }
            Response::Continuations(found) => Ok(metrics
                .map(|metric| metric.of_continuation(found[0]))
                .collect()),
        }
    }

    fn choice<'a>(&self, item: &'a Item, found: &'a [LogLikelihood]) -> Choice<'a> {
        let alone = match self.asks_unconditional() {
            true => item.question.choices.len(),
            false => 0,
        };
        let (conditional, unconditional) = found.split_at(found.len() - alone);
        Choice {
            texts: &item.question.choices,
            gold: &item.gold,
            conditional,
            unconditional,
        }
    }

    fn sample(
        &self,
        place: usize,
        item: &Item,
        response: &Response,
        answer: Option<String>,
        filter: &str,
        scores: &[DocumentScore],
    ) -> TaskSample {
        let scored = |found: &LogLikelihood| {
            vec![
                python::text(&found.log_prob.into()),
                python::text(&found.is_greedy.into()),
            ]
        };
        let (responses, filtered) = match response {
            Response::Answers(answers) => (
                vec![Value::from(answers.clone())],
                vec![Value::from(answer.clone().unwrap_or_default())],
            ),
            Response::Text(log_prob) => {
                let text = Value::from(python::text(&(*log_prob).into()));
                (vec![Value::from(vec![text.clone()])], vec![text])
            }
            Response::Continuations(found) => (
                found
                    .iter()
                    .map(|found| Value::from(vec![scored(found)]))
                    .collect(),
                found
                    .iter()
                    .map(|found| Value::from(scored(found)))
                    .collect(),
            ),
        };
        TaskSample {
            document: self.documents[place].clone(),
            place,
            target: item.question.target.clone(),
            references: references(&item.question).unwrap_or_default(),
            requests: item.requests.clone(),
            responses,
            answer,
            filtered,
            filter: filter.into(),
            scores: self
                .metrics
                .iter()
                .zip(scores)
                .map(|(metric, score)| (metric.name.clone(), metric::json_of(score)))
                .collect(),
        }
    }
}

/// The places of the right choices; one that is not among them is left out.
fn gold(question: &Question) -> Result<Vec<usize>, String> {
    if let Some(right) = question.right_context {
        return Ok(vec![right]);
    }
    let place = |value: &Value| match value {
        Value::Number(number) => {
            let place = number
                .as_u64()
                .and_then(|place| usize::try_from(place).ok());
            Ok(place.filter(|&place| place < question.choices.len()))
        }
        Value::String(text) => Ok(question.choices.iter().position(|choice| choice == text)),
        other => Err(format!("`doc_to_target` gives {other}, which is no choice")),
    };
    let places = match &question.target {
        Value::Array(several) => several.iter().map(place).collect::<Result<Vec<_>, _>>()?,
        one => vec![place(one)?],
    };
    let known: Vec<usize> = places.into_iter().flatten().collect();
    if known.is_empty() {
        return Err(format!(
            "the right answer {} is not among the {} choices",
            question.target,
            question.choices.len()
        ));
    }
    Ok(known)
}

/// The texts to which an answer is compared.
fn references(question: &Question) -> Result<Vec<String>, String> {
    match &question.target {
        Value::Number(place) if !question.choices.is_empty() => {
            let place = place.as_u64().and_then(|place| usize::try_from(place).ok());
            let choice = place.and_then(|place| question.choices.get(place));
            let choice = choice.ok_or_else(|| {
                format!(
                    "the right answer {} is not among the choices",
                    question.target
                )
            })?;
            Ok(vec![choice.clone()])
        }
        Value::Array(several) if several.is_empty() => Err("there is no right answer".into()),
        Value::Array(several) => Ok(several.iter().map(python::text).collect()),
        one => Ok(vec![python::text(one)]),
    }
}
