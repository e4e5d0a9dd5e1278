//! The listening socket, and the way of each connection to the part that serves it.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::json;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

use super::addresses::Origin;
use super::handover;
use super::linger::respond_and_linger;
use super::request_head::{self, NoHead, Request};
use crate::connection::{self, Setup};
use crate::connection_info::ConnectionInfo;
use crate::shared::{Admission, Shared};
use crate::stream::Stream;
use crate::tls::handshake::{self, NoHandshake};
use crate::wakeup::polled_task::PolledTask;
use worker_server_core::log::Line;
use worker_server_core::metrics::{LimitName, UpgradeResult};

/// Length of the queue of connections that wait to be accepted, as Node's default.
const BACKLOG: i32 = 511;
/// After a failure to accept, such as too many open files, how long to let things settle.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which the operating system probes whether a peer's machine is still there, and the time between
/// probes. After about nine without an answer, three minutes in all, it ends the connection.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Binds to `host`, an IP address, or to all interfaces: IPv6 and IPv4 on one socket, or IPv4 alone where there is no
/// IPv6, as Node's `listen(port)`. With `reuse_port` other processes of this user that have it too may listen there as
/// well, and each connection goes to one of them.
///
/// # Errors
/// Those of the operating system; [`io::ErrorKind::Unsupported`] if it lets no processes share a port.
pub fn bind(host: Option<&str>, port: u16, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    if let Some(host) = host {
        // The standard library's own parser knows scopes as numbers, but not as names (`fe80::1%eth0`).
        let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        return listen(address, reuse_port);
    }
    match listen((Ipv6Addr::UNSPECIFIED, port).into(), reuse_port) {
        Err(error) if is_without_ipv6(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into(), reuse_port),
        result => result,
    }
}

fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // On Unix this lets a restarted server have its port back; on Windows it would let others steal it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if reuse_port {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Lets the operating system notice that a peer's machine is gone, which otherwise nothing would show while nothing is
/// sent.
fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive).ok();
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[cfg(target_os = "linux")]
const EAFNOSUPPORT: i32 = 97;
#[cfg(target_os = "macos")]
const EAFNOSUPPORT: i32 = 47;
#[cfg(windows)]
const EAFNOSUPPORT: i32 = 10047;

