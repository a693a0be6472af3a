//! Matrices: lists of values become jobs, one for each combination.

use std::rc::Rc;

use crate::keys::Place;
use crate::read::{Entry, Key, Map, Node, Value};

use super::condition::is_equal;
use super::executor::bound;
use super::parameter::{Bindings, is_unknown};
use super::{Env, Expander};

/// How many jobs one matrix may stand for; CircleCI's own limit is 128.
pub const MAX_MATRIX: usize = 1_000;

/// What a matrix came to.
pub(super) struct Unrolled {
    /// What the jobs are required by together.
    pub(super) alias: String,
    pub(super) combinations: Vec<Bindings>,
}

impl Expander<'_> {
    /// What a matrix stands for; none if it is wrong, which has been told.
    pub(super) fn matrix(&mut self, job: &Key, entry: &Entry) -> Option<Unrolled> {
        let entry = self.entry(entry, Env::default());
        let Entry { key, value } = &entry;
        let Some(map) = value.as_map() else {
            self.problems
                .error_of(
                    key,
                    value,
                    format!("`matrix` must be a map, not {}", value.describe()),
                )
                .help("write its lists of values under `parameters:` in it");
            return None;
        };
        let has_parameters = map.get("parameters").is_some();
        for Entry { key, .. } in map.iter() {
            // Without `parameters` these are likely meant to be them.
            if has_parameters && Place::Matrix.key(&key.text).is_none() {
                let nearest = self.problems.nearest(&key.text, Place::Matrix.names());
                self.problems
                    .error(
                        key.region,
                        format!("`{}` means nothing in a `matrix`", key.text),
                    )
                    .suggest(nearest);
            }
        }
        let axes = self.axes(key, map)?;
        let mut combinations = vec![Bindings::default()];
        let product = axes
            .iter()
            .try_fold(1_usize, |product, (_, values)| {
                product.checked_mul(values.len())
            })
            .filter(|product| *product <= MAX_MATRIX);
        let Some(product) = product else {
            self.problems.error(
                key.region,
                format!("this `matrix` stands for more than {MAX_MATRIX} jobs"),
            );
            return None;
        };
        if !self.spend(product.saturating_mul(axes.len()), 0, key.region) {
            return None;
        }
        for (name, values) in &axes {
            combinations = combinations
                .iter()
                .flat_map(|combination| {
                    values.iter().map(|value| {
                        let mut next = combination.clone();
                        next.push(bound(name, value, None));
                        next
                    })
                })
                .collect();
        }
        if let Some(exclude) = map.get("exclude") {
            self.exclude(exclude, &axes, &mut combinations);
        }
        if combinations.is_empty() {
            self.problems
                .error(key.region, "this `matrix` stands for no job at all")
                .help("`exclude` leaves nothing of it");
            return None;
        }
        let alias = map.get("alias").and_then(|entry| entry.value.as_text());
        Some(Unrolled {
            alias: alias.unwrap_or(&job.text).to_owned(),
            combinations,
        })
    }

    fn axes(&mut self, matrix: &Key, map: &Map) -> Option<Vec<(Key, Vec<Rc<Node>>)>> {
        let parameters = map.get("parameters").and_then(|entry| entry.value.as_map());
        let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) else {
            self.problems
                .error(matrix.region, "this `matrix` has no `parameters`")
                .help("write `parameters: {version: [\"1\", \"2\"]}` in it");
            return None;
        };
        let mut axes = Vec::new();
        for Entry { key, value } in parameters.iter() {
            match value.as_list() {
                Some(values) if !values.is_empty() => axes.push((key.clone(), values.to_vec())),
                Some(_) | None => {
                    self.problems
                        .error_of(
                            key,
                            value,
                            format!("`{}` of a `matrix` must be a list of values", key.text),
                        )
                        .help("write it as `[one, other]`");
                }
            }
        }
        (axes.len() == parameters.len()).then_some(axes)
    }

    fn exclude(
        &mut self,
        exclude: &Entry,
        axes: &[(Key, Vec<Rc<Node>>)],
        combinations: &mut Vec<Bindings>,
    ) {
        let Some(items) = exclude.value.as_list() else {
            self.problems
                .error_of(
                    &exclude.key,
                    &exclude.value,
                    "`exclude` must be a list of maps",
                )
                .help("begin each with `-`");
            return;
        };
        for item in items {
            let Some(map) = item.as_map() else {
                self.problems.error(
                    item.region,
                    format!(
                        "an entry of `exclude` must be a map, not {}",
                        item.describe()
                    ),
                );
                continue;
            };
            for Entry { key, .. } in map.iter() {
                if !axes.iter().any(|(name, _)| name.text == key.text) {
                    let nearest = self
                        .problems
                        .nearest(&key.text, axes.iter().map(|(name, _)| &*name.text));
                    self.problems
                        .error(
                            key.region,
                            format!("the `matrix` has no parameter `{}`", key.text),
                        )
                        .suggest(nearest);
                }
            }
            let before = combinations.len();
            if !self.spend(before, item.size.text_bytes, item.region) {
                return;
            }
            combinations.retain(|combination| {
                !map.iter().all(|entry| {
                    combination
                        .get(&entry.key.text)
                        .is_some_and(|binding| is_equal(&binding.node, &entry.value))
                })
            });
            let is_doubtful = combinations.len() == before
                && !is_unknown(item)
                && !combinations
                    .iter()
                    .flat_map(Bindings::iter)
                    .any(|binding| is_unknown(&binding.node));
            if is_doubtful {
                self.problems
                    .warning(
                        item.region,
                        "this `exclude` takes nothing out of the `matrix`",
                    )
                    .help("no job of it has these values");
            }
        }
    }
}

/// CircleCI's name for a job of a matrix: `test-12-linux`, its values by the names of their parameters.
pub(super) fn matrix_name(job: &str, combination: &Bindings) -> String {
    let mut name = job.to_owned();
    let mut bindings: Vec<_> = combination.iter().collect();
    bindings.sort_by_key(|binding| Rc::clone(&binding.name));
    for binding in bindings {
        name.push('-');
        match &binding.node.value {
            // However it is written: `yes` is `true` in a text as well.
            Value::Scalar(scalar) => match scalar.as_bool() {
                Some(truth) => name.push_str(if truth { "true" } else { "false" }),
                None => name.push_str(&scalar.text),
            },
            Value::Map(map) => {
                let executor = map.get("name").and_then(|entry| entry.value.as_text());
                name.push_str(executor.unwrap_or("map"));
            }
            Value::List(_) => name.push_str("list"),
        }
    }
    name
}
