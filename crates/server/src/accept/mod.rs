//! From the listening socket to an upgraded worker, or to Node.

pub mod addresses;
pub mod descriptor;
pub mod handover;
pub mod linger;
pub mod listener;
pub mod request_head;
#[cfg(unix)]
pub mod socket_pair;
