//! The words of a text, of which runs can be taken without copying.

/// Lower-case words of letters and digits, as [`rouge_tokens`](super::rouge_tokens) cuts them, with
/// one blank between two.
#[derive(Debug)]
pub(super) struct Words {
    joined: String,
    /// Where each word begins and ends.
    places: Vec<(usize, usize)>,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut joined = String::with_capacity(text.len());
        let mut places = Vec::new();
        for word in text
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            if !joined.is_empty() {
                joined.push(' ');
            }
            let begin = joined.len();
            joined.push_str(word);
            places.push((begin, joined.len()));
        }
        Self { joined, places }
    }

    pub(super) fn joined(&self) -> &str {
        &self.joined
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Every run of `length` words; none if there are fewer.
    pub(super) fn runs(&self, length: usize) -> impl Iterator<Item = &str> {
        self.places.windows(length).map(move |run| {
            let (begin, end) = (run[0].0, run[length - 1].1);
            &self.joined[begin..end]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rouge_tokens;
    use super::*;

    #[test]
    fn runs_are_words_joined_by_blanks() {
        let text = "Ärger,  mit 2 İstanbul-Fahrten!";
        let words = Words::of(text);
        let tokens = rouge_tokens(text);
        for length in 1..=tokens.len() + 1 {
            let expected: Vec<String> = tokens.windows(length).map(|run| run.join(" ")).collect();
            assert_eq!(words.runs(length).collect::<Vec<_>>(), expected);
        }
        assert_eq!(words.joined(), tokens.join(" "));
        assert_eq!(words.len(), tokens.len());
    }
}
