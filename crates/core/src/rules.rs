//! The rules of selection and request counting, as functions of plain numbers.
//!
//! They are written once and serve two kinds of record: the server's own workers
//! ([`crate::pool`]) and objects that a JavaScript caller made (the addon).

use std::cmp::Ordering;

/// The state of a worker, as its users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Takes requests.
    Available,
    /// At capacity.
    Busy,
    /// Set by the application: finishes what it has and gets nothing new.
    Draining,
    /// Silent for longer than the heartbeat timeout.
    Unhealthy,
}

impl Status {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Available, Self::Busy, Self::Draining, Self::Unhealthy];

    /// Its name, as the application sees it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How full a candidate is, ordered: emptier first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load(f64);

impl Eq for Load {}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Load {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Active requests of one category beside the worker's limit for it.
#[derive(Clone, Copy, Debug)]
pub struct CategorySlots {
    /// Requests of the category that are active.
    pub active: f64,
    /// The worker's limit for the category.
    pub limit: f64,
}

/// What selection looks at in a worker.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    /// Its status.
    pub status: Status,
    /// Active requests.
    pub active: f64,
    /// Its `maxConcurrentRequests`.
    pub max: f64,
    /// `None` where no category was asked for, or the worker does not limit it.
    pub category: Option<CategorySlots>,
}

impl Slots {
    /// The worker's load if it may take one more request, else `None`.
    pub fn load(&self) -> Option<Load> {
        let fits = self.status == Status::Available
            && self.active < self.max
            && self.category.is_none_or(|category| category.active < category.limit);
        fits.then(|| Load(self.active / self.max))
    }

    /// How many more requests the worker may take. More active requests than a limit count as 0 free.
    pub fn free(&self) -> f64 {
        if self.status != Status::Available {
            return 0.0;
        }
        let own = (self.max - self.active).max(0.0);
        match self.category {
            Some(category) => own.min((category.limit - category.active).max(0.0)),
            None => own,
        }
    }
}

/// Whether a worker that serves `model_id` supports the model `name`: the same, or one within the other.
pub fn supports(model_id: &str, name: &str) -> bool {
    model_id.contains(name) || name.contains(model_id)
}

/// The status after one more request: busy at capacity, whatever it was.
pub fn status_after_track(status: Status, active: f64, max: f64) -> Status {
    if active >= max { Status::Busy } else { status }
}

/// The status after a request ended: a busy worker below capacity is available again.
pub fn status_after_release(status: Status, active: f64, max: f64) -> Status {
    if status == Status::Busy && active < max { Status::Available } else { status }
}

/// The status after a heartbeat: an unhealthy worker recovers.
pub fn status_after_heartbeat(status: Status, active: f64, max: f64) -> Status {
    match status {
        Status::Unhealthy if active < max => Status::Available,
        Status::Unhealthy => Status::Busy,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(status: Status, active: f64, max: f64) -> Slots {
        Slots { status, active, max, category: None }
    }

    #[test]
    fn a_model_is_supported_if_it_equals_contains_or_is_contained() {
        assert!(supports("llama-3", "llama-3"));
        assert!(supports("llama-3-70b", "llama-3"));
        assert!(supports("llama", "llama-3"));
        assert!(supports("anything", ""));
        assert!(!supports("llama-3", "gpt"));
    }

    #[test]
    fn only_an_available_worker_below_its_limits_is_a_candidate() {
        assert!(slots(Status::Available, 1.0, 2.0).load().is_some());
        assert!(slots(Status::Available, 2.0, 2.0).load().is_none());
        assert!(slots(Status::Available, 0.0, 0.0).load().is_none());
        for status in [Status::Busy, Status::Draining, Status::Unhealthy] {
            assert!(slots(status, 0.0, 2.0).load().is_none());
        }
        let full = CategorySlots { active: 1.0, limit: 1.0 };
        assert!(Slots { category: Some(full), ..slots(Status::Available, 1.0, 4.0) }.load().is_none());
    }

    #[test]
    fn equal_shares_of_different_sizes_are_equal_loads() {
        let a = slots(Status::Available, 1.0, 3.0).load();
        let b = slots(Status::Available, 2.0, 6.0).load();
        assert_eq!(a, b);
        assert!(slots(Status::Available, 0.0, 1.0).load() < a);
    }

    #[test]
    fn free_slots_are_capped_by_the_category_and_never_negative() {
        assert!((slots(Status::Available, 1.0, 4.0).free() - 3.0).abs() < f64::EPSILON);
        assert!(slots(Status::Available, 5.0, 4.0).free().abs() < f64::EPSILON);
        assert!(slots(Status::Busy, 1.0, 4.0).free().abs() < f64::EPSILON);
        let overfull = CategorySlots { active: 3.0, limit: 2.0 };
        assert!(Slots { category: Some(overfull), ..slots(Status::Available, 0.0, 4.0) }.free().abs() < f64::EPSILON);
    }

    #[test]
    fn tracking_at_capacity_makes_busy_whatever_the_status_was() {
        for status in [Status::Available, Status::Draining, Status::Unhealthy] {
            assert_eq!(status_after_track(status, 2.0, 2.0), Status::Busy);
            assert_eq!(status_after_track(status, 1.0, 2.0), status);
        }
    }

    #[test]
    fn releasing_below_capacity_frees_only_a_busy_worker() {
        assert_eq!(status_after_release(Status::Busy, 1.0, 2.0), Status::Available);
        assert_eq!(status_after_release(Status::Busy, 2.0, 2.0), Status::Busy);
        assert_eq!(status_after_release(Status::Draining, 0.0, 2.0), Status::Draining);
    }

    #[test]
    fn a_heartbeat_makes_an_unhealthy_worker_available_or_busy_at_capacity() {
        assert_eq!(status_after_heartbeat(Status::Unhealthy, 1.0, 2.0), Status::Available);
        assert_eq!(status_after_heartbeat(Status::Unhealthy, 2.0, 2.0), Status::Busy);
        assert_eq!(status_after_heartbeat(Status::Draining, 0.0, 2.0), Status::Draining);
    }
}
