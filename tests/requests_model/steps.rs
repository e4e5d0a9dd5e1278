//! What may happen, generated.

use proptest::prelude::*;
use worker_server_core::pool::Drainer;
use worker_server_core::registration::Capabilities;
use worker_server_core::worker::Takes;

use super::naive::Ask;

pub const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
const MODELS: [&str; 5] = ["llama", "llama-3", "llama-3-70b", "gpt", "embed"];
const CATEGORIES: [&str; 2] = ["chat", "embed"];
const REGIONS: [&str; 2] = ["eu", "us"];
const KEYS: [&str; 3] = ["tenant-1", "tenant-2", "tenant-3"];

/// How a request that runs ends.
#[derive(Clone, Debug)]
pub enum End {
    Done,
    /// It comes back, and goes to that worker last, and not before a pause is over.
    Rejected {
        pause_ms: u64,
    },
    /// It comes back with a queue time that starts anew.
    NextAttempt,
    /// Its worker's outbox was full.
    Refused,
}

#[derive(Clone, Debug)]
pub enum Step {
    Register {
        id: usize,
        capabilities: Capabilities,
        takes: Takes,
        region: usize,
        resumed: usize,
    },
    Leave {
        id: usize,
    },
    MarkClosed {
        id: usize,
    },
    Track {
        id: usize,
        category: Option<usize>,
    },
    Release {
        which: usize,
    },
    Health {
        timeout_ms: u64,
    },
    Heartbeat {
        id: usize,
    },
    Drain {
        id: usize,
        drainer: Drainer,
        drains: bool,
    },
    Update {
        id: usize,
        capabilities: Capabilities,
        region: usize,
    },
    Full {
        id: usize,
        is_full: bool,
    },
    Submit {
        ask: Ask,
        priority: usize,
        fair_key: Option<&'static str>,
        affinity: Option<&'static str>,
        bytes: u64,
        queue_ms: f64,
        fails: bool,
    },
    Withdraw {
        which: usize,
    },
    End {
        which: usize,
        end: End,
    },
    Tick {
        ms: u64,
    },
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let max = prop_oneof![6 => (1_u32..4).prop_map(f64::from), 1 => Just(0.0), 1 => Just(1.5)];
    let limit = prop_oneof![4 => (1_i32..3).prop_map(f64::from), 1 => Just(0.0), 1 => Just(0.5)];
    (
        prop::collection::vec(prop::sample::select(&MODELS[..]).prop_map(str::to_owned), 0..3),
        max,
        prop::collection::btree_map(prop::sample::select(&CATEGORIES[..]).prop_map(str::to_owned), limit, 0..2),
    )
        .prop_map(|(models, max, limits)| Capabilities { models, max, limits: limits.into_iter().collect() })
}

fn ask() -> impl Strategy<Value = Ask> {
    let one_of = |names: &'static [&'static str], share| prop::option::weighted(share, prop::sample::select(names));
    (
        one_of(&MODELS, 0.8),
        prop::bool::weighted(0.3),
        one_of(&CATEGORIES, 0.4),
        one_of(&IDS, 0.15),
        one_of(&REGIONS, 0.25),
        prop::bool::weighted(0.7),
    )
        .prop_map(|(model, exact, category, worker_id, region, is_object)| Ask {
            model,
            exact,
            category,
            worker_id,
            region,
            is_object,
        })
}

fn submit() -> impl Strategy<Value = Step> {
    let queue_ms =
        prop_oneof![3 => (1_u32..200).prop_map(f64::from), 1 => Just(f64::INFINITY), 1 => Just(7.5), 1 => Just(0.0)];
    (
        ask(),
        0_usize..3,
        prop::option::of(prop::sample::select(&KEYS[..])),
        prop::option::weighted(0.25, prop::sample::select(&KEYS[..])),
        0_u64..40,
        queue_ms,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(ask, priority, fair_key, affinity, bytes, queue_ms, fails)| Step::Submit {
            ask,
            priority,
            fair_key,
            affinity,
            bytes,
            queue_ms,
            fails,
        })
}

