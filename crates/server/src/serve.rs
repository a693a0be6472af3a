//! Owns the connections: how many there are, how long they may dawdle, and how they end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::sparing::Sparing;
use crate::unsent::Unsent;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// How many are open at once at most; the next waits in the system's backlog.
    connections: usize,
    /// How long a client may take to send the head of a request, the first as every other one.
    slowest_head: Duration,
    /// How long a client may take none of what it asked for. A log is also read by a person, page by
    /// page.
    slowest_reader: Duration,
}

const LIMITS: Limits = Limits {
    connections: 512,
    slowest_head: Duration::from_secs(30),
    slowest_reader: Duration::from_secs(15 * 60),
};

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
    serve_within(LIMITS, listener, router, stop).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let mut connections = JoinSet::new();
    let full = Sparing::default();
    loop {
        let has_room = connections.len() < limits.connections;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note(ended),
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), limits, stop.clone()));
                    if connections.len() == limits.connections
                        && let Some(left_out) = full.line(Instant::now())
                    {
                        let open = limits.connections;
                        tracing::warn!(open, left_out, "no room for another connection: it has to wait");
                    }
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
async fn connection(stream: TcpStream, router: Router, limits: Limits, stop: CancellationToken) {
    prepare(&stream);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.slowest_head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .keep_alive_interval(limits.slowest_head)
        .keep_alive_timeout(limits.slowest_head);
    // The builder's own limits only begin once it knows whether this is HTTP/1 or HTTP/2.
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    let service = router.map_request(move |request: Request<_>| {
        begins.notify_one();
        request.map(Body::new)
    });
    let silent = async {
        let begun = tokio::time::timeout(limits.slowest_head, begun.notified());
        if begun.await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let stream = TokioIo::new(Unsent::new(stream, limits.slowest_reader));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = silent => Err("no request came".into()),
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::Bytes;
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A server with room for two, and little patience.
    async fn start(limits: impl FnOnce(&mut Limits)) -> SocketAddr {
        let mut all = Limits {
            connections: 2,
            ..LIMITS
        };
        limits(&mut all);
        let endless = || async {
            let piece = || Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 1 << 16]));
            Body::from_stream(stream::repeat_with(piece))
        };
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/endless", get(endless));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_within(
            all,
            listener,
            router,
            CancellationToken::new(),
        ));
        address
    }

    async fn send(address: SocketAddr, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    /// That somebody else gets an answer, in the end.
    async fn answers(address: SocketAddr) {
        let asked = async {
            let mut stream = send(address, "GET / HTTP/1.0\r\n\r\n").await;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room() {
        for begin in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HT"] {
            let address = start(|limits| limits.slowest_head = Duration::from_millis(50)).await;
            let silent = (send(address, begin).await, send(address, begin).await);
            answers(address).await;
            drop(silent);
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_makes_room() {
        let address = start(|limits| limits.slowest_reader = Duration::from_millis(50)).await;
        let asked = "GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let stuck = (send(address, asked).await, send(address, asked).await);
        answers(address).await;
        drop(stuck);
    }
}
