//! The teacher writes its own practice questions and answers them.

use std::collections::HashSet;
use std::fmt;

use anyhow::{Result, ensure};
use potstill::core::{FinishReason, Generate, GenerateOptions, Sampling, TokenRow};
use potstill::data::TextTokenizer;
use potstill::eval::Item;
use potstill::models::LanguageModel;
use quickstart::addition::Problem;
use quickstart::{examination, training_row};

/// Questions written at once.
const ROUND: usize = 2048;

/// Rounds without a single new question after which the teacher has nothing more to ask.
const PATIENCE: usize = 3;

/// What became of the questions that a teacher wrote.
#[derive(Debug, Default)]
pub(crate) struct Practice {
    /// Questions with the teacher's answers.
    answered: Vec<(Problem, String)>,
    written: usize,
    malformed: usize,
    repeated: usize,
    held_out: usize,
    unfinished: usize,
}

impl Practice {
    /// Lets `teacher` write until it has `count` different questions, and answer them.
    ///
    /// No label is involved: whether an answer is right, nobody checks.
    pub(crate) fn write(
        teacher: &LanguageModel,
        tokenizer: &TextTokenizer,
        count: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut practice = Self::default();
        let problems = practice.questions(teacher, tokenizer, count, seed)?;
        practice.answer(teacher, tokenizer, &problems)?;
        Ok(practice)
    }

    fn questions(
        &mut self,
        teacher: &LanguageModel,
        tokenizer: &TextTokenizer,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Problem>> {
        let prompts = vec![tokenizer.encode("<bos>", false)?; ROUND];
        let mut seen = HashSet::with_capacity(count);
        let mut problems = Vec::with_capacity(count);
        let mut fruitless = 0;
        for round in 0.. {
            let options = GenerateOptions {
                sampling: Sampling::temperature(1.0),
                stop_tokens: tokenizer.encode("=<eos>", false)?,
                seed: seed + round,
                ..GenerateOptions::greedy(8)
            };
            let before = problems.len();
            for question in teacher.generate(&prompts, &options)? {
                self.written += 1;
                match Problem::parse(&tokenizer.decode(&question.tokens, true)?) {
                    None => self.malformed += 1,
                    Some(problem) if problem.is_held_out() => self.held_out += 1,
                    Some(problem) if !seen.insert(problem) => self.repeated += 1,
                    Some(problem) => problems.push(problem),
                }
                if problems.len() == count {
                    return Ok(problems);
                }
            }
            fruitless = if problems.len() == before {
                fruitless + 1
            } else {
                0
            };
            ensure!(
                fruitless < PATIENCE,
                "the teacher only writes questions it has written before"
            );
        }
        Ok(problems)
    }

    fn answer(
        &mut self,
        teacher: &LanguageModel,
        tokenizer: &TextTokenizer,
        problems: &[Problem],
    ) -> Result<()> {
        let options = examination::answering(tokenizer);
        for problems in problems.chunks(ROUND) {
            let prompts = problems
                .iter()
                .map(|problem| tokenizer.encode(&format!("<bos>{problem}"), false))
                .collect::<Result<Vec<_>, _>>()?;
            for (&problem, answer) in problems.iter().zip(teacher.generate(&prompts, &options)?) {
                if matches!(answer.finish, FinishReason::StopToken(_)) {
                    self.answered
                        .push((problem, tokenizer.decode(&answer.tokens, true)?));
                } else {
                    self.unfinished += 1;
                }
            }
        }
        Ok(())
    }

    /// A training row for each question.
    pub(crate) fn rows(&self, tokenizer: &TextTokenizer) -> Result<Vec<TokenRow>> {
        rows(&self.answered, tokenizer)
    }

    /// A training row for each question to which `student` gives another answer than the teacher.
    pub(crate) fn missed_by(
        &self,
        student: &LanguageModel,
        tokenizer: &TextTokenizer,
    ) -> Result<Vec<TokenRow>> {
        let items: Vec<Item> = self
            .answered
            .iter()
            .map(|(problem, answer)| examination::item(*problem, answer, tokenizer))
            .collect::<Result<_, _>>()?;
        let results = examination::examine(student, &items, tokenizer)?.results;
        let missed: Vec<_> = self
            .answered
            .iter()
            .zip(results)
            .filter(|(_, result)| !result.correct)
            .map(|(answered, _)| answered.clone())
            .collect();
        rows(&missed, tokenizer)
    }
}

fn rows(answered: &[(Problem, String)], tokenizer: &TextTokenizer) -> Result<Vec<TokenRow>> {
    answered
        .iter()
        .map(|(problem, answer)| Ok(training_row(tokenizer, *problem, answer, 0.0)?))
        .collect()
}

impl fmt::Display for Practice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} questions written: {} kept, {} repeated, {} held out for the examination, {} not of the \
             form a+b=, {} never answered to the end",
            self.written,
            self.answered.len(),
            self.repeated,
            self.held_out,
            self.malformed,
            self.unfinished,
        )
    }
}
