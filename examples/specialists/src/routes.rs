//! Who teaches which text.

use anyhow::Result;
use potstill::data::TextTokenizer;
use potstill::teachers::{BoxedTeacher, Languages, RoutedTeachers};

use crate::numbers::Language;

/// Texts whose language is detected.
pub(crate) fn told(numbers: &[u32]) -> Result<usize> {
    let languages = Languages::new(&Language::ALL.map(Language::code))?;
    let right = |number, language: Language| {
        Language::ALL[languages.of(&format!("{}{number}", language.question(number)))] == language
    };
    let told = numbers
        .iter()
        .flat_map(|&number| Language::ALL.map(|it| right(number, it)));
    Ok(told.filter(|&right| right).count())
}

/// Each segment to the teacher of the language that it is in.
pub(crate) fn by_language(
    teachers: Vec<BoxedTeacher>,
    tokenizer: &TextTokenizer,
) -> Result<RoutedTeachers> {
    let codes = Language::ALL.map(Language::code);
    let tokenizer = tokenizer.clone();
    let decode = move |tokens: &[u32]| tokenizer.decode(tokens, true).unwrap_or_default();
    Ok(RoutedTeachers::by_language(
        codes.into_iter().zip(teachers).collect(),
        decode,
    )?)
}
