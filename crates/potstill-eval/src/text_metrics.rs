//! Metrics of written answers.

mod answer_match;
mod bleu;
mod chrf;
mod final_number;
mod ngrams;
mod rouge;
mod ter;
mod token_f1;

pub use answer_match::AnswerMatch;
pub use bleu::BleuCounts;
pub use chrf::{ChrfCounts, ChrfWords};
pub use final_number::{final_number, same_final_number};
pub use rouge::{Rouge, rouge_l, rouge_n};
pub use ter::TerCounts;
pub use token_f1::token_f1;

/// What Python calls `string.punctuation`: the ASCII characters that are neither letters, digits nor
/// white space.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
}

#[cfg(test)]
mod tests;
