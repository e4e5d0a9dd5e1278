//! One worker connection, from its upgrade to its last byte: one task owns one socket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::events::Event;
use super::outbox::{Sent, cost};
use super::peer::Peer;
use super::shared::Shared;
use super::stream::{MeteredStream, Progress, hang_up};
use crate::core::log::Line;
use crate::core::protocol::{Closing, heartbeat_ack};
use crate::core::session::{Action, Session};

/// How long a peer may take to answer a close frame, as RFC 6455, section 7.1.1 lets the server decide.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Read buffer of a connection. The default of 128 KiB would cost an idle worker more than all the rest.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// How often a deadline is looked at again while a peer waits for this server.
const RECHECK: Duration = Duration::from_millis(50);

type Socket = WebSocketStream<MeteredStream>;

/// How a connection ended.
enum End {
    /// The peer sent a close frame, with this code (1005: none) and reason, and the handshake is over.
    Closed(u16, Utf8Bytes),
    /// It was lost, or cut.
    Lost,
    /// The peer broke the protocol; it is to be told by this close frame.
    Broken(Closing),
}

/// Upgrades a connection that was let in, by the `response` to its handshake, and runs it to its end. `early` is what
/// came behind the request head.
pub async fn run(shared: Arc<Shared>, peer: Arc<Peer>, mut stream: TcpStream, response: String, early: Vec<u8>) {
    // Whatever happens in this task, a panic included, the end of the connection is told.
    let mut guard = EndGuard { shared: &shared, peer: &peer, code: 1006, reason: Utf8Bytes::default() };
    if stream.write_all(response.as_bytes()).await.is_err() {
        return;
    }
    drop(response);
    shared.log_for(&peer, Line::debug("New WebSocket connection from potential worker", json!(null)));
    let stream = MeteredStream::new(stream);
    let sent = stream.progress();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(shared.config.limits.max_message_bytes))
        .max_frame_size(Some(shared.config.limits.max_message_bytes));
    let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let mut reader = Reader { shared: &shared, peer: &peer, session: Session::new() };
    let end = tokio::select! {
        // In this order: what was sent goes out before a close frame is read, after which nothing may.
        biased;
        () = write(&shared, &peer, &mut sink, &sent) => End::Lost,
        end = reader.read(&mut stream) => end,
        () = close_deadline(&peer) => End::Lost,
        () = registration_deadline(&shared, &peer) => End::Lost,
    };
    match end {
        End::Closed(code, reason) => (guard.code, guard.reason) = (code, reason),
        End::Lost => {}
        End::Broken(closing) => {
            // The application need not wait for the goodbye.
            drop(guard);
            if let Ok(socket) = stream.reunite(sink) {
                Box::pin(say_goodbye(socket, closing)).await;
            }
        }
    }
}

struct EndGuard<'a> {
    shared: &'a Shared,
    peer: &'a Arc<Peer>,
    code: u16,
    reason: Utf8Bytes,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.shared.shut(self.peer);
        let reason = std::mem::take(&mut self.reason);
        self.shared.events.push(Event::Closed { peer: Arc::clone(self.peer), code: self.code, reason });
    }
}

async fn say_goodbye(mut socket: Socket, closing: Closing) {
    let frame = CloseFrame { code: closing.code.into(), reason: closing.reason.into() };
    if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, socket.close(Some(frame))).await {
        hang_up(socket.get_mut()).await;
    }
}

/// Ends a while after a close frame was queued.
async fn close_deadline(peer: &Peer) {
    peer.outbox.closing().await;
    sleep(CLOSE_TIMEOUT).await;
}

/// Closes a connection that is neither registered nor in use in time. Never ends.
async fn registration_deadline(shared: &Shared, peer: &Peer) {
    let limit = shared.config.limits.registration_timeout;
    sleep(limit).await;
    // A message of it must be looked at first, by an application that may be busy.
    while peer.is_registering() || peer.unhandled_messages() > 0 {
        sleep(RECHECK).await;
    }
    if peer.worker().is_none() && !peer.is_in_use() && peer.is_open() {
        let context = json!({ "timeoutMs": u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) });
        shared.log(Line::warn("WebSocket connection did not register in time, closing", context));
        shared.close(peer, Closing::REGISTRATION_TIMEOUT);
    }
    std::future::pending::<()>().await;
}

