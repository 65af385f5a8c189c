//! The fields that requests share, and those that are refused.

use potstill_core::{Message, Role, Sampling};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::ServerOptions;
use super::api_error::ApiError;

/// How answers are made.
#[derive(Debug, Deserialize)]
pub(super) struct SamplingFields {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    repetition_penalty: Option<f64>,
    seed: Option<Number>,
    stop: Option<OneOrMany>,
    n: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "\"stop\" must be a string or a list of strings")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl SamplingFields {
    /// Temperature 1 and no filter where nothing is said, as OpenAI has it.
    pub(super) fn sampling(&self) -> Sampling {
        Sampling {
            top_p: self.top_p,
            // vLLM and its clients say "all tokens" with 0 or -1.
            top_k: self
                .top_k
                .and_then(|k| usize::try_from(k).ok())
                .filter(|&k| k > 0),
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            ..Sampling::temperature(self.temperature.unwrap_or(1.0))
        }
    }

    pub(super) fn seed(&self) -> Result<Option<u64>, ApiError> {
        let Some(seed) = &self.seed else {
            return Ok(None);
        };
        let bits = seed.as_u64().or(seed.as_i64().map(i64::cast_unsigned));
        let wrong = || {
            ApiError::invalid_field(
                "seed",
                format!("seed is {seed}, it must be a 64-bit integer"),
            )
        };
        bits.map(Some).ok_or_else(wrong)
    }

    pub(super) fn stop(&self) -> Vec<String> {
        match &self.stop {
            Some(OneOrMany::One(stop)) => vec![stop.clone()],
            Some(OneOrMany::Many(stops)) => stops.clone(),
            None => Vec::new(),
        }
    }

    /// Answers to each prompt.
    pub(super) fn n(&self, prompts: usize, options: &ServerOptions) -> Result<usize, ApiError> {
        let n = self.n.unwrap_or(1);
        let most = options.max_waiting;
        if n == 0 || prompts.saturating_mul(n) > most {
            return Err(ApiError::invalid_field(
                "n",
                format!(
                    "{n} answers to each of {prompts} prompts were asked for; a request has 1 to \
                     {most} answers in all"
                ),
            ));
        }
        Ok(n)
    }
}

/// Whether and how an answer is streamed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
}

impl StreamOptions {
    pub(super) fn include_usage(options: Option<&Self>) -> bool {
        options.is_some_and(|options| options.include_usage == Some(true))
    }
}

/// A turn as clients send it.
#[derive(Debug, Deserialize)]
pub(super) struct ChatMessage {
    role: Role,
    content: Option<MessageContent>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a message's \"content\" must be a string or a list of text parts"
)]
enum MessageContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

/// The turns of a conversation.
pub(super) fn messages(turns: Vec<ChatMessage>) -> Result<Vec<Message>, ApiError> {
    (0..)
        .zip(turns)
        .map(|(index, turn)| message(index, turn))
        .collect()
}

fn message(index: usize, turn: ChatMessage) -> Result<Message, ApiError> {
    let wrong = |what: &str| ApiError::invalid_field("messages", format!("message {index} {what}"));
    let unsupported = turn.rest.iter().find(|(name, value)| {
        let harmless = ["annotations", "id", "refusal"].contains(&name.as_str());
        !(harmless || is_empty(value))
    });
    if let Some((name, _)) = unsupported {
        return Err(wrong(&format!(
            "has the field `{name}`, which this server does not support; it reads `role` and `content`"
        )));
    }
    let content = match turn.content {
        Some(MessageContent::Text(text)) => text,
        Some(MessageContent::Parts(parts)) => {
            let text = |part: ContentPart| match (part.kind.as_str(), part.text) {
                ("text", Some(text)) => Ok(text),
                (kind, _) => Err(wrong(&format!(
                    "has a part of type \"{kind}\"; this model reads parts of type \"text\""
                ))),
            };
            parts
                .into_iter()
                .map(text)
                .collect::<Result<String, ApiError>>()?
        }
        None => return Err(wrong("has no content; give a string")),
    };
    Ok(Message::new(turn.role, content))
}

