//! The final examination: held-out problems that no model has trained on.

use potstill::core::{Generate, GenerateOptions};
use potstill::data::{self, TextTokenizer};
use potstill::eval::{self, ExactMatch, ExactMatchOptions, Expected, Item};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::addition::Problem;

/// The same problems for every model.
const SEED: u64 = 2718;

/// Prompts answered together.
const BATCH: usize = 256;

/// `count` different held-out problems.
///
/// # Errors
///
/// When the tokenizer is not that of the task.
pub fn items(count: usize, tokenizer: &TextTokenizer) -> Result<Vec<Item>, data::Error> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    Problem::draw_distinct(count, true, &mut rng)
        .into_iter()
        .map(|problem| item(problem, &problem.answer(), tokenizer))
        .collect()
}

/// A problem to which `answer` is the right answer.
///
/// # Errors
///
/// When the tokenizer is not that of the task.
pub fn item(
    problem: Problem,
    answer: &str,
    tokenizer: &TextTokenizer,
) -> Result<Item, data::Error> {
    Ok(Item {
        id: problem.to_string(),
        problem: problem.to_string(),
        prompt: tokenizer.encode(&format!("<bos>{problem}"), false)?,
        expected: Expected::Text(answer.to_owned()),
    })
}

/// How an answer is generated: greedily, up to four digits and the end.
#[must_use]
pub fn answering(tokenizer: &TextTokenizer) -> GenerateOptions {
    let stop_tokens = tokenizer.eos_id().into_iter().collect();
    GenerateOptions {
        stop_tokens,
        ..GenerateOptions::greedy(6)
    }
}

/// Examines `model`.
///
/// # Errors
///
/// When there are no items or the model cannot read them.
pub fn examine(
    model: &impl Generate,
    items: &[Item],
    tokenizer: &TextTokenizer,
) -> Result<ExactMatch, eval::Error> {
    let options = ExactMatchOptions {
        batch: BATCH,
        generate: answering(tokenizer),
    };
    eval::exact_match(
        model,
        items,
        |tokens| tokenizer.decode(tokens, true),
        &options,
    )
}
