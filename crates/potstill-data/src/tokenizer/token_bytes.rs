//! What each token adds to a text, in bytes.

use std::collections::HashMap;

use tokenizers::DecoderWrapper;

use super::TextTokenizer;

impl TextTokenizer {
    /// The bytes of every token, by id: what it adds to a text behind another token. Ids without a
    /// token have none.
    ///
    /// A token need not be whole characters, so bytes, not strings, tell tokens of different
    /// tokenizers apart. Tokens of byte-level and byte-fallback vocabularies are exact; those of
    /// others are found by decoding.
    #[must_use]
    pub fn token_bytes(&self) -> Vec<Vec<u8>> {
        let decoder = self.tokenizer.get_decoder();
        let contains = |wanted: fn(&DecoderWrapper) -> bool| {
            decoder.is_some_and(|decoder| any(decoder, wanted))
        };
        let byte_level = contains(|decoder| matches!(decoder, DecoderWrapper::ByteLevel(_)));
        let byte_fallback = contains(|decoder| matches!(decoder, DecoderWrapper::ByteFallback(_)));
        let bytes_of = byte_alphabet();
        let anchor = Anchor::new(self);
        let mut all = vec![Vec::new(); self.vocab_size()];
        for (token, id) in self.tokenizer.get_vocab(true) {
            let exact = if byte_level {
                let bytes = token.chars().map(|char| bytes_of.get(&char).copied());
                let bytes: Option<Vec<u8>> = bytes.collect();
                Some(bytes.unwrap_or_else(|| token.clone().into_bytes()))
            } else if byte_fallback {
                fallback_byte(&token).map(|byte| vec![byte])
            } else {
                None
            };
            all[id as usize] = exact.unwrap_or_else(|| anchor.text_behind(id).into_bytes());
        }
        all
    }
}

fn any(decoder: &DecoderWrapper, wanted: fn(&DecoderWrapper) -> bool) -> bool {
    match decoder {
        DecoderWrapper::Sequence(parts) => {
            parts.get_decoders().iter().any(|part| any(part, wanted))
        }
        part => wanted(part),
    }
}

/// The byte behind each character of a byte-level vocabulary: printable bytes stand for themselves,
/// the others for the characters from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100..;
    (0..=u8::MAX)
        .filter_map(|byte| {
            let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
            let code = if printable {
                u32::from(byte)
            } else {
                next.next()?
            };
            Some((char::from_u32(code)?, byte))
        })
        .collect()
}

/// The byte of a token such as `<0x0A>`.
pub(super) fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2)
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// A token that others are decoded behind, since decoders treat the first token of a text otherwise.
struct Anchor<'a> {
    tokenizer: &'a TextTokenizer,
    first: Option<(u32, String)>,
}

impl<'a> Anchor<'a> {
    fn new(tokenizer: &'a TextTokenizer) -> Self {
        let size = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let first = (0..size).find_map(|id| {
            let text = tokenizer.decode(&[id], true).ok()?;
            let plain = !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric());
            plain.then_some((id, text))
        });
        Self { tokenizer, first }
    }

    fn text_behind(&self, id: u32) -> String {
        let decode = |ids: &[u32]| self.tokenizer.decode(ids, false).unwrap_or_default();
        self.first
            .as_ref()
            .and_then(|(first, text)| Some(decode(&[*first, id]).strip_prefix(text)?.to_owned()))
            .unwrap_or_else(|| decode(&[id]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::sample_tokenizers::{byte_level, word_level};

    #[test]
    fn a_byte_level_token_can_be_half_a_character() {
        let tokenizer = byte_level();
        let bytes = tokenizer.token_bytes();
        let ids = tokenizer.encode("é user", false).unwrap();
        let texts: Vec<&[u8]> = ids
            .iter()
            .map(|&id| bytes[id as usize].as_slice())
            .collect();
        assert_eq!(texts[..2], [&[0xc3][..], &[0xa9]]);
        assert_eq!(texts.concat(), "é user".as_bytes());
        let end = tokenizer.token_id("<|im_end|>").unwrap();
        assert_eq!(bytes[end as usize], b"<|im_end|>");
    }

    #[test]
    fn byte_fallback_tokens_are_bytes_and_metaspaces_are_spaces() {
        let definition = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "WordLevel", "unk_token": "a",
                "vocab": {"▁a": 0, "a": 1, "<0xC3>": 2}},
        });
        let tokenizer = TextTokenizer::from_json(&definition.to_string()).unwrap();
        assert_eq!(tokenizer.token_bytes(), [&b" a"[..], b"a", &[0xc3]]);
    }

    #[test]
    fn words_without_a_decoder_are_parted_by_blanks() {
        let tokenizer = word_level(&["<unk>", "two", "and"]);
        let expected: [&[u8]; 3] = [b" <unk>", b" two", b" and"];
        assert_eq!(tokenizer.token_bytes(), expected);
    }

    proptest! {
        #[test]
        fn the_bytes_of_a_text_are_those_of_its_tokens(text in "\\PC{0,30}") {
            let tokenizer = byte_level();
            let bytes = tokenizer.token_bytes();
            let ids = tokenizer.encode(&text, false).unwrap();
            let joined: Vec<u8> =
                ids.iter().flat_map(|&id| bytes[id as usize].iter().copied()).collect();
            prop_assert_eq!(joined, text.into_bytes());
        }
    }
}