/// A request names this model, or none.
pub(super) fn check_model(asked: Option<&str>, served: &str) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked != served => Err(ApiError::unknown_model(asked, served)),
        _ => Ok(()),
    }
}

/// Fields that never change an answer.
const HARMLESS: [&str; 9] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "return_token_ids",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];

/// Refuses a field that this server does not know, except where it changes nothing.
pub(super) fn refuse_unknown(rest: &Map<String, Value>) -> Result<(), ApiError> {
    match rest
        .iter()
        .find(|(name, value)| !changes_nothing(name, value))
    {
        Some((name, _)) => Err(ApiError::unsupported(
            name,
            format!(
                "this server does not support `{name}`, which could change the answer; leave it out"
            ),
        )),
        None => Ok(()),
    }
}

fn changes_nothing(name: &str, value: &Value) -> bool {
    let is = |number: f64| value.as_f64() == Some(number);
    HARMLESS.contains(&name)
        || is_empty(value)
        || match name {
            "frequency_penalty" | "presence_penalty" | "min_tokens" => is(0.0),
            "best_of" | "length_penalty" => is(1.0),
            "add_generation_prompt" | "skip_special_tokens" => *value == Value::Bool(true),
            "response_format" => value["type"] == "text",
            "modalities" => *value == Value::from(vec!["text"]),
            "tool_choice" => value == "none" || value == "auto",
            _ => false,
        }
}

/// Null, false, and what holds nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(fields: Value) -> Option<String> {
        let Value::Object(fields) = fields else {
            panic!("fields are an object")
        };
        let error = refuse_unknown(&fields).err()?;
        Some(error.to_json()["error"]["param"].as_str()?.to_owned())
    }

    #[test]
    fn what_would_change_the_answer_is_refused_by_name() {
        assert_eq!(
            refused(json!({"user": "me", "logit_bias": {"5": 1}})),
            Some("logit_bias".into())
        );
        assert_eq!(
            refused(json!({"frequency_penalty": 0.5})),
            Some("frequency_penalty".into())
        );
        assert_eq!(refused(json!({"tools": [{}]})), Some("tools".into()));
        assert_eq!(refused(json!({"temprature": 1})), Some("temprature".into()));
        assert_eq!(
            refused(json!({"response_format": {"type": "json_object"}})),
            Some("response_format".into())
        );
    }

    #[test]
    fn what_changes_nothing_is_ignored() {
        let fields = json!({"user": "me", "store": true, "logit_bias": {}, "tools": null, "tool_choice":
            "auto", "presence_penalty": 0, "frequency_penalty": 0.0, "response_format":
            {"type": "text"}, "ignore_eos": false, "suffix": ""});
        assert_eq!(refused(fields), None);
    }

    #[test]
    fn a_message_is_text_or_parts_of_text() {
        let parse = |turn: Value| messages(vec![serde_json::from_value(turn).unwrap()]);
        let parts = json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(parse(parts).unwrap(), [Message::user("ab")]);
        let image = json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]});
        let error = parse(image).unwrap_err().to_json().to_string();
        assert!(
            error.contains("message 0 has a part of type \\\"image_url\\\""),
            "{error}"
        );
        let call = json!({"role": "assistant", "content": null, "tool_calls": [{}]});
        let error = parse(call).unwrap_err().to_json().to_string();
        assert!(error.contains("`tool_calls`"), "{error}");
    }

    #[test]
    fn a_seed_is_any_64_bit_integer() {
        let seed = |seed: Value| -> Result<Option<u64>, ApiError> {
            let fields: SamplingFields = serde_json::from_value(json!({ "seed": seed })).unwrap();
            fields.seed()
        };
        assert_eq!(seed(json!(u64::MAX)).unwrap(), Some(u64::MAX));
        assert_eq!(seed(json!(-1)).unwrap(), Some(u64::MAX));
        assert_eq!(seed(Value::Null).unwrap(), None);
        assert!(seed(json!(0.5)).is_err());
    }
}
