//! A scripted model answers; every rule of the comparison has its case.

use std::cell::RefCell;
use std::convert::Infallible;

use potstill_core::GenerateError;

use super::*;

const STOP: u32 = 0;

/// Continues the prompt `[n]` with `answers[n]`.
struct Scripted {
    answers: Vec<Generation>,
    batches: RefCell<Vec<usize>>,
}

impl Scripted {
    fn new(answers: &[(&str, FinishReason)]) -> Self {
        let answers = answers
            .iter()
            .map(|(text, finish)| {
                let mut tokens: Vec<u32> = text.chars().map(u32::from).collect();
                if let FinishReason::StopToken(token) = finish {
                    tokens.push(*token);
                }
                Generation {
                    log_probs: vec![0.0; tokens.len()],
                    tokens,
                    finish: *finish,
                }
            })
            .collect();
        Self {
            answers,
            batches: RefCell::default(),
        }
    }
}

impl Generate for Scripted {
    fn generate(
        &self,
        prompts: &[Vec<u32>],
        _: &GenerateOptions,
    ) -> Result<Vec<Generation>, GenerateError> {
        self.batches.borrow_mut().push(prompts.len());
        prompts
            .iter()
            .enumerate()
            .map(|(prompt, tokens)| match tokens.first() {
                Some(&n) => Ok(self.answers[n as usize].clone()),
                None => Err(GenerateError::EmptyPrompt { prompt }),
            })
            .collect()
    }
}

fn decode(tokens: &[u32]) -> Result<String, Infallible> {
    Ok(tokens
        .iter()
        .filter_map(|&token| char::from_u32(token))
        .collect())
}

fn item(n: u32, expected: Expected) -> Item {
    Item {
        id: format!("item-{n}"),
        problem: format!("problem {n}"),
        prompt: vec![n],
        expected,
    }
}

fn text(expected: &str) -> Expected {
    Expected::Text(expected.into())
}

fn options(batch: usize) -> ExactMatchOptions {
    let generate = GenerateOptions {
        stop_tokens: vec![STOP],
        ..GenerateOptions::greedy(8)
    };
    ExactMatchOptions { batch, generate }
}

#[test]
fn answers_are_compared_without_the_stop_token_and_surrounding_space() {
    let model = Scripted::new(&[
        (" 42 ", FinishReason::StopToken(STOP)),
        ("43", FinishReason::StopToken(STOP)),
        ("44", FinishReason::Length),
        ("45", FinishReason::StopToken(STOP)),
        (" 46", FinishReason::StopToken(STOP)),
    ]);
    let tokens = |text: &str| Expected::Tokens(text.chars().map(u32::from).collect());
    let items = [
        item(0, text("42")),
        item(1, text("42")),
        item(2, text("44")),
        item(3, tokens("45")),
        item(4, tokens("46")),
    ];
    let found = exact_match(&model, &items, decode, &options(2)).unwrap();
    let correct: Vec<bool> = found.results.iter().map(|result| result.correct).collect();
    assert_eq!(correct, [true, false, true, true, false]);
    assert_eq!(found.accuracy(), Proportion::new(3, 5));
    assert_eq!(*model.batches.borrow(), [2, 2, 1]);
    let cut_off: Vec<bool> = found.results.iter().map(|result| result.cut_off).collect();
    assert_eq!(cut_off, [false, false, true, false, false]);
    assert_eq!(
        found.results[1],
        ItemResult {
            id: "item-1".into(),
            problem: "problem 1".into(),
            expected: "42".into(),
            answer: "43".into(),
            correct: false,
            new_tokens: 3,
            cut_off: false,
        }
    );
}

#[test]
fn no_items_is_an_error_and_not_a_perfect_score() {
    let error = exact_match(&Scripted::new(&[]), &[], decode, &options(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no item to evaluate on; give at least one"
    );
}

#[test]
fn two_items_of_one_id_are_refused() {
    let model = Scripted::new(&[("1", FinishReason::Length)]);
    let items = [item(0, text("1")), item(0, text("1"))];
    let error = exact_match(&model, &items, decode, &options(2)).unwrap_err();
    assert!(
        matches!(&error, Error::DuplicateItem { id } if id == "item-0"),
        "{error}"
    );
}

/// Gives one continuation more or less than there are prompts.
struct Miscounting(Scripted, isize);

impl Generate for Miscounting {
    fn generate(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>, GenerateError> {
        let mut all = self.0.generate(prompts, options)?;
        let first = all[0].clone();
        all.resize(prompts.len().saturating_add_signed(self.1), first);
        Ok(all)
    }
}

#[test]
fn a_model_that_answers_too_few_or_too_many_prompts_is_not_scored() {
    let items = [item(0, text("1")), item(1, text("1")), item(2, text("1"))];
    for (by, given) in [(-1, 1), (1, 3)] {
        let answers = [("1", FinishReason::Length); 3];
        let model = Miscounting(Scripted::new(&answers), by);
        let error = exact_match(&model, &items, decode, &options(2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the model gave {given} answers to 2 prompts; it has to give one to each")
        );
    }
}

#[test]
fn a_batch_size_of_zero_is_refused() {
    let model = Scripted::new(&[("1", FinishReason::Length)]);
    let error = exact_match(&model, &[item(0, text("1"))], decode, &options(0)).unwrap_err();
    assert_eq!(error.to_string(), "batch is 0, it must be at least 1");
}

#[test]
fn a_prompt_that_cannot_be_continued_names_its_batch() {
    let model = Scripted::new(&[("1", FinishReason::Length)]);
    let empty = Item {
        prompt: Vec::new(),
        ..item(7, text("1"))
    };
    let error = exact_match(&model, &[item(0, text("1")), empty], decode, &options(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model cannot answer the items from item-7 on"
    );
}

#[test]
fn an_answer_that_cannot_be_decoded_names_its_item() {
    let model = Scripted::new(&[("1", FinishReason::Length)]);
    let broken = |_: &[u32]| Err::<String, _>("no such token");
    let error = exact_match(&model, &[item(0, text("1"))], broken, &options(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer to item item-0 cannot be decoded"
    );
}
