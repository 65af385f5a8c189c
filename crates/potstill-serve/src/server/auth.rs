//! Who may ask.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

use super::App;
use super::api_error::ApiError;

/// A secret that clients send as `Authorization: Bearer …`.
///
/// Only its hash is kept, so that it can reach neither a log nor an error; comparing takes the same
/// time whatever was sent.
#[derive(Clone)]
pub struct BearerToken([u8; 32]);

impl BearerToken {
    /// Takes over the hash of `secret`.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    fn is(&self, secret: &[u8]) -> bool {
        Sha256::digest(secret).as_slice().ct_eq(&self.0).into()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// Lets requests with the right token pass.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let allowed = match &app.options.token {
        Some(token) => shown(request.headers()).is_some_and(|secret| token.is(secret)),
        None => true,
    };
    if allowed {
        next.run(request).await
    } else {
        ApiError::unauthorized().into_response()
    }
}

fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_shown() {
        let token = BearerToken::new("open sesame");
        assert_eq!(format!("{token:?}"), "BearerToken(..)");
        assert!(token.is(b"open sesame") && !token.is(b"open sesam"));
    }

    #[test]
    fn the_scheme_may_be_written_in_small_letters() {
        let shown_by = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            shown(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(shown_by("bearer x"), Some(b"x".to_vec()));
        assert_eq!(shown_by("Basic x"), None);
        assert_eq!(shown_by("é"), None);
    }
}
