//! One request, and its address among the stored answers.
//!
//! The address is the SHA-256 of everything that changes an answer: the deployment, the path, the
//! body with sorted keys (model, seed and sampling are in it), and for requests that ask for a new
//! draw each time, which draw it is. It holds nothing that does not change an answer: no API key, no
//! time limit, no concurrency, not whether the answer is streamed.
//!
//! The deployment is the server's address unless it is named, because a model's name alone does not
//! say what answers: many servers ignore it, and two gateways quantize one model differently. Taking
//! one for the other would spoil data silently; paying again does not.

use std::fmt;

use potstill_core::Usage;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Where a stored answer is found: a hash of everything that changes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnswerKey(pub(crate) [u8; 32]);

impl fmt::Display for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerKey({self})")
    }
}

/// One request to a server.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Where to, relative to the base address, or to the server's root.
    pub(super) path: Path,
    /// What is sent; `None` asks with GET.
    pub(super) body: Option<Value>,
    /// Which draw this is, where each is a new one.
    pub(super) draw: u32,
    /// The most tokens that it can cost.
    pub(super) worst: Usage,
    /// Whether the server can send the answer as a stream.
    pub(super) streams: bool,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Below the base address.
    Base(&'static str),
    /// Below the base address without its `/v1`.
    Root(&'static str),
}

impl Call {
    pub(super) fn get(path: &'static str) -> Self {
        Self {
            path: Path::Base(path),
            body: None,
            draw: 0,
            worst: Usage::default(),
            streams: false,
        }
    }

    pub(super) fn post(path: Path, body: Value, worst: Usage) -> Self {
        Self {
            path,
            body: Some(body),
            draw: 0,
            worst,
            streams: false,
        }
    }

    /// The same call, and its answer may be streamed.
    pub(super) fn streaming(mut self) -> Self {
        self.streams = true;
        self
    }

    /// Whether the server is expected to give the same answer again.
    pub(super) fn is_repeatable(&self) -> bool {
        let Some(body) = &self.body else { return true };
        body.get("seed").is_some_and(|seed| !seed.is_null())
            || body.get("temperature").and_then(Value::as_f64) == Some(0.0)
    }

    /// Everything that changes the answer.
    pub(super) fn identity(&self, deployment: &str) -> Value {
        let path = match self.path {
            Path::Base(path) | Path::Root(path) => path,
        };
        json!({
            "deployment": deployment,
            "path": path,
            "body": self.body,
            "draw": self.draw,
        })
    }

    /// How the request begins, for messages.
    pub(super) fn summary(&self) -> String {
        let (Path::Base(path) | Path::Root(path)) = self.path;
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let short: String = body.chars().take(240).collect();
        let more = if short.len() < body.len() { " ..." } else { "" };
        format!("{path} {short}{more}")
    }
}

/// The canonical text of an identity, which is stored, and its hash.
pub(super) fn address(identity: &Value) -> (String, AnswerKey) {
    let mut text = String::new();
    canonical(identity, &mut text);
    let key = AnswerKey(Sha256::digest(text.as_bytes()).into());
    (text, key)
}

/// JSON with sorted keys and no spaces.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(deployment: &str, body: Value, draw: u32) -> AnswerKey {
        let mut call = Call::post(Path::Base("/chat/completions"), body, Usage::default());
        call.draw = draw;
        address(&call.identity(deployment)).1
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_everything_else_does() {
        let body =
            json!({"model": "m", "seed": 1, "messages": [{"role": "user", "content": "é\n"}]});
        let same =
            json!({"messages": [{"content": "é\n", "role": "user"}], "seed": 1, "model": "m"});
        let base = key("host/v1", body.clone(), 0);
        assert_eq!(base, key("host/v1", same, 0));
        let mut seeded = body.clone();
        seeded["seed"] = json!(2);
        let mut system = body.clone();
        system["messages"][0]["role"] = json!("system");
        for other in [
            key("host/v2", body.clone(), 0),
            key("host/v1", body, 1),
            key("host/v1", seeded, 0),
            key("host/v1", system, 0),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_seed_or_no_temperature_makes_a_request_repeatable() {
        let call = |body| Call::post(Path::Base("/chat/completions"), body, Usage::default());
        assert!(call(json!({"seed": 0, "temperature": 1.0})).is_repeatable());
        assert!(call(json!({"temperature": 0.0})).is_repeatable());
        assert!(!call(json!({"temperature": 0.5})).is_repeatable());
        assert!(!call(json!({})).is_repeatable());
    }
}
