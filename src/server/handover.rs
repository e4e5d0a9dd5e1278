//! The one seam where the operating system matters: giving an accepted socket to Node, and taking one back.

use std::io;

use tokio::net::TcpStream;

#[cfg(unix)]
mod platform {
    use std::io;
    use std::net::TcpStream as StdStream;
    use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

    /// A socket on its way to Node. Dropped on the way, it is closed.
    #[derive(Debug)]
    pub struct Handover(OwnedFd);

    impl Handover {
        pub(super) fn new(stream: StdStream) -> Self {
            Self(stream.into())
        }

        /// Gives the file descriptor, for `new net.Socket({ fd })`. Whoever takes it must close it.
        pub fn into_descriptor(self) -> RawFd {
            self.0.into_raw_fd()
        }
    }

    /// A socket of its own over the connection that Node's descriptor `fd` stands for; Node keeps, and closes, its own.
    pub(super) fn duplicate(fd: RawFd) -> io::Result<StdStream> {
        if fd < 0 {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        // SAFETY: the caller holds the socket that owns `fd` open for the length of this call, and the descriptor that
        // it is duplicated to is owned by nobody else.
        let owned = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        let stream = unsafe { StdStream::from_raw_fd(owned.into_raw_fd()) };
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

#[cfg(not(unix))]
compile_error!("handing sockets to Node is not written for this platform yet");

pub use platform::Handover;

impl Handover {
    /// Takes a socket from tokio.
    ///
    /// # Errors
    /// If tokio cannot let go of it.
    pub fn of(stream: TcpStream) -> io::Result<Self> {
        stream.into_std().map(Self::new)
    }
}

/// Takes a connection back from Node, by the descriptor of its socket. Must be called within the runtime.
///
/// # Errors
/// If the descriptor is not open, or too many are.
pub fn take_back(fd: i32) -> io::Result<TcpStream> {
    TcpStream::from_std(platform::duplicate(fd)?)
}
