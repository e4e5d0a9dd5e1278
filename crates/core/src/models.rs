//! All models of a pool, found by a part of their name and by a name that they are a part of, without a scan.
//!
//! A name's own parts are looked up, of those lengths that models have. Models that a name is a part of are listed by
//! each three bytes in a row: only those that share the name's rarest three are looked at. Both names and models come
//! from strangers, so each way has another one beside it for when it would cost more than looking at everyone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use slab::Slab;

/// Names a group of workers within its index.
pub type GroupId = usize;
type ModelId = usize;
type Gram = [u8; 3];

/// Longer models are not listed by their parts, but looked at one by one: lists cost many times the bytes that they
/// are of.
const LONGEST_LISTED: usize = 96;
/// Nor are those of a group that has more bytes of them: listing them would take long, and others wait.
const MOST_LISTED: usize = 4 << 10;
/// What follows a model's last byte in its grams, so that one begins with each of its bytes. UTF-8 never has it.
const END: u8 = 0xff;

/// How a model that is asked for is compared with those that workers serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ModelMatch {
    /// The same name, or one within the other.
    #[default]
    Loose,
    /// The same name.
    Exact,
}

impl ModelMatch {
    /// All.
    pub const ALL: [Self; 2] = [Self::Loose, Self::Exact];

    /// Its name, as the application spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loose => "loose",
            Self::Exact => "exact",
        }
    }
}

/// Models, and the groups of workers that serve them.
#[derive(Debug, Default)]
pub struct Models {
    ids: HashMap<Arc<str>, ModelId>,
    entries: Slab<Model>,
    lengths: BTreeMap<usize, BTreeSet<ModelId>>,
    grams: BTreeMap<Gram, BTreeSet<ModelId>>,
    /// Those that are not listed by their parts.
    unlisted: BTreeSet<ModelId>,
}

#[derive(Debug)]
struct Model {
    name: Arc<str>,
    groups: BTreeSet<GroupId>,
}

impl Models {
    /// A group serves these models.
    pub fn add(&mut self, names: &[Arc<str>], group: GroupId) {
        let is_small = names.iter().map(|name| name.len()).sum::<usize>() <= MOST_LISTED;
        for name in names {
            let id = match self.ids.get(name) {
                Some(&id) => id,
                None => self.add_model(name, is_small && name.len() <= LONGEST_LISTED),
            };
            self.entries[id].groups.insert(group);
        }
    }

    /// A group is gone that served these models.
    pub fn remove(&mut self, names: &[Arc<str>], group: GroupId) {
        for name in names {
            let Some(&id) = self.ids.get(name) else { continue };
            let groups = &mut self.entries[id].groups;
            groups.remove(&group);
            if groups.is_empty() {
                self.remove_model(name, id);
            }
        }
    }

