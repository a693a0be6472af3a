//! Owns the connections: how many there are, how long they may dawdle, and how they end.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How many connections are open at once at most; the next waits in the system's backlog.
const CONNECTIONS: usize = 512;

/// How long a client may take to send the head of a request, and how long a connection may idle.
const SLOWEST_HEAD: Duration = Duration::from_secs(30);

/// After how much silence a client is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);

/// How long requests may go on after the stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How long to wait where the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then takes no more connections, lets requests that were begun end within
/// 5 seconds, and cuts off what is left. Streams end at once if the router has the same `stop`.
///
/// # Errors
/// Where the listener has no address, which means that it never listened.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < CONNECTIONS;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note(ended),
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone()));
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off what is left");
        connections.shutdown().await;
    }
    Ok(())
}

/// One connection, from its first byte to its last.
async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    prepare(&stream);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(SLOWEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .keep_alive_interval(SLOWEST_HEAD)
        .keep_alive_timeout(SLOWEST_HEAD);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients go away as they like.
        tracing::debug!(error, "connection ended early");
    }
}

/// Sets up the socket. Where the system refuses, all works a little worse.
fn prepare(stream: &TcpStream) {
    // Streams are many small messages, each wanted at once.
    let _ = stream.set_nodelay(true);
    // A stream can be silent for hours, and its reader gone without a word.
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(SILENCE);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task ended badly");
    }
}

/// Whether only that one client is concerned.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
