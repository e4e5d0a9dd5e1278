//! Any WebSocket: its frames, the messages in them, and the closing handshake.

pub mod consumer;
pub mod decoder;
pub mod frame;
pub mod frame_tracker;
mod inbound;
pub mod socket;
