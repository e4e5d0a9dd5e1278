//! A connection, plain or encrypted. Its user need not know which.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::tcp_read_half::TcpReadHalf;
use crate::tls::halves::{self, TlsReadHalf, TlsWriteHalf};
use crate::tls::handshake::TlsStream;
use crate::tls::peer_security::PeerSecurity;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted, its handshake done.
    Tls(Box<TlsStream>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl Stream {
    /// Its socket.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// What the handshake has shown of the peer; `None` if the connection is plain.
    pub fn security(&self) -> Option<PeerSecurity> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(PeerSecurity::of(stream)),
        }
    }

    /// Halves for a WebSocket.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                (ReadHalf::Plain(reader.into()), WriteHalf::Plain(writer))
            }
            Self::Tls(stream) => {
                let (reader, writer) = halves::split(*stream);
                (ReadHalf::Tls(Box::new(reader)), WriteHalf::Tls(writer))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The half of a connection that is read.
pub enum ReadHalf {
    /// Of a plain one.
    Plain(TcpReadHalf),
    /// Of an encrypted one.
    Tls(Box<TlsReadHalf>),
}

impl ReadHalf {
    /// The socket below.
    pub fn tcp_mut(&mut self) -> &mut TcpReadHalf {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(half) => half.tcp_mut(),
        }
    }

    /// Reads what there is into an empty buffer, of 64 KiB where the connection is encrypted; nothing at the end. Returns
    /// whether more waits.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        match self {
            Self::Plain(tcp) => {
                ready!(Pin::new(tcp).poll_read(cx, buffer))?;
                Poll::Ready(Ok(buffer.remaining() == 0))
            }
            Self::Tls(half) => half.poll_read(cx, buffer),
        }
    }
}

/// The half of a connection that is written. When it is dropped, it notifies the peer that nothing more comes.
pub enum WriteHalf {
    /// Of a plain one.
    Plain(OwnedWriteHalf),
    /// Of an encrypted one.
    Tls(TlsWriteHalf),
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteHalf({:?})", self.tcp())
    }
}

impl From<OwnedWriteHalf> for WriteHalf {
    fn from(half: OwnedWriteHalf) -> Self {
        Self::Plain(half)
    }
}

impl WriteHalf {
    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp.as_ref(),
            Self::Tls(half) => half.tcp(),
        }
    }

    /// Bytes that were given and not taken, but can't be taken back.
    pub fn in_flight(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(half) => half.in_flight(),
        }
    }

    /// Writes as much as is taken without waiting. What was not taken, of what is [in flight](Self::in_flight), must be
    /// passed again.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`], or what the socket says.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => match slices {
                // A call that is cheaper for the system.
                [only] => tcp.try_write(only),
                several => tcp.try_write_vectored(several),
            },
            Self::Tls(half) => half.try_write_vectored(slices),
        }
    }
}
