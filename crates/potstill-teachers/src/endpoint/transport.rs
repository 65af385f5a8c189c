//! Bytes to a server and back.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, redirect};
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::{Value, json};

use super::ApiKey;
use super::call::{Call, Path};
use super::config::{EndpointConfig, Limits};
use super::retry::RetryAdvice;
use crate::Error;
use crate::error::BoxError;

/// What came back, whatever it is.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) advice: RetryAdvice,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the server may have worked on it.
    pub(super) was_sent: bool,
    /// Whether another attempt can succeed.
    pub(super) is_worth_another: bool,
}

#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    server: String,
    key: Option<ApiKey>,
    stream: bool,
    limits: Limits,
}

impl Transport {
    pub(super) fn new(config: &EndpointConfig) -> Result<Self, Error> {
        let server = config.base_url.trim_end_matches('/').to_owned();
        let failed = |source: BoxError| Error::Client {
            server: server.clone(),
            source,
        };
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            // The cause is left out, since it may show the value.
            let value = key.header().map_err(|_| Error::Config {
                field: "api_key",
                value: "not fit for a header".into(),
                expected: "visible ASCII characters",
            })?;
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .user_agent(concat!("potstill/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(Duration::from_secs_f64(config.limits.connect_seconds))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .tls_backend_preconfigured(
                tls(server.starts_with("https:")).map_err(|error| failed(error.into()))?,
            )
            .build()
            .map_err(|error| failed(error.without_url().into()))?;
        Ok(Self {
            client,
            server,
            key: config.api_key.clone(),
            stream: config.stream,
            limits: config.limits.clone(),
        })
    }

    /// Sends `call` once, and reads what comes back until its end.
    pub(super) async fn send(&self, call: &Call, deadline: Duration) -> Result<Answer, Failure> {
        let limit = Duration::from_secs_f64(self.limits.attempt_seconds).min(deadline);
        let exchange = async {
            let response = self.request(call).send().await;
            self.read(response.map_err(|error| self.not_answered(error))?)
                .await
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                error: Error::TimedOut {
                    server: self.server.clone(),
                    seconds: limit.as_secs_f64(),
                },
                was_sent: true,
                is_worth_another: true,
            }),
        }
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let address = match call.path {
            Path::Base(path) => format!("{}{path}", self.server),
            Path::Root(path) => {
                let root = self.server.strip_suffix("/v1").unwrap_or(&self.server);
                format!("{root}{path}")
            }
        };
        let Some(body) = &call.body else {
            return self.client.get(address);
        };
        let mut body = body.clone();
        if self.stream && call.streams {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        self.client
            .post(address)
            .header(CONTENT_TYPE, "application/json")
            .body(Value::to_string(&body))
    }

    async fn read(&self, mut response: Response) -> Result<Answer, Failure> {
        let headers = response.headers();
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let mut answer = Answer {
            status: response.status().as_u16(),
            advice: RetryAdvice::read(headers, SystemTime::now()),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|error| Failure {
            error: Error::Interrupted {
                server: self.server.clone(),
                source: error.without_url().into(),
            },
            was_sent: true,
            is_worth_another: true,
        })? {
            if answer.body.len() + chunk.len() > self.limits.answer_bytes {
                return Err(Failure {
                    error: Error::TooLarge {
                        server: self.server.clone(),
                        limit: self.limits.answer_bytes,
                    },
                    was_sent: true,
                    is_worth_another: false,
                });
            }
            answer.body.extend_from_slice(&chunk);
        }
        self.without_key(&mut answer);
        Ok(answer)
    }

    /// A server may repeat the key; what is kept and shown must not.
    fn without_key(&self, answer: &mut Answer) {
        let Some(key) = &self.key else { return };
        if key.is_in(&answer.body) {
            answer.body = key
                .redact(&String::from_utf8_lossy(&answer.body))
                .into_bytes();
        }
        if key.is_in(answer.content_type.as_bytes()) {
            answer.content_type.clear();
        }
    }

    fn not_answered(&self, error: reqwest::Error) -> Failure {
        let server = self.server.clone();
        let was_sent = !(error.is_connect() || error.is_builder());
        let is_certificate = chain(&error).any(is_of_tls);
        let is_worth_another = !error.is_builder() && !is_certificate;
        let source = error.without_url().into();
        Failure {
            error: if was_sent {
                Error::Interrupted { server, source }
            } else {
                Error::Unreachable { server, source }
            },
            was_sent,
            is_worth_another,
        }
    }
}

/// The causes of an error.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// Whether TLS failed. IO errors do not name what they hold as their source, and hold each other.
fn is_of_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let held = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || held.is_some_and(|error| is_of_tls(error))
}

/// Certificates are verified as the platform does it. Nothing is installed for the whole process,
/// and without https nothing is loaded either.
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