/// Accepts connections until the server stops.
pub async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    while let Some(accepted) = shared.until_stop(listener.accept()).await {
        shared.pacer.on_connect();
        // In a storm of connections this thread may never be idle.
        shared.notifier.on_progress();
        match accepted {
            Ok((stream, remote)) => {
                tokio::spawn(serve(Arc::clone(&shared), stream, remote));
            }
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                shared.log_limited(server_error(&error));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn server_error(error: &io::Error) -> Line {
    Line::error("HTTP server error", json!({ "error": error.to_string() }))
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Serves a connection that was just accepted: its first request shows whose it is.
async fn serve(shared: Arc<Shared>, stream: TcpStream, remote: SocketAddr) {
    // As Node's http server does: small messages are not held back.
    stream.set_nodelay(true).ok();
    let mut deadline = HeadDeadline::begin(&shared);
    let secured = Box::pin(shared.until_stop(secure(&shared, stream, &mut deadline)));
    let Some(mut stream) = secured.await.flatten() else { return };
    let mut read = BytesMut::new();
    let request = shared.until_stop(read_head(&shared, &mut stream, &mut read, &mut deadline)).await.flatten();
    match request {
        None => {}
        Some(Request::WebSocket { path, response, length }) if !shared.endpoints.read().contains(&path) => {
            let early = read.split_off(length);
            let connection = shared.describe_connection(remote, &read).secured(stream.security());
            connect(&shared, stream, &path, connection, response, early).await;
        }
        Some(_) => {
            keep_alive(stream.tcp());
            if let Err(error) = handover::give(&shared, stream, read.freeze()).await {
                shared.log_limited(server_error(&error));
            }
        }
    }
}

/// Serves a connection that Node gave back: it had served other requests of it, and then came an upgrade that is a
/// worker's. `read` holds that request, and whatever came behind it. `origin` is known where the socket can't be asked.
pub async fn serve_worker(shared: Arc<Shared>, stream: TcpStream, mut read: BytesMut, origin: Option<Origin>) {
    let mut stream = Stream::from(stream);
    let mut deadline = HeadDeadline::begin(&shared);
    let request = shared.until_stop(read_head(&shared, &mut stream, &mut read, &mut deadline)).await.flatten();
    match request {
        None => {}
        Some(Request::WebSocket { path, response, length }) => {
            let relayed = || shared.relayed.lock().get(&stream.tcp().peer_addr().ok()?.port()).cloned();
            let Some(origin) =
                origin.or_else(|| relayed().map(|origin| (*origin).clone())).or_else(|| Origin::of(&stream).ok())
            else {
                // It is gone.
                return;
            };
            let early = read.split_off(length);
            let connection = shared.describe_connection(origin.addresses.remote, &read).secured(origin.security);
            connect(&shared, stream, &path, connection, response, early).await;
        }
        Some(Request::Http) => {
            respond_and_linger(
                &mut stream,
                &request_head::response("400 Bad Request", "", "Not a WebSocket handshake"),
            )
            .await;
        }
    }
}

/// The connection as it is or, on a server with TLS, after its handshake. A peer that speaks no TLS gets an answer.
async fn secure(shared: &Shared, stream: TcpStream, deadline: &mut HeadDeadline<'_>) -> Option<Stream> {
    if shared.secure_context.read().is_none() {
        return Some(Stream::Plain(stream));
    }
    let remote_address = remote_address(&stream);
    match deadline.run(handshake::accept(|| shared.secure_context.read().clone(), stream)).await {
        Some(Ok(stream)) => return Some(Stream::Tls(stream)),
        Some(Err(NoHandshake::Plain(mut stream))) => {
            let response = request_head::response("400 Bad Request", "", "This port is served over TLS only");
            respond_and_linger(&mut stream, &response).await;
        }
        Some(Err(NoHandshake::Failed(error))) => {
            let context = json!({ "remoteAddress": remote_address, "error": error.to_string() });
            shared.log_limited(Line::debug("TLS handshake failed", context));
        }
        None => {
            shared.metrics.limit_hit(LimitName::HeadTimeoutMs);
            shared.log_limited(head_took_too_long());
        }
    }
    None
}

fn head_took_too_long() -> Line {
    Line::warn("Request head took too long", json!(null))
}

/// The address that a connection comes from. One of IPv4 is one of IPv4, though the listening socket may be of both.
fn remote_address(stream: &TcpStream) -> Option<String> {
    stream.peer_addr().ok().map(|address| address.ip().to_canonical().to_string())
}

/// Reads a request head within its limits. A peer that crosses them gets an answer.
async fn read_head(
    shared: &Shared,
    stream: &mut Stream,
    read: &mut BytesMut,
    deadline: &mut HeadDeadline<'_>,
) -> Option<Request> {
    let reading = request_head::read(stream, read, shared.config.limits.max_head_bytes);
    let (status, limit, line) = match deadline.run(reading).await {
        Some(Ok(request)) => return Some(request),
        Some(Err(NoHead::Gone)) => return None,
        // Within TLS it is something that is no HTTP.
        Some(Err(NoHead::Tls)) if matches!(stream, Stream::Tls(_)) => return Some(Request::Http),
        Some(Err(NoHead::Tls)) => {
            let context = json!({ "remoteAddress": remote_address(stream.tcp()) });
            shared.log_limited(Line::warn("TLS on a plain port", context));
            return None;
        }
        Some(Err(NoHead::TooLarge)) => {
            let line = Line::warn("Request head too large", json!(null));
            ("431 Request Header Fields Too Large", LimitName::MaxHeadBytes, line)
        }
        None => ("408 Request Timeout", LimitName::HeadTimeoutMs, head_took_too_long()),
    };
    shared.metrics.limit_hit(limit);
    shared.log_limited(line);
    respond_and_linger(stream, &request_head::response(status, "", "")).await;
    None
}

/// Until when a request head must have come, and the handshake before it. Time in which this process did not run does
/// not count.
struct HeadDeadline<'a> {
    shared: &'a Shared,
    since: Instant,
}

impl<'a> HeadDeadline<'a> {
    fn begin(shared: &'a Shared) -> Self {
        Self { shared, since: Instant::now() }
    }

    /// Runs `step` to its end, if that comes in time.
    async fn run<T>(&mut self, step: impl Future<Output = T>) -> Option<T> {
        let mut step = pin!(step);
        loop {
            let limit = self.shared.config.limits.head_timeout;
            if let Ok(done) = timeout_at(self.since + limit, step.as_mut()).await {
                return Some(done);
            }
            self.shared.observe_time();
            let awake_since = self.shared.awake_since();
            if awake_since <= self.since {
                return None;
            }
            self.since = awake_since;
        }
    }
}

/// Finds out whether there is room for a worker whose handshake is answered with `response`. With an error, which
/// answers it instead, there is none.
fn let_in(
    shared: &Arc<Shared>,
    path: &str,
    connection: ConnectionInfo,
    response: Result<String, String>,
) -> Result<(String, Admission), String> {
    let response = shared.judge_upgrade(path, &connection).and(response)?;
    if let Some(seconds) = *shared.retry_after.lock() {
        let retry_after = format!("Retry-After: {seconds}\r\n");
        return Err(request_head::response("503 Service Unavailable", &retry_after, "Server draining"));
    }
    let refusal = || request_head::response("503 Service Unavailable", "", "Too many connections");
    let admission = shared.admit(connection).ok_or_else(refusal)?;
    Ok((response, admission))
}

/// Lets a worker in, if its handshake is right and there is room for one more. A task of its own runs the connection to
/// its end: this one, with all that it needed to find out whose the connection is, need not live as long.
async fn connect(
    shared: &Arc<Shared>,
    mut stream: Stream,
    path: &str,
    connection: ConnectionInfo,
    response: Result<String, String>,
    early: BytesMut,
) {
    let (response, admission) = match let_in(shared, path, connection, response) {
        Ok(let_in) => let_in,
        Err(refusal) => {
            shared.metrics.upgraded(UpgradeResult::Refused);
            return respond_and_linger(&mut stream, &refusal).await;
        }
    };
    shared.metrics.upgraded(UpgradeResult::Accepted);
    keep_alive(stream.tcp());
    let peer = Arc::clone(&admission.peer);
    let setup = Box::new(Setup { stream, response, early: early.to_vec() });
    let task = PolledTask::new(connection::run(admission, setup));
    peer.set_task(Arc::downgrade(&task));
    let running = tokio::spawn(poll_fn(move |cx| task.poll(cx)));
    shared.may_cut(peer.id, running.abort_handle());
}
