//! Requests and answers.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url, redirect};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::MlflowError;

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of an answer.
const LONGEST: usize = 64 << 20;

/// A client of MLflow's tracking server and model registry, through their REST API.
///
/// It speaks of runs with parameters and metrics, and of registered models with versions, aliases and
/// tags; not of stages, which MLflow itself has replaced by aliases. [`push`](Self::push) puts a version
/// of a [`Registry`](crate::Registry) there, so that people find it where they look for all their
/// models; which version is good is still decided by gates.
///
/// Calls block, so they are not for async code.
#[derive(Debug)]
pub struct MlflowClient {
    client: Client,
    runtime: Runtime,
    address: String,
}

/// What the server says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error_code: String,
    #[serde(default)]
    message: String,
}

impl MlflowClient {
    /// A client for the server at `address`, with a bearer token if it asks for one. Nothing is sent
    /// yet.
    ///
    /// # Errors
    ///
    /// When the address is none, the token cannot be sent, or the system gives no certificates or no
    /// event loop.
    pub fn new(address: &str, token: Option<&str>) -> Result<Self, MlflowError> {
        let address = address.trim_end_matches('/').to_owned();
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !Url::parse(&address).as_ref().is_ok_and(is_http) {
            return Err(MlflowError::Address { address });
        }
        let set_up = || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            let mut headers = HeaderMap::new();
            if let Some(token) = token {
                // The cause is left out, since it may show the token.
                let value = HeaderValue::from_str(&format!("Bearer {token}"));
                let mut value = value.map_err(|_| "the token is not fit for a header")?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            let client = Client::builder()
                .user_agent(concat!("potstill/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers)
                .timeout(PATIENCE)
                .redirect(redirect::Policy::none())
                .no_proxy()
                .tls_backend_preconfigured(tls(address.starts_with("https:"))?)
                .build()?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            Ok((client, runtime))
        };
        match set_up() {
            Ok((client, runtime)) => Ok(Self {
                client,
                runtime,
                address,
            }),
            Err(source) => Err(MlflowError::Client { address, source }),
        }
    }

    pub(super) fn get<T: DeserializeOwned>(
        &self,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<T, MlflowError> {
        self.call(Method::GET, call, query, None)
    }

    pub(super) fn post<T: DeserializeOwned>(
        &self,
        call: &str,
        body: &Value,
    ) -> Result<T, MlflowError> {
        self.call(Method::POST, call, &[], Some(body))
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        call: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T, MlflowError> {
        let base = format!("{}/api/2.0/mlflow/{call}", self.address);
        let url = Url::parse_with_params(&base, query).map_err(|_| MlflowError::Address {
            address: base.clone(),
        })?;
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let answer = async {
            let mut response = request.send().await?;
            let (status, mut bytes) = (response.status().as_u16(), Vec::new());
            while let Some(chunk) = response.chunk().await? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > LONGEST {
                    break;
                }
            }
            Ok((status, bytes))
        };
        let (status, bytes) = self
            .runtime
            .block_on(answer)
            .map_err(|source: reqwest::Error| MlflowError::NoAnswer {
                address: self.address.clone(),
                source: source.without_url(),
            })?;
        let call = call.to_owned();
        if status != 200 {
            let refusal = serde_json::from_slice(&bytes).unwrap_or_else(|_| Refusal {
                error_code: "no code".into(),
                message: String::from_utf8_lossy(&bytes).chars().take(200).collect(),
            });
            return Err(MlflowError::Refused {
                call,
                status,
                code: refusal.error_code,
                message: refusal.message,
            });
        }
        serde_json::from_slice(&bytes).map_err(|error| MlflowError::Answer {
            call,
            problem: error.to_string(),
        })
    }
}

/// Certificates as the system trusts them; none are read where none are needed.
fn tls(is_used: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    Ok(if is_used {
        builder.with_platform_verifier()?.with_no_client_auth()
    } else {
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    })
}

/// A list of `{"key", "value"}`, which is how MLflow writes maps.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

pub(super) fn entries<'a>(map: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Value> {
    let entry = |(key, value)| serde_json::json!({"key": key, "value": value});
    map.into_iter().map(entry).collect()
}
