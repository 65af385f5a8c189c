//! A device that is served on this machine, as a client on the network sees it.

use std::net::TcpListener;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use burn::prelude::*;
use burn::remote::{ConnectError, RemoteHost};
use burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
use potstill_core::{Taps, Teacher, TokenBatch, TokenRow};
use potstill_teachers::ModelTeacher;
use potstill_testkit::TinyLm;
use tokio::runtime::{Builder, Runtime};

use crate::parity::{Measure, Report};

/// A flex device behind a WebSocket server that lives as long as this process.
pub(super) fn device() -> Result<Device> {
    let (host, runtime) = serve(RemoteServer::new([Device::flex()]))?;
    // The server's tasks need somebody to own their runtime.
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(Device::remote_options(&host).init()?)
}

/// What only a device on a network can run into.
pub(super) fn check(report: &mut Report) {
    report.case("remote/a wrong token", || {
        let owner = TokenAuthorizer::new("owner")?;
        let (host, runtime) = serve(RemoteServer::new([Device::flex()]).with_authorizer(owner))?;
        let stranger = host.clone().with_credential("stranger");
        let refused = matches!(
            Device::remote_options(&stranger).init(),
            Err(ConnectError::Unauthorized)
        );
        Device::remote_options(&host.with_credential("owner")).init()?;
        runtime.shutdown_background();
        Ok(vec![Measure::exact("refused", usize::from(!refused))])
    });
    report.case("remote/a server that goes away", || {
        let (host, runtime) = serve(RemoteServer::new([Device::flex()]))?;
        let device = Device::remote_options(&host).init()?;
        let mut teacher = ModelTeacher::new(&TinyLm::new(11, 8, 2, 1, &device));
        let row = TokenRow::document(&[1, 2, 3], &[1.0, 1.0, 1.0]);
        let batch = TokenBatch::from_rows(&[row], 0, &Device::flex());
        teacher.signal(&batch, &Taps::default())?;
        runtime.shutdown_background();
        let error = teacher
            .signal(&batch, &Taps::default())
            .err()
            .ok_or_else(|| anyhow!("a teacher without weights answers"))?;
        let text = format!("{:#}", anyhow::Error::from(error));
        ensure!(
            text.contains("device"),
            "the error does not say why: {text}"
        );
        Ok(vec![Measure::exact("error", 0)])
    });
}

fn serve(server: RemoteServer) -> Result<(RemoteHost, Runtime)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let host = RemoteHost::websocket(&format!("ws://{}", listener.local_addr()?));
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.spawn(server.serve_async(WebSocketTransport::from_listener(listener)));
    Ok((host, runtime))
}
