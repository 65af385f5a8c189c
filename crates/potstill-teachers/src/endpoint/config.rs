//! Settings of an endpoint.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ApiKey, ServerKind};
use crate::Error;

/// Where a remote model is, and what it may cost.
///
/// Reads from JSON and refuses unknown keys. The API key can be read but is never written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Address up to and without `/chat/completions`, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The model's name at the server.
    pub model: String,
    /// Sent as a bearer token.
    #[serde(default, skip_serializing)]
    pub api_key: Option<ApiKey>,
    /// Names what answers, in the addresses of stored answers; `base_url` without its scheme unless
    /// given. Give a name when a server moves and its answers shall be found again.
    #[serde(default)]
    pub deployment: Option<String>,
    /// What the server is; found out unless given.
    #[serde(default)]
    pub server: Option<ServerKind>,
    /// How many likely tokens to ask for when looking what the server can do.
    #[serde(default = "default_likely_tokens")]
    pub likely_tokens: usize,
    /// What tokens cost; without it the cost is unknown, not 0.
    #[serde(default)]
    pub prices: Option<Prices>,
    /// What may be sent at all.
    #[serde(default)]
    pub budget: Budget,
    /// How fast.
    #[serde(default)]
    pub limits: Limits,
    /// What happens after a failure.
    #[serde(default)]
    pub retry: Retry,
    /// File in which every answer is kept before it is read; nothing is kept without.
    #[serde(default)]
    pub store: Option<PathBuf>,
    /// Whether the network is used.
    #[serde(default)]
    pub mode: Mode,
    /// Asks for answers as streams of events, for gateways that cut silent connections.
    #[serde(default)]
    pub stream: bool,
}

fn default_likely_tokens() -> usize {
    20
}

/// Whether requests are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What the store lacks is asked.
    #[default]
    Live,
    /// What the store lacks is an error; the network is never used.
    Replay,
}

/// What a million tokens cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Of the prompt.
    pub input_per_million: f64,
    /// Of the answer.
    pub output_per_million: f64,
    /// In which currency.
    #[serde(default = "default_currency")]
    pub currency: String,
}

fn default_currency() -> String {
    "USD".into()
}

/// Hard limits of one [`Endpoint`](super::Endpoint), from its construction on.
///
/// A request is sent only if the most that it can cost still fits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Most tokens, read and written.
    pub tokens: Option<u64>,
    /// Most money, in the currency of the prices.
    pub money: Option<f64>,
    /// Most seconds; nothing is sent after them.
    pub seconds: Option<f64>,
}

/// How fast requests are sent, and how long they may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most requests at a time; fewer while the server says that there are too many.
    pub concurrency: usize,
    /// Most requests a minute.
    pub requests_per_minute: Option<f64>,
    /// Most tokens a minute, read and written.
    pub tokens_per_minute: Option<f64>,
    /// Seconds until a connection stands.
    pub connect_seconds: f64,
    /// Seconds for one attempt, the whole answer included.
    pub attempt_seconds: f64,
    /// Seconds for a request with all its attempts and the pauses between them.
    pub request_seconds: f64,
    /// Most bytes of an answer.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 16,
            requests_per_minute: None,
            tokens_per_minute: None,
            connect_seconds: 10.0,
            attempt_seconds: 120.0,
            request_seconds: 600.0,
            answer_bytes: 256 << 20,
        }
    }
}

/// What happens after a failure that another attempt can mend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Most attempts, the first one included.
    pub attempts: u32,
    /// Seconds before the second attempt; doubled for each further one, and drawn between a half and
    /// all of it, so that clients do not come back together.
    pub first_pause_seconds: f64,
    /// Longest of these pauses.
    pub longest_pause_seconds: f64,
    /// Longest pause that a server may ask for.
    pub longest_retry_after_seconds: f64,
    /// After so many requests that the server failed, with none that it answered in between, no other
    /// is sent.
    pub failures_in_a_row: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause_seconds: 0.5,
            longest_pause_seconds: 30.0,
            longest_retry_after_seconds: 120.0,
            failures_in_a_row: 32,
        }
    }
}

