//! The HTTP server.

mod answers;
mod api_error;
mod auth;
mod chat;
mod chunks;
mod completions;
mod fields;
mod intake;
mod log_probs;
mod metrics;
mod options;
mod reply;
mod routes;
mod running;
mod tokenize;

use std::future::Future;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use axum::serve::ListenerExt;
use tokio::sync::oneshot;

pub use auth::BearerToken;
pub use options::ServerOptions;
pub use running::RunningServer;

use crate::{Error, LocalChat};
use intake::Intake;
use metrics::Metrics;

/// An OpenAI-compatible server for one model.
///
/// | endpoint | |
/// |---|---|
/// | `POST /v1/chat/completions` | conversations, streamed or whole, with log-probabilities |
/// | `POST /v1/completions` | text or token ids; with `echo`, `logprobs` and `max_tokens: 0` it scores prompts |
/// | `GET /v1/models` | the model's name and context |
/// | `POST /tokenize`, `POST /detokenize` | text or a conversation to token ids, and back |
/// | `GET /tokenizer_info` | special tokens and chat template, for clients such as lm-evaluation-harness |
/// | `GET /health` | 200, or 503 while it shuts down |
/// | `GET /metrics` | OpenMetrics text for Prometheus |
///
/// Errors have OpenAI's shape. A field that would change the answer and is not supported is refused
/// by its name. There is no TLS: put a proxy in front where the network is not yours.
///
/// ```no_run
/// use potstill_serve::{LocalChat, Server, ServerOptions};
///
/// # fn serve(chat: LocalChat) -> Result<(), potstill_serve::Error> {
/// let server = Server::bind("127.0.0.1:8000", chat, ServerOptions::default())?.start()?;
/// println!("http://{}/v1", server.address());
/// // ... and when it is time to go:
/// server.shutdown()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
}

/// What every request needs.
#[derive(Debug)]
struct App {
    chat: LocalChat,
    options: ServerOptions,
    metrics: Metrics,
    intake: Arc<Intake>,
    /// When the server came up, in seconds since 1970.
    created: u64,
}

impl Server {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or a limit is 0.
    pub fn bind(
        address: impl ToSocketAddrs + std::fmt::Debug,
        chat: LocalChat,
        options: ServerOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        let failed = |source| Error::Bind {
            address: format!("{address:?}"),
            source,
        };
        let listener = TcpListener::bind(&address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = App {
            chat,
            options,
            metrics: Metrics::new(),
            intake: Arc::default(),
            created: reply::unix_seconds(),
        };
        Ok(Self {
            listener,
            address,
            app: Arc::new(app),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready: then it refuses new work with status 503, finishes what it
    /// began, and ends. Needs a tokio runtime with IO and time.
    ///
    /// # Errors
    ///
    /// When the socket fails, or requests are not finished in
    /// [`shutdown_grace`](ServerOptions::shutdown_grace). Connections that are still open then end
    /// with the runtime.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let Self {
            listener,
            address,
            app,
        } = self;
        let failed = |source| Error::Serve { address, source };
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(failed)?
            .tap_io(|socket| {
                // Otherwise a token waits up to 40 ms until the client has confirmed the one before.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a connection sends in batches");
                }
            });
        let intake = Arc::clone(&app.intake);
        let grace = app.options.shutdown_grace;
        let (closed, closing) = oneshot::channel::<()>();
        let drained = {
            let intake = Arc::clone(&intake);
            async move {
                shutdown.await;
                tracing::info!(%address, in_flight = intake.in_flight(), "shutting down");
                intake.close();
                // Nobody waits for it when the server has failed.
                let _ = closed.send(());
                intake.drained().await;
            }
        };
        let patience = async {
            if closing.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(grace).await;
        };
        tracing::info!(%address, model = app.name(), "serving");
        let served = axum::serve(listener, routes::router(app)).with_graceful_shutdown(drained);
        tokio::select! {
            result = served.into_future() => result.map_err(failed),
            () = patience => match intake.in_flight() {
                // Connections without a request that their clients do not close.
                0 => Ok(()),
                unfinished => Err(Error::ShutdownTimeout { unfinished, grace }),
            },
        }
    }

    /// Serves on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the thread or its runtime cannot be started.
    pub fn start(self) -> Result<RunningServer, Error> {
        RunningServer::start(self)
    }
}

impl App {
    fn name(&self) -> &str {
        potstill_core::ChatModel::name(&self.chat)
    }
}
