//! From a socket that was just accepted to an encrypted connection.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::secure_context::SecureContext;

/// An encrypted connection, after its handshake.
pub type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// The first byte of a TLS connection: a record with a handshake message (RFC 8446, section 5.1).
pub const HANDSHAKE_RECORD: u8 = 0x16;

/// Why there is no encrypted connection.
#[derive(Debug)]
pub enum NoHandshake {
    /// The peer went away, or did not agree with this side. It was sent an alert, if it is still there.
    Failed(io::Error),
    /// The peer does not speak TLS.
    Plain(TcpStream),
}

/// Shakes hands, by the context of the moment in which the peer begins. `context` is called then.
///
/// # Errors
/// If no encrypted connection comes of it.
pub async fn accept(
    context: impl FnOnce() -> Option<SecureContext>,
    stream: TcpStream,
) -> Result<Box<TlsStream>, NoHandshake> {
    let mut first = [0];
    // Nothing is taken: it is the handshake's, or read with the rest of what is no handshake.
    match stream.peek(&mut first).await {
        Ok(0) => return Err(NoHandshake::Failed(io::ErrorKind::UnexpectedEof.into())),
        Ok(_) if first[0] != HANDSHAKE_RECORD => return Err(NoHandshake::Plain(stream)),
        Ok(_) => {}
        Err(error) => return Err(NoHandshake::Failed(error)),
    }
    let Some(context) = context() else { return Err(NoHandshake::Plain(stream)) };
    let acceptor = TlsAcceptor::from(context.0);
    acceptor.accept(stream).await.map(Box::new).map_err(NoHandshake::Failed)
}
