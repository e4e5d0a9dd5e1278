//! The half of a TCP socket that is read, with two things that the runtime's own can't do: it can be read on a thread
//! that has not waited for the runtime to find it readable, and it shows that the peer has hung up although data is
//! left unread before that.

use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use crate::wakeup::polled_task::{reads_unasked, stop_reading_unasked};

/// The half of a TCP socket that is read.
#[derive(Debug)]
pub struct TcpReadHalf {
    tcp: OwnedReadHalf,
    /// The socket may be readable although the runtime has been told that it is not.
    may_be_readable: bool,
}

impl From<OwnedReadHalf> for TcpReadHalf {
    fn from(tcp: OwnedReadHalf) -> Self {
        Self { tcp, may_be_readable: false }
    }
}

impl TcpReadHalf {
    /// Ready once the peer has hung up: it sends nothing more (FIN), or the connection has failed. Nothing is read, and
    /// what is left unread may be read later.
    ///
    /// A peer that has sent more than the sockets between take is not seen to hang up before that is read: the end comes
    /// behind it.
    pub fn poll_hung_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { tcp, may_be_readable } = self;
        loop {
            if ready!(tcp.as_ref().poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match pin!(tcp.ready(Interest::READABLE)).poll(cx) {
                Poll::Ready(Ok(readiness)) if !readiness.is_read_closed() => {
                    // Data is there, and stays there. The next event is awaited, which is more data or the end.
                    *may_be_readable = true;
                    let unread = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    tcp.as_ref().try_io(Interest::READABLE, unread).ok();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
    }

    /// Reads what there is. `None` if there is nothing.
    fn read_now(&self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let socket = SockRef::from(self.tcp.as_ref());
        match (&*socket).read(buffer.initialize_unfilled()) {
            Ok(length) => {
                buffer.advance(length);
                Some(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl AsyncRead for TcpReadHalf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.may_be_readable || reads_unasked() {
            if let Some(read) = self.read_now(buffer) {
                if buffer.remaining() > 0 {
                    stop_reading_unasked();
                }
                return Poll::Ready(read);
            }
            self.may_be_readable = false;
        }
        // Where nothing has come, this leaves word with the runtime.
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn connected() -> (TcpReadHalf, TcpStream, impl Drop) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (reader, writer) = listener.accept().await.unwrap().0.into_split();
        (reader.into(), peer, writer)
    }

    #[tokio::test]
    async fn the_end_shows_behind_data_that_is_left_unread_and_all_of_it_can_be_read_afterwards() {
        let (mut reader, mut peer, _writer) = connected().await;
        let mut polls = 0;
        for round in 0..3 {
            peer.write_all(b"data").await.unwrap();
            // It is there, and nothing more: the task sleeps.
            reader.tcp.readable().await.unwrap();
            let look = poll_fn(|cx| Poll::Ready(reader.poll_hung_up(cx)));
            assert_eq!(look.await, Poll::Pending, "round {round}");
        }
        peer.shutdown().await.unwrap();
        poll_fn(|cx| {
            polls += 1;
            reader.poll_hung_up(cx)
        })
        .await;
        assert!(polls <= 2, "{polls} polls");
        let mut all = String::new();
        reader.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "data".repeat(3));
    }

    #[tokio::test]
    async fn what_was_left_unread_is_read_although_no_event_comes_any_more() {
        let (mut reader, mut peer, _writer) = connected().await;
        peer.write_all(b"data").await.unwrap();
        reader.tcp.readable().await.unwrap();
        assert_eq!(poll_fn(|cx| Poll::Ready(reader.poll_hung_up(cx))).await, Poll::Pending);
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"data");
        // And then as ever.
        let more = async {
            peer.write_all(b"more").await.unwrap();
        };
        let ((), read) = tokio::join!(more, reader.read_exact(&mut bytes));
        assert_eq!((read.unwrap(), &bytes), (4, b"more"));
    }
}
