//! Which request goes where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::api_error::ApiError;
use super::{App, auth, chat, completions, reply, tokenize};

const ENDPOINTS: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/models",
    "/tokenize",
    "/detokenize",
    "/tokenizer_info",
    "/metrics",
    "/health",
];

/// All endpoints of `app`.
pub(super) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v1/chat/completions", post(chat::answer))
        .route("/v1/completions", post(completions::answer))
        .route("/v1/models", get(models))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        .route("/tokenizer_info", get(tokenize::tokenizer_info))
        .route("/metrics", get(metrics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&app), auth::check));
    Router::new()
        .route("/health", get(health))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(app.options.max_body_bytes))
        .layer(from_fn_with_state(Arc::clone(&app), count))
        .with_state(app)
}

/// Counts requests by endpoint and status.
async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let endpoint = ENDPOINTS.into_iter().find(|endpoint| *endpoint == path);
    let response = next.run(request).await;
    app.metrics
        .request(endpoint.unwrap_or("other"), response.status().as_u16());
    response
}

async fn models(State(app): State<Arc<App>>) -> Response {
    let model = json!({
        "id": app.name(),
        "object": "model",
        "created": app.created,
        "owned_by": "potstill",
        "max_model_len": app.chat.max_positions(),
    });
    reply::json(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, text) = if !app.chat.engine().is_alive() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the model's thread has died",
        )
    } else if app.intake.is_closed() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
    } else {
        (StatusCode::OK, "ok")
    };
    reply::json(status, &json!({"status": text}))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.text(app.chat.engine().load()) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
        }
        Err(_) => ApiError::internal("the metrics cannot be written").into_response(),
    }
}

async fn unknown_path(request: Request) -> ApiError {
    let path = request.uri().path();
    let known = ENDPOINTS.join(", ");
    ApiError::with_status(
        StatusCode::NOT_FOUND,
        format!("there is no {path} here, but {known}"),
    )
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::with_status(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} does not answer {}",
            request.uri().path(),
            request.method()
        ),
    )
}
