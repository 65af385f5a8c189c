//! Ending a generated sequence by its text.

use potstill_core::StopRule;

use crate::{Error, TextTokenizer};

/// Tokens more than the longest stop string has bytes, to give decoders that look at their
/// neighbors some context.
const CONTEXT_TOKENS: usize = 8;

/// Texts that end a generated sequence.
///
/// They are looked for in decoded text, so it does not matter how the tokens cut them.
///
/// # Examples
///
/// ```
/// use potstill_data::StopStrings;
///
/// # let tokenizer = potstill_data::TextTokenizer::from_json(r#"{"version": "1.0", "truncation": null,
/// #   "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor":
/// #   null, "decoder": {"type": "Fuse"}, "model": {"type": "WordLevel", "vocab": {"yes": 0, ".": 1},
/// #   "unk_token": "yes"}}"#)?;
/// let stop = StopStrings::new(&tokenizer, ["\nUser:", "s."])?;
/// assert!(stop.rule().stops(&[0, 1]));
/// assert_eq!(stop.cut("done\nUser: and"), "done");
/// # Ok::<(), potstill_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StopStrings {
    tokenizer: TextTokenizer,
    strings: Vec<String>,
}

impl StopStrings {
    /// Stops at any of `strings`, which can hold special tokens.
    ///
    /// # Errors
    ///
    /// When a string is empty.
    pub fn new(
        tokenizer: &TextTokenizer,
        strings: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, Error> {
        let strings: Vec<String> = strings.into_iter().map(Into::into).collect();
        if let Some(index) = strings.iter().position(String::is_empty) {
            return Err(Error::EmptyStopString { index });
        }
        Ok(Self {
            tokenizer: tokenizer.clone(),
            strings,
        })
    }

    /// The rule for a generation loop, which asks it after each token: only the end of the sequence
    /// is decoded.
    #[must_use]
    pub fn rule(&self) -> StopRule {
        let stop = self.clone();
        // Every token decodes to at least a byte, so a stop string that a new token completes lies
        // within as many tokens as it has bytes.
        let longest = self.strings.iter().map(String::len).max().unwrap_or(0) + CONTEXT_TOKENS;
        StopRule::new(move |generated| {
            let tail = &generated[generated.len().saturating_sub(longest)..];
            let text = stop.tokenizer.decode(tail, false);
            text.is_ok_and(|text| stop.strings.iter().any(|string| text.contains(string)))
        })
    }

    /// The text before the first stop string.
    #[must_use]
    pub fn cut<'a>(&self, text: &'a str) -> &'a str {
        let end = self
            .strings
            .iter()
            .filter_map(|string| text.find(string))
            .min();
        &text[..end.unwrap_or(text.len())]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample_tokenizers::byte_level;

    #[test]
    fn an_empty_string_is_refused() {
        let error = StopStrings::new(&byte_level(), ["a", ""]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stop string 1 is empty; it would stop at once"
        );
    }

    #[test]
    fn without_strings_nothing_stops() {
        let stop = StopStrings::new(&byte_level(), [] as [&str; 0]).unwrap();
        assert!(
            !stop
                .rule()
                .stops(&byte_level().encode("text", false).unwrap())
        );
        assert_eq!(stop.cut("text"), "text");
    }

    #[test]
    fn a_special_token_can_stop() {
        let tokenizer = byte_level();
        let stop = StopStrings::new(&tokenizer, ["<|im_end|>"]).unwrap();
        assert!(
            stop.rule()
                .stops(&tokenizer.encode("yes<|im_end|>", false).unwrap())
        );
        assert!(
            !stop
                .rule()
                .stops(&tokenizer.encode("yes<|im_", false).unwrap())
        );
    }

    #[test]
    fn an_incomplete_character_does_not_stop() {
        let tokenizer = byte_level();
        let rule = StopStrings::new(&tokenizer, ["🦀"]).unwrap().rule();
        let ids = tokenizer.encode("a🦀", false).unwrap();
        assert_eq!(ids.len(), 5, "a byte a token");
        let stops: Vec<bool> = (0..=5).map(|len| rule.stops(&ids[..len])).collect();
        assert_eq!(stops, [false, false, false, false, false, true]);
    }

    proptest! {
        #[test]
        fn the_first_stop_is_where_the_text_first_contains_the_string(
            text in "[ab user\n🦀]{0,40}",
            stop in "[ab user\n🦀]{1,4}",
        ) {
            let tokenizer = byte_level();
            let stops = StopStrings::new(&tokenizer, [stop.clone()]).unwrap();
            let rule = stops.rule();
            let ids = tokenizer.encode(&text, false).unwrap();
            let first = (0..=ids.len()).find(|&len| rule.stops(&ids[..len]));
            let expected = (0..=ids.len())
                .find(|&len| tokenizer.decode(&ids[..len], false).unwrap().contains(&stop));
            prop_assert_eq!(first, expected);
            prop_assert!(!stops.cut(&text).contains(&stop));
        }
    }
}
