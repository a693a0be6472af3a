//! Finding by name in a list that keeps its order.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Where each name of a list is. A short list is looked through; a long one is indexed the first time that
/// it is asked, so that looking up all of its names takes no quadratic time.
#[derive(Debug, Default)]
pub(crate) struct Index(OnceCell<HashMap<Rc<str>, usize>>);

/// Below this, looking through the list is faster.
const SHORT: usize = 16;

impl Index {
    /// The first item of a name. The list must be the same each time, or [`Index::forget`] called.
    pub(crate) fn find<'l, T>(
        &self,
        list: &'l [T],
        name: &str,
        name_of: impl Fn(&T) -> &Rc<str>,
    ) -> Option<&'l T> {
        if list.len() < SHORT {
            return list.iter().find(|item| &**name_of(item) == name);
        }
        let places = self.0.get_or_init(|| {
            let mut places = HashMap::with_capacity(list.len());
            for (place, item) in list.iter().enumerate() {
                places.entry(Rc::clone(name_of(item))).or_insert(place);
            }
            places
        });
        places.get(name).and_then(|place| list.get(*place))
    }

    /// Begins anew, for a list that has changed.
    pub(crate) fn forget(&mut self) {
        self.0.take();
    }
}

impl Clone for Index {
    /// An empty one: the copy of a list may go on to differ, and is indexed if it is asked.
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_found_in_like_short_ones() {
        for length in [0, 1, SHORT - 1, SHORT, 100] {
            let mut list: Vec<Rc<str>> = (0..length).map(|n| n.to_string().into()).collect();
            let mut index = Index::default();
            for (place, name) in list.iter().enumerate() {
                let found = index.find(&list, name, |item| item);
                assert_eq!(found, list.get(place));
            }
            assert_eq!(index.find(&list, "none", |item| item), None);
            list.push("none".into());
            index.forget();
            let found = index.find(&list, "none", |item| item);
            assert_eq!(found.map(|found| &**found), Some("none"));
        }
    }

    #[test]
    fn the_first_of_a_name_is_found() {
        let list: Vec<(Rc<str>, usize)> =
            (0..40).map(|n| ((n % 20).to_string().into(), n)).collect();
        let found = Index::default().find(&list, "7", |(name, _)| name).cloned();
        assert_eq!(found, Some(("7".into(), 7)));
    }
}
