//! What the teacher answers over HTTP, as training rows.

use anyhow::{Result, ensure};
use potstill::core::TokenRow;
use potstill::data::TextTokenizer;
use potstill::teachers::{CompletionRequest, Endpoint, Prompt};
use quickstart::addition::Problem;
use quickstart::training_row;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Up to four digits, and the end.
const ANSWER_TOKENS: usize = 6;

/// `n` questions with the teacher's answers, right or wrong. The questions come as token ids, so that
/// nobody has to agree on what special tokens look like.
pub(crate) fn rows(
    endpoint: &Endpoint,
    tokenizer: &TextTokenizer,
    n: usize,
    seed: u64,
) -> Result<Vec<TokenRow>> {
    let problems = Problem::draw_distinct(n, false, &mut ChaCha8Rng::seed_from_u64(seed));
    let mut requests = Vec::with_capacity(n);
    for problem in &problems {
        let tokens = tokenizer.encode(&format!("<bos>{problem}"), false)?;
        requests.push(CompletionRequest::new(
            Prompt::Tokens(tokens),
            ANSWER_TOKENS,
        ));
    }
    let mut rows = Vec::with_capacity(n);
    for (problem, reply) in problems.into_iter().zip(endpoint.complete(&requests)) {
        let answer = reply?.text;
        let is_number = !answer.is_empty() && answer.bytes().all(|byte| byte.is_ascii_digit());
        ensure!(
            is_number,
            "the teacher answers {problem}{answer}; is it an addition model?"
        );
        rows.push(training_row(tokenizer, problem, &answer, 0.0)?);
    }
    Ok(rows)
}
