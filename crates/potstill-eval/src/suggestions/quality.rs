//! What answers, confidences and blocks suggest.

use super::{Evidence, Finding, SuggestionKind};
use crate::number::{percent, significant};
use crate::{AnswerLengths, Calibration, bootstrap::quantile};

/// A block is idle below this share of the median block's influence.
const IDLE: f64 = 0.25;

/// Fewest blocks of which a median says anything.
const FEWEST_BLOCKS: usize = 3;

/// A calibration error up to this is no reason to act.
const TOLERATED: f64 = 0.05;

/// And it must be so many times what chance alone would show.
const TIMES_CHANCE: f64 = 2.0;

/// From this share of answers on, cutting off is no accident.
const MANY: f64 = 0.05;

/// Blocks that do little.
///
/// Men et al., *ShortGPT*, arXiv:2403.03853, remove blocks by this influence.
pub(super) fn idle_blocks(influence: Option<&[f64]>) -> Option<Finding> {
    let influence = influence.filter(|blocks| blocks.len() >= FEWEST_BLOCKS)?;
    let mut sorted = influence.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = quantile(&sorted, 0.5);
    let threshold = IDLE * median;
    let idle: Vec<(usize, f64)> = influence
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, influence)| *influence < threshold)
        .collect();
    if idle.is_empty() {
        return None;
    }
    let names: Vec<String> = idle.iter().map(|(block, _)| block.to_string()).collect();
    let (noun, verb) = match idle.len() {
        1 => ("block", "changes"),
        _ => ("blocks", "change"),
    };
    let text = format!(
        "Of {} blocks, {noun} {} {verb} what passes through by less than a quarter of what the median block \
         does. Leave out what does little (`Importance::keep`) and train on.",
        influence.len(),
        names.join(", ")
    );
    let mut evidence: Vec<Evidence> = idle
        .iter()
        .map(|(block, influence)| {
            Evidence::new(&format!("influence of block {block}"), *influence).against(threshold)
        })
        .collect();
    evidence.push(Evidence::new("influence of the median block", median));
    Some((SuggestionKind::IdleBlocks, text, evidence))
}

/// Confidence that does not foretell correctness.
pub(super) fn calibration(found: Option<&Calibration>) -> Option<Finding> {
    let found = found?;
    let chance = found.expected_error_by_chance;
    let threshold = TOLERATED.max(TIMES_CHANCE * chance);
    (found.expected_error > threshold).then(|| {
        let gap = found.overconfidence();
        let (how, temperature) = if gap > 0.0 {
            ("surer than it is right", "above 1")
        } else {
            ("less sure than it could be", "below 1")
        };
        let text = format!(
            "It is {how}: {} % sure on average and right in {} % of the cases. Divide its logits by a \
             temperature {temperature}, found on data that nobody trained on.",
            percent(found.confidence),
            percent(found.accuracy)
        );
        let evidence = vec![
            Evidence::new("expected calibration error", found.expected_error).against(threshold),
            Evidence::new("calibration error by chance", chance),
            Evidence::new("confidence less accuracy", gap),
        ];
        (SuggestionKind::Miscalibrated, text, evidence)
    })
}

/// Answers that never end.
pub(super) fn cut_off(answers: Option<&AnswerLengths>) -> Option<Finding> {
    let answers = answers?;
    let share = answers.cut_off.value();
    (share >= MANY).then(|| {
        let text = format!(
            "{} % of the answers are cut off, after {} tokens on average over all. Allow more tokens, or \
             train on answers that end: their last token is the one that stops.",
            percent(share),
            significant(answers.mean_tokens)
        );
        let evidence = vec![
            Evidence::new("share of answers that are cut off", share).against(MANY),
            Evidence::new("answers", answers.cut_off.total() as f64),
            Evidence::new("mean tokens of an answer", answers.mean_tokens),
        ];
        (SuggestionKind::CutOff, text, evidence)
    })
}
