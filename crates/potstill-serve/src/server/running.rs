//! A server on a thread of its own.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::Server;
use crate::Error;

/// Threads that talk to clients; the model has its own.
const THREADS: usize = 2;

/// A server that runs on a thread of its own; dropping it shuts it down.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl RunningServer {
    pub(super) fn start(server: Server) -> Result<Self, Error> {
        let failed = |source| Error::Start {
            thread: "server",
            source,
        };
        let address = server.address();
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("potstill-server")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("potstill-server".into())
            .spawn(move || {
                runtime.block_on(server.run(async {
                    // An error means that the handle is gone: a reason to stop as well.
                    let _ = stopped.await;
                }))
            })
            .map_err(failed)?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses new work, finishes what was begun, and ends.
    ///
    /// # Errors
    ///
    /// What [`Server::run`] says.
    pub fn shutdown(mut self) -> Result<(), Error> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.stop = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::Panicked {
                address: self.address,
            }),
            None => Ok(()),
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "the server did not end well");
        }
    }
}
