//! Errors as clients see them.

use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use potstill_core::ChatError;
use serde_json::{Value, json};

use super::reply::json;
use crate::error::with_sources;

/// An answer that is none, in OpenAI's shape.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
    /// In seconds.
    retry_after: Option<u64>,
}

impl ApiError {
    /// The request is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            kind: "invalid_request_error",
            param: None,
            code: None,
            retry_after: None,
        }
    }

    /// The request is wrong in the field `param`.
    pub(super) fn invalid_field(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::invalid(message)
        }
    }

    /// The request asks for what this server does not do.
    pub(super) fn unsupported(param: &str, message: impl Into<String>) -> Self {
        Self {
            code: Some("unsupported_parameter"),
            ..Self::invalid_field(param, message)
        }
    }

    pub(super) fn with_status(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            ..Self::invalid(message)
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: Some("invalid_api_key"),
            ..Self::invalid(
                "this server needs the header \"Authorization: Bearer …\" with its token",
            )
        }
    }

    pub(super) fn unknown_model(asked: &str, served: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            ..Self::invalid_field(
                "model",
                format!("there is no model \"{asked}\" here, only \"{served}\""),
            )
        }
    }

    pub(super) fn busy(waiting: usize, retry_after: Duration) -> Self {
        // A fraction of a second becomes a whole one: the header knows no others.
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "rate_limit_error",
            code: Some("queue_full"),
            retry_after: Some(seconds),
            ..Self::invalid(format!(
                "{waiting} answers are waiting already; try again in {seconds} s"
            ))
        }
    }

    pub(super) fn shutting_down() -> Self {
        Self {
            kind: "service_unavailable",
            code: Some("shutting_down"),
            ..Self::with_status(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is shutting down and takes no new requests",
            )
        }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: "server_error",
            ..Self::with_status(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
    }

    /// `{"error": {...}}`.
    pub(super) fn to_json(&self) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }})
    }
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::BadRequest { reason, .. } => Self::invalid(reason),
            error @ ChatError::Unsupported { .. } => Self::invalid(error.to_string()),
            error => Self::internal(with_sources(&error)),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.to_json());
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
