//! Ending a connection so that the peer can read what it was sent last.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a connection that is ended may take for its last words.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Ends a connection so that the peer can read what it was sent last.
///
/// Closing a socket that has unread input resets the connection, and a reset takes unread output with it. So the
/// peer is notified that nothing more comes, and what it still sends is thrown away for a moment.
async fn lingering_close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if stream.shutdown().await.is_ok() {
        discard(stream).await;
    }
}

/// Throws away what a peer still sends that was notified that nothing more comes, until it ends the connection or a
/// moment is over.
pub async fn discard(stream: &mut (impl AsyncRead + Unpin)) {
    let mut scratch = vec![0; 4096];
    let rest = async { while let Ok(1..) = stream.read(&mut scratch).await {} };
    // Whether the peer listened or not, that was all.
    timeout(LINGER_TIMEOUT, rest).await.ok();
}

/// Sends a last response and hangs up.
pub async fn respond_and_linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), response: &str) {
    let written = async {
        stream.write_all(response.as_bytes()).await?;
        stream.flush().await
    };
    if let Ok(Ok(())) = timeout(LINGER_TIMEOUT, written).await {
        lingering_close(stream).await;
    }
}