/// A step of a crowd: a few kinds of workers with little room, and many requests of few keys that ask for the same few
/// models.
pub fn crowded_step() -> impl Strategy<Value = (Step, bool)> {
    let models =
        prop::sample::select(vec![vec!["llama"], vec!["llama-3"], vec!["llama", "gpt"], vec!["llama-3", "gpt"]]);
    let register = (0..IDS.len(), models, 1_u32..3).prop_map(|(id, models, max)| {
        let models = models.into_iter().map(str::to_owned).collect();
        let capabilities = Capabilities { models, max: f64::from(max), limits: Vec::new() };
        Step::Register { id, capabilities, takes: Takes::Anything, region: 0, resumed: 0 }
    });
    let ask =
        (prop::option::weighted(0.9, prop::sample::select(vec!["llama", "llama-3", "gpt"])), prop::bool::weighted(0.2));
    let key = || prop::option::weighted(0.8, prop::sample::select(&KEYS[..]));
    let submit = (ask, 0_usize..3, key(), prop::option::weighted(0.2, prop::sample::select(&KEYS[..])), 1_u32..400)
        .prop_map(|((model, exact), priority, fair_key, affinity, queue_ms)| Step::Submit {
            ask: Ask { model, exact, category: None, worker_id: None, region: None, is_object: true },
            priority,
            fair_key,
            affinity,
            bytes: 0,
            queue_ms: f64::from(queue_ms),
            fails: false,
        });
    let end = prop_oneof![
        6 => Just(End::Done),
        2 => (0_u64..30).prop_map(|pause_ms| End::Rejected { pause_ms }),
        1 => Just(End::NextAttempt),
        1 => Just(End::Refused),
    ];
    let step = prop_oneof![
        4 => register,
        1 => (0..IDS.len()).prop_map(|id| Step::Leave { id }),
        4 => (0..IDS.len()).prop_map(|id| Step::Full { id, is_full: false }),
        30 => submit,
        3 => any::<usize>().prop_map(|which| Step::Withdraw { which }),
        30 => (any::<usize>(), end).prop_map(|(which, end)| Step::End { which, end }),
        6 => (1_u64..40).prop_map(|ms| Step::Tick { ms }),
    ];
    (step, prop::bool::weighted(0.5))
}

/// A step, and whether slots that it frees are given away at once.
pub fn step() -> impl Strategy<Value = (Step, bool)> {
    let id = 0..IDS.len();
    let takes = prop_oneof![6 => Just(Takes::Anything), 2 => Just(Takes::Objects), 1 => Just(Takes::Nothing)];
    let end = prop_oneof![
        4 => Just(End::Done),
        2 => (0_u64..30).prop_map(|pause_ms| End::Rejected { pause_ms }),
        1 => Just(End::NextAttempt),
        1 => Just(End::Refused),
    ];
    let drainer = prop_oneof![Just(Drainer::Worker), Just(Drainer::Application)];
    let step = prop_oneof![
        10 => (id.clone(), capabilities(), takes, 0_usize..2, prop_oneof![4 => Just(0_usize), 1 => 1_usize..4])
            .prop_map(|(id, capabilities, takes, region, resumed)| {
                Step::Register { id, capabilities, takes, region, resumed }
            }),
        2 => id.clone().prop_map(|id| Step::Leave { id }),
        1 => id.clone().prop_map(|id| Step::MarkClosed { id }),
        4 => (id.clone(), prop::option::of(0_usize..2)).prop_map(|(id, category)| Step::Track { id, category }),
        4 => any::<usize>().prop_map(|which| Step::Release { which }),
        3 => (10_u64..60).prop_map(|timeout_ms| Step::Health { timeout_ms }),
        4 => id.clone().prop_map(|id| Step::Heartbeat { id }),
        4 => (id.clone(), drainer, any::<bool>()).prop_map(|(id, drainer, drains)| Step::Drain { id, drainer, drains }),
        3 => (id.clone(), capabilities(), 0_usize..2)
            .prop_map(|(id, capabilities, region)| Step::Update { id, capabilities, region }),
        3 => (id, any::<bool>()).prop_map(|(id, is_full)| Step::Full { id, is_full }),
        40 => submit(),
        5 => any::<usize>().prop_map(|which| Step::Withdraw { which }),
        24 => (any::<usize>(), end).prop_map(|(which, end)| Step::End { which, end }),
        10 => (1_u64..40).prop_map(|ms| Step::Tick { ms }),
    ];
    (step, prop::bool::weighted(0.85))
}

pub fn category(index: usize) -> &'static str {
    CATEGORIES[index]
}

pub fn region(index: usize) -> &'static str {
    REGIONS[index]
}
