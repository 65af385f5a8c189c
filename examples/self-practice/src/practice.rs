//! From a text to questions with answers, each stage accounted for.

use std::path::Path;

use anyhow::Result;
use potstill::core::Sampling;
use potstill::data::{
    AnswerPrompts, Elicitor, Error, LimitText, NearDuplicates, NearDuplicatesOptions, Pipeline,
    PipelineOptions, PracticeQuestions, PromptTemplate, Record, TextLimits, TextSplit, read_text,
};

use crate::{Arguments, Teacher};

/// Shows the teacher the text that it answers from; the student will answer without.
const OPEN_BOOK: &str = "\
{{ meta.text }}

Answer in one or two sentences, with what the text says: {{ question }}";

/// The paragraphs of a text.
pub(crate) fn paragraphs(path: &Path) -> Result<Vec<Result<Record, Error>>> {
    // No paragraph fits beside another one into so few characters.
    let records = read_text(path, TextSplit::Paragraphs { max_chars: 1 })?;
    Ok(records.into_iter().map(Ok).collect())
}

/// Asks, curates the questions, answers them, and curates the answers.
pub(crate) fn pipeline(teacher: &Teacher, arguments: &Arguments) -> Pipeline {
    let elicitor = || Elicitor::new(teacher.voice.clone()).with_terms("apache-2.0");
    let inventive = Sampling {
        top_p: Some(0.95),
        ..Sampling::temperature(0.7)
    };
    let ask = PracticeQuestions::new(
        elicitor()
            .with_sampling(inventive)
            .with_max_tokens(60 * arguments.questions),
        arguments.questions,
    )
    .without_answers()
    .with_text_kept();
    let answer = AnswerPrompts::new(elicitor().with_max_tokens(80))
        .with_template(PromptTemplate::new("open_book", OPEN_BOOK));
    let options = PipelineOptions {
        seed: arguments.seed,
        ..PipelineOptions::default()
    };
    let limits = |most| TextLimits {
        min_words: Some(6),
        max_words: Some(most),
        max_repeated_trigrams: Some(0.3),
        ..TextLimits::chat()
    };
    Pipeline::new(options)
        .stage(ask)
        .global_stage(NearDuplicates::new(NearDuplicatesOptions::default()))
        .stage(answer)
        .stage(LimitText(limits(120)))
        .on_progress(|progress| {
            eprintln!(
                "{}: {} in, {} out, {} requests",
                progress.stage, progress.records_in, progress.records_out, progress.tally.requests
            );
        })
}
