//! The secret that opens an endpoint.

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
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), REDACTED)
    }

    /// Whether `bytes` hold the key.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let key = self.0.expose_secret().as_bytes();
        bytes.windows(key.len().max(1)).any(|window| window == key)
    }
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
}
