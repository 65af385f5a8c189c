//! One answer, token by token.

use std::sync::mpsc;
use std::time::Instant;

use potstill_core::{Generate, GenerateOptions, StopRule};

use crate::Error;

/// Seconds that `model` takes to continue one prompt, and when each of the new tokens was there; the
/// latter is `None` for a model that does not ask the stop rule after each.
///
/// A token that ends the answer is not shown to the rule: it is there when the answer is.
pub(super) fn timed<M: Generate>(
    model: &M,
    prompt: &[u32],
    options: &GenerateOptions,
) -> Result<(f64, Option<Vec<f64>>), Error> {
    let (arrived, arrivals) = mpsc::channel();
    let inner = options.stop_rule.clone();
    let prompt = [prompt.to_vec()];
    let start = Instant::now();
    let rule = StopRule::new(move |tokens| {
        // Nobody listens any more once the answer is there.
        let _ = arrived.send(start.elapsed().as_secs_f64());
        inner.as_ref().is_some_and(|rule| rule.stops(tokens))
    });
    let options = GenerateOptions {
        stop_rule: Some(rule),
        ..options.clone()
    };
    let generations = model.generate(&prompt, &options).map_err(Error::Timing)?;
    let seconds = start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    let new_tokens: usize = generations.iter().map(|g| g.tokens.len()).sum();
    let mut arrivals: Vec<f64> = arrivals.try_iter().collect();
    if arrivals.len() + 1 == new_tokens {
        arrivals.push(seconds);
    }
    Ok((seconds, (arrivals.len() == new_tokens).then_some(arrivals)))
}
