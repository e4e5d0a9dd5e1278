//! Which models are labels: names come from strangers, and each label costs memory wherever metrics are stored.

use std::collections::HashMap;

use parking_lot::RwLock;

/// Models that are labels at most.
const MAX_NAMED: usize = 50;
/// Most bytes of a label; a longer name is cut before the character that would exceed it.
const MAX_LABEL_BYTES: usize = 128;
/// All labels: the two below, then the names.
pub const MODEL_LABELS: usize = FIRST_NAMED + MAX_NAMED;
const FIRST_NAMED: usize = 2;

/// What stands for no model, and for all models that are no label.
const ANY: &str = "any";
const OTHER: &str = "other";

/// The label of a model, as a place among all labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelLabel(u8);

impl ModelLabel {
    /// Of what asks for no model, or serves none.
    pub const ANY: Self = Self(0);
    /// Of every model that is no label.
    pub const OTHER: Self = Self(1);

    /// Its place.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// The label of a place.
    pub fn at(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|_| place < MODEL_LABELS).map(Self)
    }
}

/// The labels of a worker's models, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelLabelSet(u64);

const _: () = assert!(MODEL_LABELS <= u64::BITS as usize);

impl ModelLabelSet {
    /// The labels in it.
    pub fn iter(self) -> impl Iterator<Item = ModelLabel> {
        (0..MODEL_LABELS).filter(move |place| self.0 & (1 << place) != 0).filter_map(ModelLabel::at)
    }
}

impl FromIterator<ModelLabel> for ModelLabelSet {
    fn from_iter<I: IntoIterator<Item = ModelLabel>>(labels: I) -> Self {
        Self(labels.into_iter().fold(0, |set, label| set | 1 << label.place()))
    }
}

/// The models that are labels: the first that a worker has registered. Once a model is one it stays one.
#[derive(Debug, Default)]
pub struct ModelLabels {
    named: RwLock<Named>,
}

#[derive(Debug, Default)]
struct Named {
    by_name: HashMap<Box<str>, ModelLabel>,
    names: Vec<Box<str>>,
}

impl ModelLabels {
    /// A worker has registered these models. Returns their labels.
    pub fn learn<'a>(&self, models: impl IntoIterator<Item = &'a str>) -> ModelLabelSet {
        let mut is_without = true;
        let mut set = ModelLabelSet::default();
        for model in models {
            is_without = false;
            set.0 |= 1 << self.learn_one(model).place();
        }
        if is_without { ModelLabelSet::from_iter([ModelLabel::ANY]) } else { set }
    }

    fn learn_one(&self, model: &str) -> ModelLabel {
        let label = self.of(Some(model));
        if label != ModelLabel::OTHER {
            return label;
        }
        let name = cut(model);
        let mut named = self.named.write();
        // A model of that name shares the label with all that are none.
        if name == OTHER || named.names.len() >= MAX_NAMED {
            return ModelLabel::OTHER;
        }
        let Some(label) = ModelLabel::at(FIRST_NAMED + named.names.len()) else { return ModelLabel::OTHER };
        named.by_name.insert(name.into(), label);
        named.names.push(name.into());
        label
    }

    /// The label of a model that is asked for; `None`: of none.
    pub fn of(&self, model: Option<&str>) -> ModelLabel {
        let Some(model) = model else { return ModelLabel::ANY };
        let name = cut(model);
        if name == ANY {
            return ModelLabel::ANY;
        }
        self.named.read().by_name.get(name).copied().unwrap_or(ModelLabel::OTHER)
    }

    /// What all labels are called, in the order of their places.
    pub fn names(&self) -> Vec<Box<str>> {
        let named = self.named.read();
        [ANY.into(), OTHER.into()].into_iter().chain(named.names.iter().cloned()).collect()
    }
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAX_LABEL_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(set: ModelLabelSet) -> Vec<usize> {
        set.iter().map(ModelLabel::place).collect()
    }

    #[test]
    fn a_model_is_a_label_once_a_worker_has_registered_it() {
        let models = ModelLabels::default();
        assert_eq!(models.of(Some("a")), ModelLabel::OTHER);
        assert_eq!(models.of(None), ModelLabel::ANY);
        assert_eq!(labels(models.learn(["a", "b", "a"])), [2, 3]);
        assert_eq!(models.of(Some("a")).place(), 2);
        assert_eq!(models.of(Some("ab")), ModelLabel::OTHER);
        assert_eq!(labels(models.learn([])), [ModelLabel::ANY.place()]);
    }

    #[test]
    fn fifty_models_are_labels_and_however_many_more_are_one() {
        let models = ModelLabels::default();
        let names: Vec<String> = (0..100_000).map(|n| format!("model-{n}")).collect();
        let set = models.learn(names.iter().map(String::as_str));
        assert_eq!(set.iter().count(), MAX_NAMED + 1);
        assert_eq!(models.names().len(), MODEL_LABELS);
        assert_ne!(models.of(Some("model-49")), ModelLabel::OTHER);
        assert_eq!(models.of(Some("model-50")), ModelLabel::OTHER);
        assert_eq!(labels(models.learn(["model-50", "new"])), [ModelLabel::OTHER.place()]);
    }

    #[test]
    fn names_are_cut_between_characters_and_names_that_begin_the_same_are_one_label() {
        let models = ModelLabels::default();
        let long = format!("{}é-1", "x".repeat(127));
        let other_end = format!("{}é-2", "x".repeat(127));
        assert_eq!(labels(models.learn([long.as_str(), other_end.as_str()])), [2]);
        assert_eq!(&*models.names()[2], "x".repeat(127));
        assert_eq!(models.of(Some(&other_end)).place(), 2);
        let fits = format!("{}é", "y".repeat(126));
        models.learn([fits.as_str()]);
        assert_eq!(&*models.names()[3], fits);
    }

    #[test]
    fn a_model_that_is_called_like_one_of_the_two_shares_its_label() {
        let models = ModelLabels::default();
        assert_eq!(labels(models.learn(["any", "other"])), [0, 1]);
        assert_eq!(models.names().len(), 2);
    }
}