    /// The groups of all models that equal a name, contain it or are contained in it, each once.
    pub fn groups_for(&self, name: &str) -> Vec<GroupId> {
        let mut groups = Vec::new();
        self.within(name, |model| groups.extend(&model.groups));
        self.around(name, |model| groups.extend(&model.groups));
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The groups of the model that equals a name, if there is one.
    pub fn groups_of(&self, name: &str) -> Option<&BTreeSet<GroupId>> {
        self.ids.get(name).and_then(|&id| self.entries.get(id)).map(|model| &model.groups)
    }

    /// Visits all models that are a part of a name, or all of it.
    fn within<'a>(&'a self, name: &str, mut visit: impl FnMut(&'a Model)) {
        for (&length, ids) in self.lengths.range(..=name.len()) {
            let places = name.len() - length + 1;
            // In bytes looked at, with what a look-up costs beside.
            let one_by_one = ids.len().saturating_mul(name.len());
            if one_by_one <= places.saturating_mul(length + 16) {
                ids.iter()
                    .map(|&id| &self.entries[id])
                    .filter(|model| name.contains(&*model.name))
                    .for_each(&mut visit);
                continue;
            }
            let mut found: Vec<ModelId> =
                (0..places).filter_map(|start| self.ids.get(name.get(start..start + length)?).copied()).collect();
            found.sort_unstable();
            found.dedup();
            found.into_iter().map(|id| &self.entries[id]).for_each(&mut visit);
        }
    }

    /// Visits all models that a name is a part of, but not all.
    fn around<'a>(&'a self, name: &str, mut visit: impl FnMut(&'a Model)) {
        if self.lengths.range(name.len() + 1..).next().is_none() {
            return;
        }
        let mut consider = |id: &ModelId| {
            let model = &self.entries[*id];
            if model.name.len() > name.len() && model.name.contains(name) {
                visit(model);
            }
        };
        self.unlisted.iter().for_each(&mut consider);
        if name.len() >= LONGEST_LISTED {
            return;
        }
        match name.as_bytes() {
            [] => self.lengths.range(..=LONGEST_LISTED).flat_map(|(_, ids)| ids).for_each(consider),
            short @ ([_] | [_, _]) => {
                let [first, last] = [0, END].map(|filler| {
                    let mut gram = [filler; 3];
                    gram[..short.len()].copy_from_slice(short);
                    gram
                });
                self.grams.range(first..=last).flat_map(|(_, ids)| ids).for_each(consider);
            }
            bytes => {
                let lists: Option<Vec<_>> =
                    bytes.windows(3).map(|gram| self.grams.get(&[gram[0], gram[1], gram[2]])).collect();
                let rarest = lists.into_iter().flatten().min_by_key(|ids| ids.len());
                rarest.into_iter().flatten().for_each(consider);
            }
        }
    }

    fn add_model(&mut self, name: &Arc<str>, is_listed: bool) -> ModelId {
        let id = self.entries.insert(Model { name: name.clone(), groups: BTreeSet::new() });
        self.ids.insert(name.clone(), id);
        self.lengths.entry(name.len()).or_default().insert(id);
        if is_listed {
            for gram in grams(name) {
                self.grams.entry(gram).or_default().insert(id);
            }
        } else {
            self.unlisted.insert(id);
        }
        id
    }

    fn remove_model(&mut self, name: &Arc<str>, id: ModelId) {
        self.entries.remove(id);
        self.ids.remove(name);
        remove_from(&mut self.lengths, &name.len(), id);
        if !self.unlisted.remove(&id) {
            for gram in grams(name) {
                remove_from(&mut self.grams, &gram, id);
            }
        }
    }
}

/// Three bytes from each place of a name, with what is behind its end.
fn grams(name: &str) -> impl Iterator<Item = Gram> {
    let bytes = name.as_bytes();
    let at = |place: usize| bytes.get(place).copied().unwrap_or(END);
    (0..bytes.len()).map(move |place| [at(place), at(place + 1), at(place + 2)])
}

fn remove_from<K: Ord>(lists: &mut BTreeMap<K, BTreeSet<ModelId>>, list: &K, id: ModelId) {
    if let Some(ids) = lists.get_mut(list) {
        ids.remove(&id);
        if ids.is_empty() {
            lists.remove(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::supports;

    /// Every pair of three and less of these, and some that are longer than what is listed by its parts.
    fn names() -> Vec<String> {
        let pieces = ["", "a", "b", "ab", "é", "è", "日", "\0"];
        let mut names = vec!["a".repeat(LONGEST_LISTED), "a".repeat(LONGEST_LISTED + 1), "ab".repeat(LONGEST_LISTED)];
        for first in pieces {
            for second in pieces {
                names.extend(pieces.map(|third| format!("{first}{second}{third}")));
            }
        }
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn the_groups_for_a_name_are_those_whose_models_equal_contain_or_are_within_it() {
        let names = names();
        let mut models = Models::default();
        for (group, name) in names.iter().enumerate() {
            models.add(&[name.as_str().into()], group);
        }
        for asked in &names {
            let expected: Vec<GroupId> = (0..names.len()).filter(|&group| supports(&names[group], asked)).collect();
            assert_eq!(models.groups_for(asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn a_model_is_there_until_its_last_group_is_gone_and_leaves_nothing_behind() {
        let names: Vec<Arc<str>> = names().iter().map(|name| name.as_str().into()).collect();
        let mut models = Models::default();
        for group in [0, 1] {
            models.add(&names, group);
        }
        models.remove(&names, 0);
        assert_eq!(models.groups_for("a"), [1]);
        models.remove(&names, 1);
        assert!(models.ids.is_empty() && models.entries.is_empty() && models.lengths.is_empty());
        assert!(models.grams.is_empty() && models.unlisted.is_empty());
    }

    #[test]
    fn one_model_of_many_is_found_in_a_name_that_is_much_longer() {
        let mut models = Models::default();
        for group in 0..1_000 {
            models.add(&[format!("model-{group:03}").into()], group);
        }
        assert_eq!(models.groups_for("some/model-007:q4_K_M and model-700 é"), [7, 700]);
    }

    #[test]
    fn a_group_of_very_many_models_is_found_though_they_are_not_listed_by_their_parts() {
        let names: Vec<Arc<str>> = (0..MOST_LISTED).map(|number| format!("model-{number}").into()).collect();
        let mut models = Models::default();
        models.add(&names, 7);
        assert!(models.grams.is_empty());
        models.add(&["model-1".into()], 8);
        assert_eq!(models.groups_for("del-1"), [7, 8]);
        assert_eq!(models.groups_for("a model-4000"), [7]);
        models.remove(&names, 7);
        assert_eq!(models.groups_for("del-1"), [8]);
        models.remove(&["model-1".into()], 8);
        assert!(models.entries.is_empty() && models.unlisted.is_empty());
    }
}
