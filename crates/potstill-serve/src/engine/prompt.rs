//! How likely a prompt is, token by token.

use potstill_core::{CausalLm, LmHead, Taps, TokenBatch, TokenRow};
use potstill_models::LanguageModel;
use rayon::prelude::*;

use super::job::{Failure, ScoredToken};
use super::log_probs::LogProbs;

/// Most logits that exist at once.
const MOST_LOGITS: usize = 1 << 23;

/// Scores prompts, each with as many likely tokens a position as asked for, in one pass.
///
/// `tokens[i]` is predicted by the tokens before it, so that the first has no log-probability.
pub(super) fn score(
    model: &LanguageModel,
    head: &LmHead,
    prompts: &[(&[u32], usize)],
) -> Vec<Result<Vec<ScoredToken>, Failure>> {
    let mut scored: Vec<Result<Vec<ScoredToken>, Failure>> = prompts
        .iter()
        .map(|(prompt, _)| {
            let first = prompt.iter().take(1).map(|&id| ScoredToken {
                id,
                log_prob: None,
                top: Vec::new(),
            });
            Ok(first.collect())
        })
        .collect();
    // One entry for each position that predicts: which prompt, which token of it.
    let places: Vec<(usize, usize)> = (0..)
        .zip(prompts)
        .flat_map(|(index, (prompt, _))| (1..prompt.len()).map(move |token| (index, token)))
        .collect();
    if places.is_empty() {
        return scored;
    }
    let rows: Vec<TokenRow> = prompts
        .iter()
        .filter(|(prompt, _)| prompt.len() > 1)
        .map(|(prompt, _)| TokenRow::document(prompt, &vec![1.0; prompt.len()]))
        .collect();
    let batch = TokenBatch::from_rows(&rows, 0, &head.weight.device());
    let hidden = batch
        .rows
        .select(model.encode(&batch, &Taps::default()).hidden);
    let vocab_size = head.vocab_size();
    let chunk = (MOST_LOGITS / vocab_size).max(1);
    for (start, places) in (0..).step_by(chunk).zip(places.chunks(chunk)) {
        let logits = head.logits(hidden.clone().narrow(0, start, places.len()));
        let logits = logits.into_data().convert::<f32>();
        let logits = logits.as_slice::<f32>().expect("they were converted");
        let tokens: Vec<(usize, Result<ScoredToken, Failure>)> = places
            .par_iter()
            .zip(logits.par_chunks_exact(vocab_size))
            .map(|(&(index, place), logits)| {
                let (prompt, top) = prompts[index];
                (index, scored_token(prompt[place], top, logits, place))
            })
            .collect();
        for (index, token) in tokens {
            match (&mut scored[index], token) {
                (Ok(tokens), Ok(token)) => tokens.push(token),
                (slot @ Ok(_), Err(failure)) => *slot = Err(failure),
                (Err(_), _) => {}
            }
        }
    }
    scored
}

fn scored_token(id: u32, top: usize, logits: &[f32], place: usize) -> Result<ScoredToken, Failure> {
    let log_probs = LogProbs::new(logits);
    if !log_probs.is_defined() {
        return Err(Failure::NoFinitePrompt { place });
    }
    Ok(ScoredToken {
        id,
        log_prob: Some(log_probs.of(id)),
        top: log_probs.top(top),
    })
}
