//! The language of a text, among a few.

use whatlang::{Detector, Lang};

use crate::ensemble::EnsembleError;

/// Tells given languages from each other, by the trigrams of a text.
///
/// To see how reliable that is on one's own text, before it decides who teaches.
///
/// ```
/// # use potstill_testkit as _;
/// use potstill_teachers::Languages;
///
/// let languages = Languages::new(&["eng", "deu"])?;
/// assert_eq!(languages.of("Der Schüler lernt, was der Lehrer weiß."), 1);
/// # Ok::<(), potstill_teachers::EnsembleError>(())
/// ```
#[derive(Debug)]
pub struct Languages {
    languages: Vec<Lang>,
    detector: Detector,
}

impl Languages {
    /// The languages of ISO 639-3 codes, such as `"eng"`.
    ///
    /// # Errors
    ///
    /// When a code is not that of a language that can be detected.
    pub fn new(codes: &[&str]) -> Result<Self, EnsembleError> {
        let languages = codes
            .iter()
            .map(|&code| {
                Lang::from_code(code).ok_or_else(|| EnsembleError::Language {
                    code: code.to_owned(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            detector: Detector::with_allowlist(languages.clone()),
            languages,
        })
    }

    /// The number of the language of `text`, from 0; 0 also when it is in none, such as numbers.
    #[must_use]
    pub fn of(&self, text: &str) -> usize {
        let detected = self.detector.detect_lang(text);
        let number = self
            .languages
            .iter()
            .position(|&lang| Some(lang) == detected);
        number.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_apart_and_numbers_go_to_the_first() {
        let languages = Languages::new(&["eng", "deu", "fra", "rus"]).unwrap();
        for (text, number) in [
            ("The teacher knows what the student is about to learn.", 0),
            ("Der Lehrer weiß, was der Schüler gleich lernen wird.", 1),
            ("Le maître sait ce que l'élève va apprendre.", 2),
            ("Учитель знает, чему научится ученик.", 3),
            ("12 + 34 = 46", 0),
            ("", 0),
        ] {
            assert_eq!(languages.of(text), number, "{text}");
        }
    }

    #[test]
    fn a_code_that_is_none_is_named() {
        let error = Languages::new(&["eng", "de"]).err().unwrap();
        assert!(
            error
                .to_string()
                .starts_with("\"de\" is not an ISO 639-3 code"),
            "{error}"
        );
    }
}
