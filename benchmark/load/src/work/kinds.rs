//! Makes the work that a configuration names.

use super::{Work, answer, ask, beats, heartbeats, http, receive, sending, still, stream};
use crate::config::{Config, Kind};

/// The work that a run is for.
pub fn of(config: &Config) -> Box<dyn Work> {
    let seed = config.seed;
    match config.work {
        Kind::Flood { messages, size } => Box::new(sending::Flood::new(seed, messages, size)),
        Kind::Paced { messages, rate, size } => Box::new(sending::Paced::new(seed, messages, rate, size)),
        Kind::Heartbeats { messages, in_flight } => {
            Box::new(heartbeats::Heartbeats::new(seed, messages, in_flight, config.workers))
        }
        Kind::Beats { every_ms, for_ms } => Box::new(beats::Beats::new(seed, every_ms, for_ms, config.workers)),
        Kind::Receive { messages, report_every } => Box::new(receive::Receive::new(seed, messages, report_every)),
        Kind::Answer { messages, size, acks } => Box::new(answer::Answer::new(seed, messages, size, acks)),
        Kind::Ask { messages, in_flight, size } => {
            Box::new(ask::Ask::new(seed, messages, in_flight, size, config.workers))
        }
        Kind::Stream { messages, chunks, size } => Box::new(stream::Stream::new(seed, messages, chunks, size)),
        Kind::Hold => Box::new(still::Hold),
        Kind::Register => Box::new(still::Register::new(config.workers)),
        Kind::Idle => Box::new(still::Idle),
        Kind::Http { messages } => Box::new(http::Http::new(messages, config.workers)),
    }
}
