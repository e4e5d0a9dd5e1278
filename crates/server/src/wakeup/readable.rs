//! Which of a few sockets have something to read.
//!
//! One system call looks at all of them. Trying to read each takes a call for each, and most find nothing.

use libc::{POLLIN, nfds_t, pollfd};
use std::os::fd::RawFd;
use std::time::Duration;

use worker_server_core::pacing::MAX_POLLED_PEERS;

/// What the system has said of some sockets, [`MAX_POLLED_PEERS`] at most.
pub struct Readable([pollfd; MAX_POLLED_PEERS]);

impl Readable {
    /// Looks at these sockets, and sleeps for this time at most until one of them is readable, where the system has a
    /// call for that (Linux). One that is closed seems readable, and a read shows that it is not.
    pub fn among(sockets: impl IntoIterator<Item = RawFd>, most: Duration) -> Self {
        let mut looks = [pollfd { fd: -1, events: POLLIN, revents: 0 }; MAX_POLLED_PEERS];
        let mut count: nfds_t = 0;
        for (look, socket) in looks.iter_mut().zip(sockets) {
            look.fd = socket;
            count += 1;
        }
        if poll(&mut looks, count, most) < 0 {
            for look in &mut looks {
                look.revents = POLLIN;
            }
        }
        Self(looks)
    }

    /// Whether the socket at this place has something to read, be it its end or an error.
    pub fn has(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(|look| look.revents != 0)
    }
}

#[cfg(target_os = "linux")]
fn poll(looks: &mut [pollfd; MAX_POLLED_PEERS], count: nfds_t, most: Duration) -> i32 {
    let time = libc::timespec { tv_sec: 0, tv_nsec: most.subsec_nanos().into() };
    // SAFETY: the array has at least `count` elements. The system takes any number for a descriptor.
    unsafe { libc::ppoll(looks.as_mut_ptr(), count, &raw const time, std::ptr::null()) }
}

#[cfg(not(target_os = "linux"))]
fn poll(looks: &mut [pollfd; MAX_POLLED_PEERS], count: nfds_t, _: Duration) -> i32 {
    // SAFETY: the array has at least `count` elements. The system takes any number for a descriptor.
    unsafe { libc::poll(looks.as_mut_ptr(), count, 0) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    #[test]
    fn only_those_sockets_are_readable_to_which_something_was_written_or_which_have_ended() {
        let pairs: Vec<_> = (0..4).map(|_| connected()).collect();
        (&pairs[1].1).write_all(b"x").unwrap();
        pairs[3].1.shutdown(std::net::Shutdown::Write).unwrap();
        // On the loopback both have arrived.
        let readable = Readable::among(pairs.iter().map(|(socket, _)| socket.as_raw_fd()), Duration::ZERO);
        let which: Vec<_> = (0..6).map(|place| readable.has(place)).collect();
        assert_eq!(which, [false, true, false, true, false, false]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_sleeps_until_one_of_them_has_something() {
        let (socket, peer) = connected();
        std::thread::scope(|scope| {
            scope.spawn(|| (&peer).write_all(b"x").unwrap());
            while !Readable::among([socket.as_raw_fd()], Duration::from_millis(900)).has(0) {}
        });
    }

    #[test]
    fn a_socket_that_is_closed_counts_as_readable_and_hides_no_other() {
        let (open, peer) = connected();
        (&peer).write_all(b"x").unwrap();
        // No process has a descriptor as large as this.
        let readable = Readable::among([RawFd::MAX, open.as_raw_fd()], Duration::ZERO);
        assert!(readable.has(0) && readable.has(1));
    }
}
