//! What the profile suggests.

use super::{Evidence, Finding, SuggestionKind};
use crate::Profile;
use crate::number::{percent, significant};

/// From this share of the memory's bandwidth on, decoding is bound by it.
const BOUND: f64 = 0.5;

/// Above this share, weights come from somewhere faster than memory.
const FROM_CACHE: f64 = 1.2;

/// Below this share of both, decoding is bound by neither memory nor arithmetic.
const IDLE: f64 = 0.2;

/// From this share of the parameters on, the vocabulary is heavy.
const HEAVY: f64 = 0.4;

/// Where the time of decoding goes.
///
/// ```text
/// bytes per token    = parameters_read · bytes per parameter + context · cache bytes per token
/// share of memory    = bytes per token · decoded tokens per second / memory bandwidth
/// share of compute   = decode operations · decoded tokens per second
///                      / (prefill operations · prefill tokens per second)
/// ```
///
/// Prefill shows what the machine computes at least. Williams, Waterman, Patterson, *Roofline*,
/// Communications of the ACM 52 (2009).
pub(super) fn memory_or_overhead(profile: &Profile) -> Option<Finding> {
    let work = profile.work.as_ref()?;
    let rate = profile.tokens.as_ref()?.decode_tokens_per_second?;
    let bandwidth = profile.memory_bandwidth?;
    let per_parameter = profile.parameter_bytes as f64 / profile.parameters as f64;
    let bytes = work.parameters_read as f64 * per_parameter
        + work.context as f64 * work.cache_bytes_per_token as f64;
    let memory = bytes * rate / bandwidth;
    let compute =
        work.decode_flops * rate / (work.prefill_flops * profile.prefill_tokens_per_second);
    let megabytes = Evidence::new("MB read for a token", bytes / 1e6);
    let speed = Evidence::new("tokens decoded a second", rate);
    let share_of_memory = Evidence::new("share of the memory's bandwidth", memory);
    let share_of_compute = Evidence::new("share of the arithmetic that prefill reaches", compute);
    if (BOUND..=FROM_CACHE).contains(&memory) {
        let text = format!(
            "Decoding reads {} MB a token, which is {} % of what memory gives: fewer bytes make it faster. \
             Store the weights in half precision or in 8 bits, or decode several sequences together.",
            significant(bytes / 1e6),
            percent(memory)
        );
        let evidence = vec![
            share_of_memory.against(BOUND),
            megabytes,
            speed,
            share_of_compute,
        ];
        Some((SuggestionKind::MemoryBound, text, evidence))
    } else if memory < IDLE && compute < IDLE {
        let text = format!(
            "Decoding uses {} % of the memory's bandwidth and {} % of the arithmetic that prefill reaches: \
             the fixed cost of each operation is what it waits for. A narrower model is hardly faster; \
             one of fewer blocks is, and so are several sequences together.",
            percent(memory),
            percent(compute)
        );
        let evidence = vec![
            share_of_memory.against(IDLE),
            share_of_compute.against(IDLE),
            megabytes,
            speed,
        ];
        Some((SuggestionKind::OverheadBound, text, evidence))
    } else {
        None
    }
}

/// Whether much of the model is its vocabulary.
pub(super) fn vocabulary(profile: &Profile) -> Option<Finding> {
    let vocabulary = profile.work.as_ref()?.vocabulary_parameters as f64;
    let share = vocabulary / profile.parameters as f64;
    (share >= HEAVY).then(|| {
        let text = format!(
            "{} % of the parameters belong to the vocabulary. Cut it to the tokens that the task uses \
             (`LanguageModel::restricted_to`), or the head to a product of two thin matrices (`LowRankHead`).",
            percent(share)
        );
        let evidence = vec![
            Evidence::new("share of the vocabulary in the parameters", share).against(HEAVY),
            Evidence::new("parameters of the vocabulary", vocabulary),
        ];
        (SuggestionKind::VocabularyHeavy, text, evidence)
    })
}