/// A copy of a text that shares the codec's read buffer.
///
/// While a message shares it, the codec cannot use the buffer again, and reads the next messages in small pieces.
fn detach(text: Utf8Bytes) -> Utf8Bytes {
    if text.len() < READ_BUFFER_BYTES { Utf8Bytes::from(text.as_str()) } else { text }
}

struct Reader<'a> {
    shared: &'a Shared,
    peer: &'a Arc<Peer>,
    session: Session,
}

impl Reader<'_> {
    async fn read(&mut self, stream: &mut SplitStream<Socket>) -> End {
        let mut end = End::Lost;
        loop {
            self.wait_for_turn().await;
            match stream.next().await {
                Some(Ok(Message::Text(text))) => self.on_text(text),
                Some(Ok(Message::Binary(data))) => {
                    // A binary frame may hold JSON text; as Node's Buffer.toString, bad UTF-8 becomes U+FFFD.
                    self.on_text(Utf8Bytes::from(String::from_utf8_lossy(&data).into_owned()));
                }
                Some(Ok(Message::Close(frame))) => {
                    self.shared.shut(self.peer);
                    end = match frame {
                        Some(frame) => End::Closed(frame.code.into(), frame.reason),
                        None => End::Closed(1005, Utf8Bytes::default()),
                    };
                }
                // Pings are answered by the codec.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return self.on_error(&error, end),
                None => return end,
            }
        }
    }

    /// Waits while a registration is being settled, or while this peer has as much unhandled as it may.
    async fn wait_for_turn(&self) {
        if self.peer.is_registering() {
            self.peer.settled().await;
        }
        let limits = &self.shared.config.limits;
        if self.has_unhandled(limits.max_unhandled_bytes) {
            self.peer.set_paused(true);
            self.shared.log_for(
                self.peer,
                Line::warn("Too much is unhandled, reading pauses", self.shared.describe(self.peer)),
            );
            // Not until there is room for one more message, or it would pause, and be logged, at each.
            while self.has_unhandled((limits.max_unhandled_bytes / 2).max(1)) {
                self.peer.handled().await;
            }
            // Its heartbeats may be among what could not be read.
            self.shared.touch(self.peer);
            self.peer.set_paused(false);
        }
    }

    /// Whether this peer has as much as `own_limit` unhandled, or its part in as much as the server may have.
    fn has_unhandled(&self, own_limit: usize) -> bool {
        let own = self.peer.unhandled();
        // A peer that has nothing waiting may go on even when the others have filled the server's share, so that
        // heartbeats pass.
        own >= own_limit
            || (own > 0 && self.shared.events.unhandled() >= self.shared.config.limits.max_unhandled_bytes_total)
    }

    fn on_text(&mut self, text: Utf8Bytes) {
        let peer = self.peer;
        let text = detach(text);
        match self.session.on_text(&text, self.shared.config.auth_tokens.as_deref()) {
            Action::Deliver => self.shared.events.push(Event::Message { peer: Arc::clone(peer), text }),
            Action::Heartbeat { worker_id, named, timestamp } => {
                self.on_heartbeat(worker_id.as_deref(), named, timestamp);
            }
            // Whoever is being closed can't be told that it is registered.
            Action::Register(_) if !peer.is_open() => {}
            Action::Register(registration) => {
                peer.propose(registration);
                self.shared.events.push(Event::Register { peer: Arc::clone(peer), text });
                if !peer.is_open() {
                    // The server may have stopped just now, and nobody will settle it.
                    peer.settle();
                }
            }
            Action::Refuse { answer, closing, line } => {
                self.shared.log_for(peer, line);
                peer.outbox.send(answer.into());
                self.shared.close(peer, closing);
            }
            Action::Complain(line) => self.shared.log_for(peer, line),
            Action::Ignore => {}
        }
    }

    fn on_heartbeat(&self, worker_id: Option<&str>, named: Option<Value>, timestamp: Option<&str>) {
        let now = self.shared.clock.now();
        if worker_id.is_some_and(|id| self.shared.pool.lock().heartbeat(id, now)) {
            let ack = heartbeat_ack(timestamp, now, self.shared.config.heartbeat_timeout_ms);
            if self.peer.outbox.send(ack.into()) == (Sent::Full { first: true }) {
                self.shared.log_full(self.peer);
            }
        } else {
            let context = named.map_or_else(|| json!({}), |named| json!({ "workerId": named }));
            self.shared.log_for(self.peer, Line::warn("Heartbeat from unknown worker", context));
        }
    }

    /// The stream failed: either the peer broke the protocol, or the connection is gone.
    fn on_error(&self, error: &Error, end: End) -> End {
        let closing = match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Closing::TOO_BIG,
            Error::Utf8(_) => Closing::INVALID_UTF8,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => {
                return if matches!(end, End::Closed(..)) { end } else { End::Lost };
            }
            _ => Closing::PROTOCOL_ERROR,
        };
        self.shared.log_for(self.peer, Line::error("Worker WebSocket error", json!({ "error": error.to_string() })));
        End::Broken(closing)
    }
}

