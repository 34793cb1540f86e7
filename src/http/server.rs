//! Connections: accepted, bounded in number and in patience, and ended cleanly.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::Layer as _;
use tower::util::MapRequestLayer;
use tracing::debug;
use tracing::warn;

use crate::error::Result;
use crate::http::App;
use crate::http::auth::Peer;
use crate::http::layers;
use crate::http::router;

/// How long a client may take to send a request's headers, and may be idle between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// More wait until one of these ends: below the usual limit of 1,024 open files, with room for the files served.
const CONNECTIONS_MAX: usize = 450;
/// How soon accepting is tried again when the system has no more open files to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop` turns true, then lets running requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: App,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let router = router(app);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            // An error means that the sender is gone, which is a stop too.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, peer, place)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let prepare = MapRequestLayer::new(move |mut request: axum::http::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            layers::tidy_path(request)
        });
        let service = TowerToHyperService::new(prepare.layer(router.clone()));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        let watcher = graceful.watcher();
        let tls = tls.clone();
        tokio::spawn(async move {
            let ended = match tls {
                None => {
                    watcher
                        .watch(builder.serve_connection(TokioIo::new(stream), service))
                        .await
                }
                Some(tls) => {
                    let shaken = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)).await;
                    let Ok(Ok(stream)) = shaken else {
                        debug!("a client did not come to speak TLS");
                        return;
                    };
                    watcher
                        .watch(builder.serve_connection(TokioIo::new(stream), service))
                        .await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "cannot switch Nagle's algorithm off");
            }
            Some((stream, Peer(peer.ip()), place))
        }
        Err(error) => {
            warn!(%error, "cannot accept a connection");
            None
        }
    }
}
