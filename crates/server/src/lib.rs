//! The server: sockets and tasks on a tokio runtime of its own, without Node.
//!
//! A connection comes in at [`accept`], shows by its request head whose it is, and is either handed over to Node or
//! becomes a [`connection`], whose task owns its socket to the end. The application's thread learns of everything through the
//! [`events`] queue, and it alone lets workers into the pool and out of it. What it sends goes through each peer's
//! [`outbox`].
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`server`] | the handle that the application's thread holds: start, drain, send, select, stop |
//! | [`membership`] | the same: who joins and leaves the pool |
//! | [`requests`] | the same: requests that look for a worker |
//! | [`fleet`] | workers and requests, behind one lock |
//! | [`freed_slots`] | what frees a slot on a thread of the runtime |
//! | [`accept`] | from the listening socket to an upgraded worker, or to Node |
//! | [`websocket`] | frames and the state of any WebSocket |
//! | [`connection`] | what a worker's messages mean to the server |
//! | [`connection_info`] | whence a connection came, and the request that opened it |
//! | [`door`], [`gatekeeper`] | who may come in, and who judges it |
//! | [`logging`], [`log_limits`] | what it logs, and how much of what peers can cause |
//! | [`events`] | the queue of what the application's thread has to handle |
//! | [`outbox`] | what waits to be sent to a peer, and its way into the socket |
//! | [`wakeup`] | when the two threads wake each other |
//! | [`tls`], [`stream`] | encrypted connections; a connection, whether it is one or not |
//! | [`tcp_read_half`] | reading a socket, and noticing that its peer has hung up |
//! | [`peer`], [`shared`] | one connection, and all of them, as both threads see them |

pub mod accept;
pub mod connection;
pub mod connection_info;
pub mod door;
mod end_guard;
pub mod events;
pub mod fleet;
pub mod freed_slots;
pub mod gatekeeper;
pub mod log_limits;
pub mod logging;
pub mod membership;
pub mod outbox;
pub mod peer;
pub mod requests;
pub mod server;
pub mod shared;
pub mod stream;
pub mod tcp_read_half;
pub mod tls;
pub mod wakeup;
pub mod websocket;

pub use membership::Registered;
pub use server::Server;
