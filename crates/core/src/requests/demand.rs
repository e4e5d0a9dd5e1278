//! What a request asks of a worker.

use std::sync::Arc;

use super::selector::Selector;
use crate::json;
use crate::models::ModelMatch;
use crate::rules::supports;
use crate::worker::{Takes, Worker};

/// A name that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    text: Arc<str>,
    is_well_formed: bool,
}

impl Name {
    /// A name of well-formed Unicode.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), is_well_formed: true }
    }

    /// A name with half a surrogate pair, which nothing is called, as it is shown to people.
    pub fn ill_formed(shown: &str) -> Self {
        Self { text: shown.into(), is_well_formed: false }
    }

    /// Reads a raw JSON string. `None` for other values.
    fn read(raw: &str) -> Option<Self> {
        json::string(raw).map(|text| Self::new(&text)).or_else(|| Some(Self::ill_formed(&json::shown_string(raw)?)))
    }

    /// What somebody may be called. `None` if nobody can.
    pub fn get(&self) -> Option<&str> {
        self.is_well_formed.then_some(&*self.text)
    }

    /// The name as it is shown.
    pub fn shown(&self) -> &Arc<str> {
        &self.text
    }
}

/// What a request asks of a worker: its options `model`, `modelMatch`, `category`, `workerId` and `where`, and what
/// kind of payload it has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// The model; without one any worker will do.
    pub model: Option<Name>,
    /// How models are compared.
    pub model_match: ModelMatch,
    /// The category. One that is not well-formed is limited by nobody, which is as good as none.
    pub category: Option<Arc<str>>,
    /// This worker and no other.
    pub worker_id: Option<Name>,
    /// Workers whose metadata match.
    pub selector: Option<Arc<Selector>>,
    /// [`Takes::Objects`] if the payload is a plain object, else [`Takes::Anything`].
    pub needs: Takes,
}

impl Demand {
    /// A demand that any worker meets which takes requests with plain objects.
    pub fn any() -> Self {
        Self {
            model: None,
            model_match: ModelMatch::Loose,
            category: None,
            worker_id: None,
            selector: None,
            needs: Takes::Objects,
        }
    }

    /// Reads it from an object that JavaScript made: `{ model?, exact, category?, workerId?, where?, objects }`, where
    /// `objects` says that the payload is a plain object. `None` if it is no such object.
    pub fn read(text: &str) -> Option<Self> {
        let names = ["model", "exact", "category", "workerId", "where", "objects"];
        let [model, exact, category, worker_id, selector, objects] = json::fields(text, names).ok()?;
        let is_true = |raw: Option<&str>| raw == Some("true");
        Some(Self {
            model: read(model, Name::read).ok()?,
            model_match: if is_true(exact) { ModelMatch::Exact } else { ModelMatch::Loose },
            category: category.and_then(json::string).map(Into::into),
            worker_id: read(worker_id, Name::read).ok()?,
            selector: read(selector, Selector::read).ok()?.map(Arc::new),
            needs: if is_true(objects) { Takes::Objects } else { Takes::Anything },
        })
    }

    /// The bytes of its texts.
    pub fn bytes(&self) -> usize {
        let names = [&self.model, &self.worker_id].into_iter().flatten().map(|name| name.shown().len());
        let category = self.category.as_ref().map_or(0, |category| category.len());
        let selector = self.selector.as_ref().map_or(0, |selector| selector.text().len());
        names.sum::<usize>() + category + selector
    }

    /// Whether the worker's id is the one that is asked for.
    pub fn names<P>(&self, worker: &Worker<P>) -> bool {
        self.worker_id.as_ref().is_none_or(|id| id.get() == Some(&worker.id))
    }

    /// Whether one who serves these models has the model that is asked for.
    pub fn is_served_by(&self, models: &[Arc<str>]) -> bool {
        let Some(model) = &self.model else { return true };
        let Some(name) = model.get() else { return false };
        match self.model_match {
            ModelMatch::Exact => models.iter().any(|own| **own == *name),
            ModelMatch::Loose => models.iter().any(|own| supports(own, name)),
        }
    }

    /// Whether the worker's metadata match.
    pub fn selects<P>(&self, worker: &Worker<P>) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(&worker.metadata))
    }

    /// Whether a worker could ever take a request with this demand, whatever its status: it is not closing, takes
    /// requests, has the model, matches `where` and `workerId`, with capacity and category limit above 0.
    pub fn could_be_met_by<P>(&self, worker: &Worker<P>) -> bool {
        let slots = worker.slots(self.category.as_deref());
        !worker.closed
            && worker.takes >= self.needs
            && slots.max > 0.0
            && slots.category.is_none_or(|category| category.limit > 0.0)
            && self.names(worker)
            && self.selects(worker)
            && self.is_served_by(&worker.models)
    }
}

/// Reads a field that may be missing.
///
/// # Errors
/// It is there and can't be read.
fn read<T>(raw: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Unreadable> {
    raw.map(|raw| read(raw).ok_or(Unreadable)).transpose()
}

struct Unreadable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_is_read_from_the_object_that_javascript_makes() {
        let text =
            r#"{"model":"m","exact":true,"category":"chat","workerId":"w","where":{"gpu":"a100"},"objects":true}"#;
        let selector = Selector::read(r#"{"gpu":"a100"}"#).map(Arc::new);
        let expected = Demand {
            model: Some(Name::new("m")),
            model_match: ModelMatch::Exact,
            category: Some("chat".into()),
            worker_id: Some(Name::new("w")),
            selector,
            needs: Takes::Objects,
        };
        assert_eq!(Demand::read(text), Some(expected));
        let any = Demand { needs: Takes::Anything, ..Demand::any() };
        assert_eq!(Demand::read(r#"{"exact":false,"objects":false}"#), Some(any));
    }

    #[test]
    fn a_name_with_half_a_surrogate_pair_matches_nothing_and_such_a_category_is_none() {
        let text = r#"{"model":"m\ud800","category":"\ud800","workerId":"\udfff","exact":false,"objects":false}"#;
        let demand = Demand::read(text).expect(text);
        assert_eq!((demand.model, demand.category), (Some(Name::ill_formed("m\u{fffd}")), None));
        assert_eq!(demand.worker_id.as_ref().map(Name::get), Some(None));
    }

    #[test]
    fn what_is_no_demand_is_none() {
        for text in ["", "[]", r#"{"model":7}"#, r#"{"workerId":null}"#, r#"{"where":[]}"#, r#"{"where":{"n":{}}}"#] {
            assert_eq!(Demand::read(text), None, "{text}");
        }
    }
}
