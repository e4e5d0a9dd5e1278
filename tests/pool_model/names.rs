//! Many workers of many models: whatever they are called and whatever is asked for, the pool finds whom a scan finds.

use std::ops::Range;

use proptest::prelude::*;
use worker_server_core::clock::Moment;
use worker_server_core::pool::Pool;
use worker_server_core::registration::Capabilities;
use worker_server_core::worker::WorkerKey;

const NOW: Moment = Moment { elapsed_ms: 0, unix_ms: 0 };
const CATEGORY: &str = "chat";
/// What names and models are put together from: some letters of one and two bytes alike, some that share bytes with others
/// across their ends, and one that makes a model longer than those that are listed by their parts.
const PIECES: [&str; 14] = [
    "m",
    "o",
    "mo",
    "model",
    "-",
    "1",
    "22",
    "é",
    "è",
    "日本",
    "語",
    "🦙",
    "\0",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst",
];
/// Asked for after every step.
const ASKED: [&str; 6] = ["", "m", "mo", "é", "model-1", "my-model-12:latest"];

#[derive(Clone, Debug)]
enum Step {
    Add {
        models: Vec<String>,
        max: f64,
        limit: Option<f64>,
    },
    /// Workers with a model of their own each, or all with the same.
    AddMany {
        numbers: Range<usize>,
        same_model: bool,
    },
    /// Workers by their place.
    Remove(Range<usize>),
    Track(Range<usize>),
    Release(Range<usize>),
    Ask(String),
    AskForManyNames,
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..5).prop_map(|pieces| pieces.concat())
}

fn step() -> impl Strategy<Value = Step> {
    let range = |most: usize| (0_usize..150, 0..most).prop_map(|(start, count)| start..start + count);
    prop_oneof![
        8 => (prop::collection::vec(text(), 0..4), (0_u32..4).prop_map(f64::from), prop::option::of(Just(1.0)))
            .prop_map(|(models, max, limit)| Step::Add { models, max, limit }),
        2 => (range(100), any::<bool>()).prop_map(|(numbers, same_model)| Step::AddMany { numbers, same_model }),
        3 => range(120).prop_map(Step::Remove),
        4 => range(120).prop_map(Step::Track),
        3 => range(120).prop_map(Step::Release),
        12 => text().prop_map(Step::Ask),
        1 => Just(Step::AskForManyNames),
    ]
}

/// One worker, as a scan sees it.
struct Known {
    key: WorkerKey,
    models: Vec<String>,
    max: f64,
    limit: Option<f64>,
    /// Its requests. All of them are of the category.
    active: usize,
}

impl Known {
    fn supports(&self, name: &str) -> bool {
        self.models.iter().any(|model| model.contains(name) || name.contains(&**model))
    }

    fn free(&self, category: Option<&str>) -> f64 {
        let active = self.active as f64;
        let own = (self.max - active).max(0.0);
        self.limit.filter(|_| category == Some(CATEGORY)).map_or(own, |limit| own.min((limit - active).max(0.0)))
    }

    fn load(&self) -> f64 {
        self.active as f64 / self.max
    }
}

#[derive(Default)]
struct Both {
    pool: Pool<()>,
    known: Vec<Known>,
    numbers: usize,
}

impl Both {
    fn add(&mut self, models: Vec<String>, max: f64, limit: Option<f64>) {
        self.numbers += 1;
        let id = format!("worker-{}", self.numbers);
        let limits = limit.map(|limit| (CATEGORY.to_owned(), limit)).into_iter().collect();
        let capabilities = Capabilities { models, max, limits };
        let key = self.pool.add(&id, &capabilities, (), NOW);
        self.known.push(Known { key, models: capabilities.models, max, limit, active: 0 });
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Add { models, max, limit } => self.add(models, max, limit),
            Step::AddMany { numbers, same_model } => {
                for number in numbers {
                    let model = if same_model { "model-1".to_owned() } else { format!("model-{number}") };
                    self.add(vec![model], 2.0, None);
                }
            }
            Step::Remove(places) => {
                let end = places.end.min(self.known.len());
                for removed in self.known.drain(places.start.min(end)..end) {
                    prop_assert!(self.pool.remove(removed.key).is_some());
                }
            }
            Step::Track(places) => {
                for (place, worker) in self.known.iter_mut().enumerate() {
                    if places.contains(&place) {
                        prop_assert!(self.pool.track(worker.key, worker.limit.map(|_| 0)));
                        worker.active += 1;
                    }
                }
            }
            Step::Release(places) => {
                for (place, worker) in self.known.iter_mut().enumerate() {
                    if places.contains(&place) && worker.active > 0 {
                        prop_assert!(self.pool.release(worker.key, worker.limit.map(|_| 0), true));
                        worker.active -= 1;
                    }
                }
            }
            Step::Ask(name) => self.compare(&name)?,
            Step::AskForManyNames => {
                for number in 0..1_100 {
                    self.compare(&format!("model-{number}"))?;
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, name: &str) -> Result<(), TestCaseError> {
        let supporting: Vec<&Known> = self.known.iter().filter(|worker| worker.supports(name)).collect();
        for category in [None, Some(CATEGORY)] {
            let candidates = supporting.iter().filter(|worker| worker.free(category) > 0.0);
            // Of equals, the first.
            let best = candidates.min_by(|left, right| left.load().total_cmp(&right.load()));
            prop_assert_eq!(self.pool.select(name, category), best.map(|best| best.key), "{:?} {:?}", name, category);
            let free: f64 = supporting.iter().map(|worker| worker.free(category)).fold(0.0, |sum, free| sum + free);
            prop_assert!((self.pool.free_slots(name, category) - free).abs() < 1e-9, "{:?} {:?}", name, category);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn among_many_models_the_pool_finds_whom_a_scan_finds(steps in prop::collection::vec(step(), 1..40)) {
        let mut both = Both::default();
        for step in steps {
            both.take(step)?;
            for name in ASKED {
                both.compare(name)?;
            }
            prop_assert!(both.pool.iter().map(|(key, _)| key).eq(both.known.iter().map(|worker| worker.key)));
        }
    }
}
