//! A model behind a server that speaks the protocol of OpenAI.
//!
//! Asynchronous inside, synchronous outside: an [`Endpoint`] owns its runtime and can be called from
//! anywhere.

mod answer;
mod api_key;
mod asking;
mod call;
mod capabilities;
mod config;
mod exchange;
mod gate;
mod ledger;
mod probe;
mod rate;
mod retry;
mod scored;
mod scoring;
mod server;
mod sse;
mod streak;
mod talking;
mod teacher;
mod token_bytes;
mod transport;
mod turns;
mod wire;

use std::fmt;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;

pub use answer::AnswerProblem;
pub use api_key::ApiKey;
pub use call::AnswerKey;
pub use capabilities::{Capabilities, Scoring};
pub use config::{Budget, EndpointConfig, Limits, Mode, Prices, Retry};
pub use ledger::{BudgetReached, Spending};
pub use scoring::NextToken;
pub use server::ServerKind;
pub use teacher::EndpointTeacher;
pub use token_bytes::TokenBytes;
pub use wire::completion::{CompletionRequest, Prompt};
pub use wire::prompt::ScoringApi;

use crate::error::{BoxError, Error};
use crate::store::AnswerStore;
use exchange::Exchange;
use probe::Identity;
use wire::Lacking;

/// A model behind a server.
///
/// Answers are kept in the store of its [`EndpointConfig`] before anyone reads them, and what is in
/// the store is not asked again. A request without a seed and with a temperature above 0 asks for a
/// new draw: the n-th such request among equal ones of a call is the n-th draw, in every run. Give
/// seeds to draw more in later calls.
///
/// ```no_run
/// use potstill_core::{ChatModel, ChatRequest, Message};
/// use potstill_teachers::{Budget, Endpoint, EndpointConfig};
///
/// let mut config = EndpointConfig::new("http://localhost:8000/v1", "teacher").with_store("answers.redb");
/// config.budget = Budget { tokens: Some(100_000), ..Budget::default() };
/// let endpoint = Endpoint::new(config)?;
/// let question = ChatRequest::new(vec![Message::user("Why is the sky blue?")], 200);
/// for reply in endpoint.chat(&[question]) {
///     let text = reply.map(|reply| reply.text);
///     # let _ = text;
/// }
/// # Ok::<(), potstill_teachers::Error>(())
/// ```
pub struct Endpoint {
    shared: Arc<Shared>,
    known: Option<TokenBytes>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    exchange: Exchange,
    identity: OnceCell<Identity>,
    capabilities: OnceCell<Capabilities>,
}

impl Endpoint {
    /// An endpoint; opens the store and asks nothing yet.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense, or the store cannot be used.
    pub fn new(config: EndpointConfig) -> Result<Self, Error> {
        let exchange = Exchange::new(config)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(8)
            .thread_name("endpoint")
            .enable_all()
            .build()
            .map_err(|source| Error::Client {
                server: exchange.server(),
                source: BoxError::from(source),
            })?;
        Ok(Self {
            shared: Arc::new(Shared {
                exchange,
                identity: OnceCell::new(),
                capabilities: OnceCell::new(),
            }),
            known: None,
            runtime: Some(runtime),
        })
    }

    /// Tells the bytes of the model's tokens, for servers that name tokens by id.
    #[must_use]
    pub fn with_token_bytes(mut self, known: TokenBytes) -> Self {
        self.known = Some(known);
        self
    }

    /// Calls `observer` after every change of the [`Spending`], for a live cost line.
    ///
    /// It must not panic: whoever waits for an answer would, too.
    #[must_use]
    pub fn with_observer(self, observer: impl Fn(&Spending) + Send + Sync + 'static) -> Self {
        self.shared.exchange.ledger.observe(Arc::new(observer));
        self
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &EndpointConfig {
        &self.shared.exchange.config
    }

    /// What it did and what it cost.
    #[must_use]
    pub fn spending(&self) -> Spending {
        self.shared.exchange.ledger.spending()
    }

    /// Where its answers are kept.
    #[must_use]
    pub fn store(&self) -> Option<&AnswerStore> {
        self.shared.exchange.store.as_deref()
    }

    /// What the server can do, found out the first time with a handful of requests of a few tokens.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or lets nobody in.
    pub fn capabilities(&self) -> Result<Capabilities, Error> {
        let shared = self.shared.clone();
        self.wait(async move { shared.capabilities().await.cloned() })
    }

    /// Who answers, once it is certain that the server names `top` likely tokens.
    fn ready(&self, top: Option<usize>) -> Result<Identity, Error> {
        let shared = self.shared.clone();
        let identity = self.wait(async move { shared.identity().await.copied() })?;
        let Some(top) = top else { return Ok(identity) };
        match self.capabilities()?.top_log_probs {
            Some(most) if top <= most => Ok(identity),
            Some(most) => Err(self.lacks(
                identity.kind,
                Lacking {
                    feature: format!("`top_logprobs` of {top}, it named {most}"),
                    alternative: "ask for no more; if the server can name more, raise `likely_tokens`",
                },
            )),
            None => Err(self.lacks(
                identity.kind,
                Lacking {
                    feature: "`logprobs` of its own text".into(),
                    alternative: "ask without `top_log_probs` and learn from the text, or use a server \
                                  that has them, such as vLLM, llama.cpp or potstill-serve",
                },
            )),
        }
    }

    fn lacks(&self, kind: ServerKind, lacking: Lacking) -> Error {
        Error::Unsupported {
            server: format!("{kind} at {}", self.shared.exchange.server()),
            feature: lacking.feature,
            alternative: lacking.alternative.into(),
        }
    }
}

impl Shared {
    async fn identity(&self) -> Result<&Identity, Error> {
        let find = || probe::identify(&self.exchange);
        self.identity.get_or_try_init(find).await
    }

    async fn capabilities(&self) -> Result<&Capabilities, Error> {
        let identity = *self.identity().await?;
        let find = || probe::probe(&self.exchange, identity);
        self.capabilities.get_or_try_init(find).await
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for it would panic inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("config", self.config())
            .field("spending", &self.spending())
            .finish_non_exhaustive()
    }
}
