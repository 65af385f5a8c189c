//! Tokens by their bytes: what makes a token of a server a token of the student.

use std::collections::HashMap;

use crate::Error;

/// The bytes behind a token that is shown as text, unless part of a character was replaced.
///
/// What is not whole characters is `bytes:\xe2\x80` for OpenAI's completions and `potstill-serve`.
pub(super) fn spelled(text: &str) -> Option<Vec<u8>> {
    if text.contains('\u{fffd}') {
        return None;
    }
    let escaped = text.strip_prefix("bytes:").and_then(|escapes| {
        let byte =
            |escape: &str| (escape.len() == 2).then(|| u8::from_str_radix(escape, 16).ok())?;
        let mut parts = escapes.split("\\x");
        let nothing = parts.next()?;
        let bytes: Vec<u8> = parts.map(byte).collect::<Option<_>>()?;
        (nothing.is_empty() && !bytes.is_empty()).then_some(bytes)
    });
    Some(escaped.unwrap_or_else(|| text.as_bytes().to_vec()))
}

/// The bytes of every token of a vocabulary.
///
/// Neither strings nor the letters that byte-level vocabularies write for bytes can tell tokens
/// apart: a token need not be whole characters, and servers replace what is not.
#[derive(Clone, Debug)]
pub struct TokenBytes {
    bytes: Vec<Vec<u8>>,
    /// The only token with these bytes; `None` where there are several.
    ids: HashMap<Vec<u8>, Option<u32>>,
}

impl TokenBytes {
    /// The bytes of each token, by id; empty for ids without a token.
    ///
    /// `potstill_data::TextTokenizer::token_bytes` gives them.
    ///
    /// # Errors
    ///
    /// When there are none, or more than ids can name.
    pub fn new(bytes: Vec<Vec<u8>>) -> Result<Self, Error> {
        if u32::try_from(bytes.len()).is_err() || bytes.iter().all(Vec::is_empty) {
            return Err(Error::TokenBytes {
                reason: format!(
                    "{} tokens are given; give the bytes of each token of the student, by id",
                    bytes.len()
                ),
            });
        }
        let mut ids = HashMap::with_capacity(bytes.len());
        for (id, bytes) in (0..).zip(&bytes).filter(|(_, bytes)| !bytes.is_empty()) {
            ids.entry(bytes.clone())
                .and_modify(|known| *known = None)
                .or_insert(Some(id));
        }
        Ok(Self { bytes, ids })
    }

    /// Number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no id; never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of a token; empty for an id without one.
    #[must_use]
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// The token with these bytes, if there is exactly one.
    #[must_use]
    pub fn id(&self, bytes: &[u8]) -> Option<u32> {
        self.ids.get(bytes).copied().flatten()
    }

    /// Whether `text`, which a server shows for token `id`, can be that token.
    ///
    /// Servers show nothing for special tokens, a replacement character for part of a character, and
    /// some drop the blank before a word.
    pub(super) fn can_be(&self, id: u32, text: &str) -> bool {
        let bytes = self.bytes(id);
        let unblank = |bytes: &[u8]| bytes.strip_prefix(b" ").unwrap_or(bytes).to_vec();
        text.is_empty()
            || spelled(text).is_none_or(|shown| bytes == shown || unblank(bytes) == unblank(&shown))
    }

    /// A token for messages: its id and its text.
    pub(super) fn describe(&self, id: u32) -> String {
        format!("{id} ({:?})", String::from_utf8_lossy(self.bytes(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> TokenBytes {
        let bytes: [&[u8]; 6] = [b"a", b" b", &[0xc3], b"", b"x", b"x"];
        TokenBytes::new(bytes.map(<[u8]>::to_vec).into()).unwrap()
    }

    #[test]
    fn bytes_that_two_tokens_share_name_neither() {
        let tokens = tokens();
        assert_eq!(tokens.id(b"a"), Some(0));
        assert_eq!(tokens.id(&[0xc3]), Some(2));
        assert_eq!(tokens.id(b"x"), None);
        assert_eq!(tokens.id(b""), None);
        assert_eq!((tokens.bytes(4), tokens.bytes(99)), (&b"x"[..], &b""[..]));
    }

    #[test]
    fn what_servers_show_for_a_token_is_accepted_and_nothing_else() {
        let tokens = tokens();
        for (id, text) in [(0, "a"), (1, " b"), (1, "b"), (2, "\u{fffd}"), (4, "")] {
            assert!(tokens.can_be(id, text), "{id} {text:?}");
        }
        assert!(!tokens.can_be(0, "b") && !tokens.can_be(1, "Ġb"));
    }

    #[test]
    fn a_part_of_a_character_may_be_spelled_out() {
        assert_eq!(spelled("é"), Some("é".into()));
        assert_eq!(spelled("bytes:\\xc3\\xa9"), Some(vec![0xc3, 0xa9]));
        assert_eq!(spelled("bytes:"), Some("bytes:".into()));
        assert_eq!(spelled("bytes:\\xc"), Some("bytes:\\xc".into()));
        assert_eq!(spelled("a\u{fffd}"), None);
        assert!(tokens().can_be(2, "bytes:\\xc3") && !tokens().can_be(2, "bytes:\\xc4"));
    }

    #[test]
    fn a_vocabulary_without_tokens_is_refused() {
        assert!(TokenBytes::new(vec![]).is_err());
        assert!(TokenBytes::new(vec![vec![]]).is_err());
    }
}
