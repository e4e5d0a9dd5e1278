//! File descriptors of sockets that change hands between this server and Node.

#[cfg(unix)]
pub use unix::{Descriptor, Lent, take_back};

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::mem::ManuallyDrop;
    use std::net::{SocketAddr, TcpStream as StdStream};
    use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use tokio::net::TcpStream;

    /// A socket on its way to Node. Dropped on the way, it is closed.
    #[derive(Debug)]
    pub struct Descriptor(OwnedFd);

    impl Descriptor {
        pub(crate) fn of(stream: TcpStream) -> io::Result<Self> {
            Ok(Self(stream.into_std()?.into()))
        }

        /// Of an end of a pair of sockets.
        pub(crate) fn of_pair(end: UnixStream) -> Self {
            Self(end.into())
        }

        /// Returns the file descriptor, for `new net.Socket({ fd })`. Its new owner must close it.
        pub fn into_raw(self) -> RawFd {
            self.0.into_raw_fd()
        }

        /// The same, for someone who may not live to close it.
        pub fn lend(self) -> Lent {
            let fd = self.into_raw();
            Lent { fd, identity: Identity::of(fd) }
        }
    }

    /// A file descriptor that someone may have taken over, or not. When this is dropped, it is closed if it still is
    /// open: a new owner must have closed it by then. Another file may have got its number meanwhile, which is left
    /// alone.
    #[derive(Debug)]
    pub struct Lent {
        fd: RawFd,
        identity: Option<Identity>,
    }

    impl Lent {
        /// The descriptor's number.
        pub fn number(&self) -> RawFd {
            self.fd
        }

        /// Its owner will close it.
        pub fn give_away(mut self) {
            self.identity = None;
        }
    }

    impl Drop for Lent {
        fn drop(&mut self) {
            if self.identity.is_some() && Identity::of(self.fd) == self.identity {
                // SAFETY: it is the very socket that was lent, and nobody has taken it over.
                drop(unsafe { OwnedFd::from_raw_fd(self.fd) });
            }
        }
    }

    /// What distinguishes a socket from another that has got the number of its descriptor.
    #[derive(Debug, PartialEq, Eq)]
    struct Identity {
        file: (u64, u64),
        /// Not all systems number their sockets as files.
        ends: Option<(SocketAddr, SocketAddr)>,
    }

    impl Identity {
        /// `None` if there is no such socket.
        fn of(fd: RawFd) -> Option<Self> {
            // SAFETY: neither is closed here, nor used for anything but questions that are answered for any descriptor.
            let (file, socket) =
                unsafe { (ManuallyDrop::new(File::from_raw_fd(fd)), ManuallyDrop::new(StdStream::from_raw_fd(fd))) };
            let metadata = file.metadata().ok()?;
            let is_numbered = cfg!(any(target_os = "linux", target_os = "android"));
            // The ends of a connection that was reset can't be asked for any more.
            let ends = if is_numbered { None } else { socket.local_addr().ok().zip(socket.peer_addr().ok()) };
            (is_numbered || ends.is_some()).then_some(Self { file: (metadata.dev(), metadata.ino()), ends })
        }
    }

    /// Takes a connection back from Node, by the descriptor of its socket. Node keeps, and closes, its own. Must be
    /// called within the runtime.
    ///
    /// # Safety
    /// Where `fd` is not negative the caller must hold the socket that owns it open for the length of this call.
    ///
    /// # Errors
    /// If the descriptor is not open, or too many are.
    pub unsafe fn take_back(fd: RawFd) -> io::Result<TcpStream> {
        if fd < 0 {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // SAFETY: as the caller says.
        let owned = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        let stream = StdStream::from(owned);
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }
}

/// Where there are no descriptors to exchange, everything is relayed.
#[cfg(not(unix))]
mod elsewhere {
    use std::convert::Infallible;
    use std::io;

    use tokio::net::TcpStream;

    /// There is none on this platform.
    #[derive(Debug)]
    pub struct Descriptor(Infallible);

    impl Descriptor {
        pub(in crate::accept) fn of(_: TcpStream) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never called: there is none.
        pub fn into_raw(self) -> i32 {
            match self.0 {}
        }

        /// Never called: there is none.
        pub fn lend(self) -> Lent {
            match self.0 {}
        }
    }

    /// There is none on this platform.
    #[derive(Debug)]
    pub struct Lent(Infallible);

    impl Lent {
        /// Never called: there is none.
        pub fn number(&self) -> i32 {
            match self.0 {}
        }

        /// Never called: there is none.
        pub fn give_away(self) {
            match self.0 {}
        }
    }

    /// Not possible on this platform.
    ///
    /// # Safety
    /// It does nothing.
    ///
    /// # Errors
    /// Always.
    pub unsafe fn take_back(_: i32) -> io::Result<TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(unix))]
pub use elsewhere::{Descriptor, Lent, take_back};

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream as StdStream};
    use std::os::fd::{FromRawFd, OwnedFd};

    use tokio::net::TcpStream;

    use super::*;

    /// A socket to give away, and its peer.
    fn pair() -> (Descriptor, StdStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (Descriptor::of(TcpStream::from_std(stream).unwrap()).unwrap(), peer)
    }

    #[tokio::test]
    async fn a_lent_descriptor_that_nobody_took_over_is_closed() {
        let (descriptor, mut peer) = pair();
        drop(descriptor.lend());
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn a_descriptor_that_was_given_away_stays_open() {
        let (descriptor, mut peer) = pair();
        let lent = descriptor.lend();
        // SAFETY: it was lent for this.
        let mut taken = StdStream::from(unsafe { OwnedFd::from_raw_fd(lent.number()) });
        lent.give_away();
        taken.write_all(b"x").unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 1);
    }

    #[tokio::test]
    async fn a_lent_descriptor_whose_number_went_to_another_socket_is_left_alone() {
        let (first, _peer) = pair();
        let lent = first.lend();
        let number = lent.number();
        // SAFETY: it was lent for this.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
        // Tests run beside each other, and any of them may get the number: then this proves nothing, and nothing is
        // wrong.
        let (second, mut peer) = pair();
        drop(lent);
        // SAFETY: it is this test's own.
        let mut second = StdStream::from(unsafe { OwnedFd::from_raw_fd(second.into_raw()) });
        second.write_all(b"x").unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 1);
    }
}
