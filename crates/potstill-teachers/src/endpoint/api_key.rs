//! The secret that opens an endpoint.

use std::borrow::Cow;
use std::fmt;

use reqwest::header::{HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// What stands in for a key in text that a server sent.
const REDACTED: &str = "[api key]";

/// An API key: it can be given and compared with text, but neither printed nor written.
///
/// Its memory is overwritten when it is dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// A key.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(SecretString::from(key.into()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.expose_secret().is_empty()
    }

    /// The value of an `Authorization` header, marked so that no HTTP library logs it.
    pub(super) fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` without the key: some servers repeat it when they refuse it.
    ///
    /// In JSON a key can be spelled with escapes, `a\/b` for `a/b`. Where that hides one, the escapes
    /// of visible characters are undone first, which leaves the JSON what it was.
    pub(super) fn redact(&self, text: &str) -> String {
        let spelled_out = Some(without_escapes(text)).filter(|plain| self.is_spelled_in(plain));
        let text = spelled_out.as_deref().unwrap_or(text);
        let quoted = text.replace(&self.quoted(), REDACTED);
        quoted.replace(self.0.expose_secret(), REDACTED)
    }

    /// Whether `bytes` hold the key, also as JSON spells it.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        self.is_spelled_in(&text) || self.is_spelled_in(&without_escapes(&text))
    }

    fn is_spelled_in(&self, text: &str) -> bool {
        text.contains(self.0.expose_secret()) || text.contains(&self.quoted())
    }

    /// The key inside a JSON string, where quotes and backslashes must be escaped.
    fn quoted(&self) -> String {
        let key = self.0.expose_secret();
        key.replace('\\', r"\\").replace('"', "\\\"")
    }
}

/// JSON without the escapes that it does not need: `\/` and `\u0041`, but not `\"` or `\n`.
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains(r"\/") && !text.contains(r"\u00") {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let code = escape.strip_prefix(r"\u00").and_then(|rest| rest.get(..2));
        let visible = code
            .and_then(|code| u8::from_str_radix(code, 16).ok())
            .filter(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let length = match (visible, escape.as_bytes().get(1)) {
            (Some(byte), _) => {
                plain.push(byte.into());
                6
            }
            (None, Some(b'/')) => {
                plain.push('/');
                2
            }
            // Two characters at a time, so that `\\/` stays an escaped backslash and a slash.
            (None, next) => {
                let length = if next.is_some_and(u8::is_ascii) { 2 } else { 1 };
                plain.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[length..];
    }
    plain.push_str(rest);
    plain.into()
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([secret])")
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = ApiKey::new("sk-very-secret");
        assert_eq!(format!("{key:?}"), "ApiKey([secret])");
        assert!(!format!("{:?}", key.header().unwrap()).contains("secret"));
        assert_eq!(
            key.redact("no such key: sk-very-secret."),
            "no such key: [api key]."
        );
        assert!(key.is_in(b"x sk-very-secret") && !key.is_in(b"sk-very"));
    }

    #[test]
    fn a_key_that_json_spells_otherwise_is_found() {
        let key = ApiKey::new(r#"s/k-"h\ter"#);
        let spellings = [
            r#"s/k-"h\ter"#,
            r#"s/k-\"h\\ter"#,
            r#"s\/k-\"h\\ter"#,
            r#"\u0073\/\u006B\u002d\"h\\ter"#,
        ];
        for spelling in spellings {
            let body = format!(r#"{{"a\nb": "\u00e9 {spelling} \\/"}}"#);
            assert!(key.is_in(body.as_bytes()), "{body}");
            let redacted = key.redact(&body);
            let end = redacted.rsplit("\\u00e9 ").next().unwrap();
            assert!(end.starts_with(r#"[api key] \\/"#), "{redacted}");
        }
        let other = r#"{"a": "\u00e9\/\n\\/"}"#;
        assert!(!key.is_in(other.as_bytes()));
        assert_eq!(key.redact(other), other);
    }

    #[test]
    fn undoing_escapes_never_changes_what_json_says() {
        for text in [
            r#""\\/""#,
            r#""\\u0041""#,
            r#""\u0041\/\u0022\u005c\u00e9\n\\""#,
            r#""é\/é""#,
        ] {
            let before: serde_json::Value = serde_json::from_str(text).unwrap();
            let after: serde_json::Value = serde_json::from_str(&without_escapes(text)).unwrap();
            assert_eq!(before, after, "{text}");
        }
        for text in ["\\", "\\u00", "\\u004", "\\u00é", "\\é", "\\/"] {
            assert!(without_escapes(text).len() <= text.len());
        }
    }
}