impl EndpointConfig {
    /// `model` at `base_url`, with the usual limits and nothing stored.
    #[must_use]
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key: None,
            deployment: None,
            server: None,
            likely_tokens: default_likely_tokens(),
            prices: None,
            budget: Budget::default(),
            limits: Limits::default(),
            retry: Retry::default(),
            store: None,
            mode: Mode::Live,
            stream: false,
        }
    }

    /// The same endpoint with a key.
    #[must_use]
    pub fn with_api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The same endpoint with answers kept in a file.
    #[must_use]
    pub fn with_store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// The same endpoint without the network.
    #[must_use]
    pub fn replaying(mut self) -> Self {
        self.mode = Mode::Replay;
        self
    }

    /// Checks what does not depend on the world.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense; the message names it.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |field, value: String, expected| {
            Err(Error::Config {
                field,
                value,
                expected,
            })
        };
        let address = reqwest::Url::parse(&self.base_url).ok();
        let Some(address) = address.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return wrong(
                "base_url",
                "not an address".into(),
                "an http:// or https:// address such as \"https://api.openai.com/v1\"",
            );
        };
        let has_secret = !address.username().is_empty() || address.password().is_some();
        if has_secret || address.query().is_some() || address.fragment().is_some() {
            return wrong(
                "base_url",
                "an address with a user, a query or a fragment".into(),
                "a plain address; a key belongs into `api_key`, which is never printed or stored",
            );
        }
        if self.model.is_empty() {
            return wrong("model", "empty".into(), "the model's name at the server");
        }
        if self.api_key.as_ref().is_some_and(ApiKey::is_empty) {
            return wrong("api_key", "empty".into(), "left out or not empty");
        }
        if self.mode == Mode::Replay && self.store.is_none() {
            return wrong(
                "mode",
                "replay".into(),
                "live, unless `store` names the answers",
            );
        }
        if self.budget.money.is_some() && self.prices.is_none() {
            return wrong(
                "budget.money",
                "set while the prices are unknown".into(),
                "left out, or accompanied by `prices`",
            );
        }
        if self.limits.concurrency == 0 {
            return wrong("limits.concurrency", "0".into(), "at least 1");
        }
        if self.retry.attempts == 0 {
            return wrong("retry.attempts", "0".into(), "at least 1");
        }
        if self.retry.failures_in_a_row == 0 {
            return wrong("retry.failures_in_a_row", "0".into(), "at least 1");
        }
        for (field, value) in self.positive() {
            if !(value.is_finite() && value > 0.0) {
                return wrong(field, value.to_string(), "a finite number above 0");
            }
        }
        for (field, value) in self.not_negative() {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(field, value.to_string(), "a finite number of at least 0");
            }
        }
        Ok(())
    }

    fn positive(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let Limits {
            requests_per_minute,
            tokens_per_minute,
            ..
        } = self.limits;
        [
            ("limits.requests_per_minute", requests_per_minute),
            ("limits.tokens_per_minute", tokens_per_minute),
            ("limits.connect_seconds", Some(self.limits.connect_seconds)),
            ("limits.attempt_seconds", Some(self.limits.attempt_seconds)),
            ("limits.request_seconds", Some(self.limits.request_seconds)),
            ("budget.seconds", self.budget.seconds),
            ("budget.money", self.budget.money),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
    }

    fn not_negative(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let Retry {
            first_pause_seconds,
            longest_pause_seconds,
            longest_retry_after_seconds,
            ..
        } = self.retry;
        let prices = self.prices.as_ref();
        [
            ("retry.first_pause_seconds", Some(first_pause_seconds)),
            ("retry.longest_pause_seconds", Some(longest_pause_seconds)),
            (
                "retry.longest_retry_after_seconds",
                Some(longest_retry_after_seconds),
            ),
            (
                "prices.input_per_million",
                prices.map(|prices| prices.input_per_million),
            ),
            (
                "prices.output_per_million",
                prices.map(|prices| prices.output_per_million),
            ),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
    }

    /// What the addresses of stored answers name.
    pub(super) fn deployment_name(&self) -> &str {
        let address = self.base_url.trim_end_matches('/');
        let without_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
        self.deployment.as_deref().unwrap_or(without_scheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut EndpointConfig), field: &str) {
        let mut config = EndpointConfig::new("http://localhost:8000/v1", "tiny");
        assert!(config.validate().is_ok());
        change(&mut config);
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains(field), "{message}");
    }

    #[test]
    fn senseless_settings_are_refused_by_name() {
        refused(|config| config.base_url = "localhost".into(), "base_url");
        refused(
            |config| config.base_url = "http://u:p@host/v1".into(),
            "base_url",
        );
        refused(|config| config.model.clear(), "model");
        refused(|config| config.api_key = Some("".into()), "api_key");
        refused(|config| config.mode = Mode::Replay, "mode");
        refused(|config| config.limits.concurrency = 0, "concurrency");
        refused(|config| config.retry.attempts = 0, "attempts");
        refused(
            |config| config.retry.failures_in_a_row = 0,
            "failures_in_a_row",
        );
        refused(
            |config| config.limits.attempt_seconds = f64::NAN,
            "attempt_seconds",
        );
        refused(
            |config| config.retry.first_pause_seconds = -1.0,
            "first_pause_seconds",
        );
    }

    #[test]
    fn a_money_budget_needs_prices() {
        refused(|config| config.budget.money = Some(1.0), "budget.money");
    }

    #[test]
    fn a_secret_in_the_address_is_refused_without_being_repeated() {
        let config = EndpointConfig::new("http://host/v1?key=hunter2", "tiny");
        let message = config.validate().unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn a_configuration_is_read_strictly_and_its_key_is_never_written() {
        let json = r#"{"base_url": "http://host/v1", "model": "m", "api_key": "hunter2",
                       "budget": {"tokens": 5}, "mode": "live"}"#;
        let config: EndpointConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.budget.tokens, Some(5));
        assert_eq!(config.deployment_name(), "host/v1");
        let written = serde_json::to_string(&config).unwrap();
        assert!(!written.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
        let typo = r#"{"base_url": "http://host/v1", "model": "m", "budgets": {}}"#;
        assert!(serde_json::from_str::<EndpointConfig>(typo).is_err());
    }
}
