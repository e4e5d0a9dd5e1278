//! What a run is: its one argument.

use serde::Deserialize;

/// A run of the load generator.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The server's port, on this machine.
    pub port: u16,
    /// How many clients.
    pub workers: usize,
    /// The number of the first client, where several load generators share a fleet.
    #[serde(default)]
    pub first: usize,
    /// How many clients connect from one address: 127.0.0.1, then 127.0.0.2 and so on.
    #[serde(default = "per_address")]
    pub per_address: usize,
    /// How many clients may be connecting at the same time.
    #[serde(default = "connecting")]
    pub connecting: usize,
    /// What random texts and masks start from.
    #[serde(default = "seed")]
    pub seed: u64,
    /// What they say of themselves.
    #[serde(default)]
    pub registration: Registration,
    /// What they do.
    #[serde(flatten)]
    pub work: Kind,
}

/// What differs in the registrations of the clients.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Registration {
    /// The features that they name.
    pub features: Vec<String>,
    /// Whether each has a model of its own, `model-` and its number, instead of the one that all share.
    pub own_model: bool,
    /// How many requests each takes; 16 if it is left out.
    pub slots: Option<u32>,
}

/// What the clients do.
#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Kind {
    /// Send messages as fast as the sockets take them.
    Flood {
        /// How many in all.
        messages: u64,
        /// Bytes of each.
        size: usize,
    },
    /// Send messages at a steady rate, each from the next worker.
    Paced {
        /// How many in all.
        messages: u64,
        /// How many a second, in all.
        rate: f64,
        /// Bytes of each.
        size: usize,
    },
    /// Send the next heartbeat once one was answered.
    Heartbeats {
        /// How many in all.
        messages: u64,
        /// How many of a worker may be unanswered.
        in_flight: u64,
    },
    /// Send heartbeats on a schedule, answered or not, and note how long the answers take.
    Beats {
        /// The time between two of one worker.
        every_ms: u64,
        /// How long; until the end if it is left out.
        for_ms: Option<u64>,
    },
    /// Take what the server sends.
    Receive {
        /// How many messages in all.
        messages: u64,
        /// The first worker reports after this many of its own, so that the server needn't run ahead.
        report_every: u64,
    },
    /// Answer each piece of work with a result.
    Answer {
        /// How many in all.
        messages: u64,
        /// Bytes of each answer.
        size: usize,
        /// Whether a request is acknowledged before it is answered.
        #[serde(default)]
        acks: bool,
    },
    /// Ask the server, and ask again once an answer comes.
    Ask {
        /// How many questions in all.
        messages: u64,
        /// How many of a worker may be unanswered.
        in_flight: u64,
        /// Bytes of each question.
        size: usize,
    },
    /// Answer each piece of work with chunks, as fast as the sockets take them, and a result.
    Stream {
        /// How many chunks in all.
        messages: u64,
        /// How many for each piece of work.
        chunks: u64,
        /// Bytes of each chunk's message.
        size: usize,
    },
    /// Take requests and answer none.
    Hold,
    /// Connect and register, at the word `go`.
    Register,
    /// Stay connected.
    Idle,
    /// HTTP requests on kept-alive connections, one at a time on each.
    Http {
        /// How many in all.
        messages: u64,
    },
}

fn per_address() -> usize {
    20_000
}

fn connecting() -> usize {
    128
}

fn seed() -> u64 {
    1
}