/// Why writing stopped.
enum WriteError {
    /// The codec refuses: the close frame went out, or the connection failed. The reader will know.
    Refused,
    /// The peer took nothing for too long.
    Stalled,
}

/// Sends what the outbox gives. Ends only when there is nothing left to hope for.
async fn write(shared: &Shared, peer: &Arc<Peer>, sink: &mut SplitSink<Socket, Message>, sent: &Progress) {
    let mut patience = Some(shared.config.limits.stall_timeout);
    let mut batch = Vec::new();
    loop {
        peer.outbox.take(&mut batch).await;
        let bytes = batch.iter().map(cost).sum();
        let closes = matches!(batch.last(), Some(Message::Close(_)));
        let result = write_batch(&mut batch, sink, sent, patience).await;
        peer.outbox.confirm(bytes);
        match result {
            Ok(()) if closes => break,
            Ok(()) => {}
            Err(WriteError::Refused) => {
                shared.shut(peer);
                break;
            }
            Err(WriteError::Stalled) => {
                shared.log_for(peer, Line::warn("Slow consumer, closing", shared.describe(peer)));
                shared.shut(peer);
                peer.outbox.cut(Closing::SLOW_CONSUMER);
                // From here the close deadline counts.
                patience = None;
                batch.clear();
            }
        }
        if batch.capacity() > 64 {
            batch = Vec::new();
        }
    }
    std::future::pending::<()>().await;
}

async fn write_batch(
    batch: &mut Vec<Message>,
    sink: &mut SplitSink<Socket, Message>,
    sent: &Progress,
    patience: Option<Duration>,
) -> Result<(), WriteError> {
    for message in batch.drain(..) {
        unless_stalled(sink, sent, patience, Some(message)).await?;
    }
    unless_stalled(sink, sent, patience, None).await
}

/// Feeds a message, or flushes, unless the peer takes nothing for as long as `patience`.
async fn unless_stalled(
    sink: &mut SplitSink<Socket, Message>,
    sent: &Progress,
    patience: Option<Duration>,
    message: Option<Message>,
) -> Result<(), WriteError> {
    let step = async {
        match message {
            Some(message) => sink.feed(message).await,
            None => sink.flush().await,
        }
    };
    let Some(patience) = patience else { return step.await.map_err(|_| WriteError::Refused) };
    tokio::pin!(step);
    loop {
        let before = sent.bytes();
        match timeout(patience, &mut step).await {
            Ok(result) => return result.map_err(|_| WriteError::Refused),
            Err(_) if sent.bytes() == before => return Err(WriteError::Stalled),
            Err(_) => {}
        }
    }
}
