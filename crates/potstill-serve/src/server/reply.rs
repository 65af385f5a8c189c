//! JSON bodies in and out.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ServerOptions;
use super::api_error::ApiError;

/// A response with a JSON body.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let json = HeaderValue::from_static("application/json");
            (status, [(CONTENT_TYPE, json)], Body::from(bytes)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a response is not JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What the body of a request says. Its size is limited by the router.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request,
    options: &ServerOptions,
) -> Result<T, ApiError> {
    let body = tokio::time::timeout(options.body_timeout, Bytes::from_request(request, &()));
    let Ok(body) = body.await else {
        return Err(ApiError::with_status(
            StatusCode::REQUEST_TIMEOUT,
            format!("the request did not arrive in {:?}", options.body_timeout),
        ));
    };
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::with_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "the request is larger than {} bytes",
                options.max_body_bytes
            ),
        ),
        status => ApiError::with_status(status, rejection.body_text()),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::invalid(format!("the request is not what it should be: {error}"))
    })
}

/// Seconds since 1970.
pub(super) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// An identifier that is given once.
pub(super) fn fresh_id(kind: &str) -> String {
    format!("{kind}-{:032x}", rand::random::<u128>())
}
