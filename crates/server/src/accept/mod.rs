//! From the listening socket to an upgraded worker, or to Node.

pub mod handover;
pub mod linger;
pub mod listener;
pub mod request_head;
