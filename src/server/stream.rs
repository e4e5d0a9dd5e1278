//! A TCP stream that tells how much it has sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection that is ended may take for its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes that the operating system has taken from a stream.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream whose [`Progress`] can be watched.
#[derive(Debug)]
pub struct MeteredStream {
    stream: TcpStream,
    sent: Progress,
}

impl MeteredStream {
    /// Begins to count.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, sent: Progress::default() }
    }

    /// Its count.
    pub fn progress(&self) -> Progress {
        self.sent.clone()
    }

    fn count(&self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = sent {
            self.sent.0.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        sent
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(sent)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Ends a connection so that the peer can read what it was sent last.
///
/// Closing a socket that has unread input resets the connection, and a reset takes unread output with it. So the
/// peer is told that nothing more comes, and what it still sends is thrown away for a moment.
pub async fn hang_up(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let farewell = async {
        if stream.shutdown().await.is_ok() {
            // On the heap: in the future it would cost every connection as much for all its life.
            let mut scratch = vec![0; 4096];
            while let Ok(1..) = stream.read(&mut scratch).await {}
        }
    };
    // Whether the peer listened or not, that was all.
    timeout(LAST_WORDS, farewell).await.ok();
}

/// Sends a last response and hangs up.
pub async fn hang_up_with(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), response: &str) {
    if let Ok(Ok(())) = timeout(LAST_WORDS, stream.write_all(response.as_bytes())).await {
        hang_up(stream).await;
    }
}
