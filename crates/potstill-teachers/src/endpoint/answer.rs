//! Is it an answer at all?
//!
//! Gateways send web pages, errors and cut streams with status 200, so that what came back is
//! looked at, and the status only where it is an error.

use serde_json::Value;

use super::sse;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerProblem {
    /// A page for people.
    #[error("it is a web page: {excerpt:?}; is `base_url` right?")]
    WebPage {
        /// How it begins.
        excerpt: String,
    },
    /// Bytes that are not text.
    #[error("byte {at} is not UTF-8: the answer was cut inside a character or recoded")]
    NotUtf8 {
        /// The first wrong byte, from 0.
        at: usize,
    },
    /// Text that is not JSON, or JSON that was cut off.
    #[error("it is not whole JSON ({reason}): {excerpt:?}")]
    NotJson {
        /// What the parser says.
        reason: String,
        /// How it begins.
        excerpt: String,
    },
    /// An event that is not JSON.
    #[error("event {event} of the stream is not JSON: {excerpt:?}")]
    BadEvent {
        /// The event, from 1.
        event: usize,
        /// How it begins.
        excerpt: String,
    },
    /// A stream without its end.
    #[error("the stream ends after {events} events without a finish reason: it was cut")]
    StreamCut {
        /// Events that came.
        events: usize,
    },
    /// A field is missing or has another shape.
    #[error("{reason}")]
    Shape {
        /// What the parser says.
        reason: String,
    },
    /// Nothing was answered.
    #[error("it has no {field}")]
    Missing {
        /// What is missing.
        field: &'static str,
    },
    /// Log-probabilities that cannot be those of the text.
    #[error("the log-probabilities of token {position} cannot be right: {reason}")]
    LogProbs {
        /// The token, from 0.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// The server read something else than was sent.
    #[error("the server's token {position} is {found}, but {expected} was sent; {alternative}")]
    Alignment {
        /// The token, from 0.
        position: usize,
        /// What was sent.
        expected: String,
        /// What the server read.
        found: String,
        /// What to do.
        alternative: &'static str,
    },
}

/// An error that the server reports in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

/// What a body is.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    Json(Value),
    Error(ServerError),
}

/// Reads a body that came with status 200.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Content, AnswerProblem> {
    let text = std::str::from_utf8(body).map_err(|error| AnswerProblem::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('<') {
        return Err(AnswerProblem::WebPage {
            excerpt: excerpt(text),
        });
    }
    let value = if content_type.starts_with("text/event-stream") || sse::is_stream(text) {
        sse::assemble(text)?
    } else {
        serde_json::from_str(text).map_err(|error| AnswerProblem::NotJson {
            reason: error.to_string(),
            excerpt: excerpt(text),
        })?
    };
    Ok(match error_in(&value, 400) {
        Some(error) => Content::Error(error),
        None => Content::Json(value),
    })
}

/// What the body of an error says, which may be JSON of several shapes, a page, or nothing.
pub(super) fn read_error(status: u16, body: &[u8]) -> ServerError {
    let text = String::from_utf8_lossy(body);
    let parsed = serde_json::from_str(&text).ok();
    let error = parsed.and_then(|value| error_in(&value, status));
    ServerError {
        status,
        ..error.unwrap_or_else(|| ServerError {
            status,
            code: String::new(),
            message: excerpt(text.trim()),
        })
    }
}

/// `{"error": {"message", "code"}}`, `{"error": "..."}`, or vLLM's `{"object": "error", "message"}`.
fn error_in(value: &Value, status: u16) -> Option<ServerError> {
    let error = match value.get("error") {
        Some(error) if !error.is_null() => error,
        _ if value.get("object").and_then(Value::as_str) == Some("error") => value,
        _ => return None,
    };
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let number = |name: &str| {
        let number = error.get(name)?.as_u64()?;
        u16::try_from(number)
            .ok()
            .filter(|code| (400..600).contains(code))
    };
    Some(ServerError {
        status: number("code").or(number("status")).unwrap_or(status),
        code: text("code").or(text("type")).unwrap_or_default().to_owned(),
        message: text("message")
            .or(error.as_str())
            .map_or_else(|| excerpt(&error.to_string()), excerpt),
    })
}

/// The beginning of a text, on one line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut short = String::new();
    for (i, word) in text.split_whitespace().enumerate() {
        if i > 0 {
            short.push(' ');
        }
        short.push_str(word);
        if short.len() > LONGEST {
            break;
        }
    }
    match short.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &short[..end]),
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn refused(content_type: &str, body: &[u8], message: &str) {
        let error = read(content_type, body).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn what_is_no_answer_is_called_what_it_is() {
        refused(
            "text/html",
            b"\n<!DOCTYPE html>\n<h1>Sign in</h1>",
            "it is a web page: \"<!DOCTYPE html> <h1>Sign in</h1>\"",
        );
        refused("", br#"{"choices": [{"mess"#, "it is not whole JSON (EOF");
        refused("", b"", "it is not whole JSON");
        let mut cut = r#"{"text": "é"#.as_bytes().to_vec();
        cut.pop();
        refused("application/json", &cut, "byte 10 is not UTF-8");
    }

    #[test]
    fn an_error_with_status_200_is_an_error() {
        let error = |body: &Value| match read("", body.to_string().as_bytes()) {
            Ok(Content::Error(error)) => (error.status, error.message),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            error(&json!({"error": {"code": 429, "message": "slow down"}})),
            (429, "slow down".into())
        );
        assert_eq!(
            error(&json!({"error": "no such model"})),
            (400, "no such model".into())
        );
        assert_eq!(
            error(&json!({"object": "error", "message": "too long", "code": 400})),
            (400, "too long".into())
        );
        let fine = read("", br#"{"error": null, "choices": []}"#).unwrap();
        assert!(matches!(fine, Content::Json(_)));
    }

    #[test]
    fn the_body_of_an_error_may_be_anything() {
        let page = read_error(502, b"<html>\n<b>Bad   Gateway</b>");
        assert_eq!(page.message, "<html> <b>Bad Gateway</b>");
        let quota = br#"{"error": {"message": "pay", "code": "insufficient_quota"}}"#;
        assert_eq!(read_error(429, quota).code, "insufficient_quota");
        assert_eq!(read_error(500, &[0xff]).message, "\u{fffd}");
    }

    #[test]
    fn an_excerpt_is_short() {
        assert_eq!(excerpt(" a \n b "), "a b");
        assert_eq!(excerpt(&"é".repeat(500)).chars().count(), 204);
    }
}
