//! Answers that come as server-sent events, put together again.
//!
//! The bytes are stored whole before they are read, so that there is nothing to do in pieces: the
//! events of a chat or a completion become the one object that the server sends without streaming.

use serde_json::{Map, Value, json};

use super::answer::{AnswerProblem, excerpt};

/// Whether a text without a content type is a stream.
pub(super) fn is_stream(text: &str) -> bool {
    text.starts_with("data:") || text.starts_with("event:") || text.starts_with(": ")
}

/// One object out of the events of `text`.
pub(super) fn assemble(text: &str) -> Result<Value, AnswerProblem> {
    let mut whole = Map::new();
    let mut choices: Vec<Choice> = Vec::new();
    let mut events = 0;
    for data in data(text) {
        if data == "[DONE]" {
            break;
        }
        events += 1;
        let event: Value = serde_json::from_str(&data).map_err(|_| AnswerProblem::BadEvent {
            event: events,
            excerpt: excerpt(&data),
        })?;
        let Value::Object(fields) = event else {
            return Err(AnswerProblem::BadEvent {
                event: events,
                excerpt: excerpt(&data),
            });
        };
        if fields.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(Value::Object(fields));
        }
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("choices", Value::Array(parts)) => {
                    for part in parts {
                        choice(&mut choices, &part).add(part);
                    }
                }
                (_, Value::Null) => {}
                (_, value) => {
                    whole.insert(name, value);
                }
            }
        }
    }
    if choices.is_empty() || choices.iter().any(|choice| choice.finish.is_null()) {
        return Err(AnswerProblem::StreamCut { events });
    }
    let choices: Vec<Value> = choices.into_iter().map(Choice::into_value).collect();
    whole.insert("choices".into(), choices.into());
    Ok(whole.into())
}

/// The data of each event; lines of other fields and comments are left out.
fn data(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut data: Option<String> = None;
        for line in lines.by_ref() {
            if let Some(rest) = line.strip_prefix("data:") {
                let rest = rest.strip_prefix(' ').unwrap_or(rest);
                data = Some(match data {
                    Some(before) => format!("{before}\n{rest}"),
                    None => rest.to_owned(),
                });
            } else if line.is_empty() && data.is_some() {
                break;
            }
        }
        data
    })
}

/// A choice that is still being told.
#[derive(Debug, Default)]
struct Choice {
    index: u64,
    role: Value,
    content: String,
    reasoning: String,
    text: Option<String>,
    finish: Value,
    /// Arrays of log-probabilities, by field.
    log_probs: Map<String, Value>,
    token_ids: Vec<Value>,
}

fn choice<'a>(choices: &'a mut Vec<Choice>, part: &Value) -> &'a mut Choice {
    let index = part.get("index").and_then(Value::as_u64).unwrap_or(0);
    let known = choices.iter().position(|choice| choice.index == index);
    let known = known.unwrap_or_else(|| {
        choices.push(Choice {
            index,
            ..Choice::default()
        });
        choices.len() - 1
    });
    &mut choices[known]
}

impl Choice {
    fn add(&mut self, mut part: Value) {
        if let Some(delta) = part.get("delta") {
            let text = |name| delta.get(name).and_then(Value::as_str).unwrap_or_default();
            self.content += text("content");
            self.reasoning += text("reasoning_content");
            if let Some(role) = delta.get("role").filter(|role| !role.is_null()) {
                self.role = role.clone();
            }
        }
        if let Some(text) = part.get("text").and_then(Value::as_str) {
            *self.text.get_or_insert_default() += text;
        }
        if let Some(finish) = part.get("finish_reason").filter(|finish| !finish.is_null()) {
            self.finish = finish.clone();
        }
        if let Some(Value::Object(fields)) = part.get_mut("logprobs").map(Value::take) {
            for (name, value) in fields {
                match (self.log_probs.get_mut(&name), value) {
                    (Some(Value::Array(before)), Value::Array(mut more)) => {
                        before.append(&mut more)
                    }
                    (_, Value::Null) => {}
                    (_, value) => {
                        self.log_probs.insert(name, value);
                    }
                }
            }
        }
        if let Some(Value::Array(ids)) = part.get_mut("token_ids").map(Value::take) {
            self.token_ids.extend(ids);
        }
    }

    fn into_value(self) -> Value {
        let mut value = json!({"index": self.index, "finish_reason": self.finish});
        match self.text {
            Some(text) => value["text"] = text.into(),
            None => {
                value["message"] = json!({"role": self.role, "content": self.content});
                if !self.reasoning.is_empty() {
                    value["message"]["reasoning_content"] = self.reasoning.into();
                }
            }
        }
        if !self.log_probs.is_empty() {
            value["logprobs"] = self.log_probs.into();
        }
        if !self.token_ids.is_empty() {
            value["token_ids"] = self.token_ids.into();
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        ": keep-alive\n\n",
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hé\"},",
        "\"logprobs\":{\"content\":[{\"token\":\"Hé\",\"logprob\":-0.1}]},\"finish_reason\":null}]}\r\n\r\n",
        "event: message\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"},",
        "\"logprobs\":{\"content\":[{\"token\":\"llo\",\"logprob\":-0.2}]},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    );

    #[test]
    fn events_become_the_object_that_is_not_streamed() {
        assert!(is_stream(STREAM));
        let whole = assemble(STREAM).unwrap();
        let expected = json!({
            "id": "x",
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Héllo"},
                "logprobs": {"content": [
                    {"token": "Hé", "logprob": -0.1}, {"token": "llo", "logprob": -0.2}]},
            }],
        });
        assert_eq!(whole, expected);
    }

    #[test]
    fn a_stream_that_was_cut_anywhere_is_never_taken_for_an_answer() {
        let finish = STREAM.find("\"stop\"").unwrap();
        for (end, _) in STREAM.char_indices().filter(|&(end, _)| end <= finish) {
            let error = assemble(&STREAM[..end]).unwrap_err();
            assert!(
                matches!(
                    error,
                    AnswerProblem::StreamCut { .. } | AnswerProblem::BadEvent { .. }
                ),
                "{end}: {error}"
            );
        }
    }

    #[test]
    fn an_event_that_is_not_json_is_named() {
        let error = assemble("data: {\"choices\": []}\n\ndata: oops\n\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "event 2 of the stream is not JSON: \"oops\""
        );
    }

    #[test]
    fn an_error_in_a_stream_is_what_the_stream_says() {
        let whole = assemble("data: {\"error\": {\"message\": \"full\"}}\n\n").unwrap();
        assert_eq!(whole["error"]["message"], "full");
    }
}
