//! How lists are given out, a page at a time.
//!
//! A cursor names the last item that was given, not a count of items, so that pages neither repeat nor
//! miss anything while new items come in.

use crate::{Result, StoreError};

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many items at most; at least one is given, at most [`Page::MOST`].
    pub limit: u32,
    /// Where it begins: [`Paged::next`] of the page before. The beginning if absent.
    pub cursor: Option<String>,
}

impl Page {
    /// The most items that a page has.
    pub const MOST: u32 = 200;

    pub(crate) fn size(&self) -> usize {
        self.limit.clamp(1, Self::MOST) as usize
    }

    /// How many items to ask the database for: one more than the page has tells whether there is a next.
    pub(crate) fn more(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MOST)) + 1
    }

    /// The number below which this page's items are, in a list that counts down.
    pub(crate) fn below(&self, list: List) -> Result<i64> {
        self.place(list, i64::MAX)
    }

    /// The number above which this page's items are, in a list that counts up.
    pub(crate) fn above(&self, list: List) -> Result<i64> {
        self.place(list, -1)
    }

    fn place(&self, list: List, beginning: i64) -> Result<i64> {
        let Some(cursor) = &self.cursor else {
            return Ok(beginning);
        };
        cursor
            .strip_prefix(list.prefix())
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| StoreError::BadCursor(cursor.chars().take(100).collect()))
    }
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: 20,
            cursor: None,
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<String>,
}

/// The lists that have pages: a cursor of one means nothing to another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Pipelines,
    Jobs,
    Projects,
    Repos,
    Tokens,
    Artifacts,
    Tests,
}

impl List {
    fn prefix(self) -> &'static str {
        match self {
            Self::Pipelines => "p",
            Self::Jobs => "j",
            Self::Projects => "r",
            Self::Repos => "h",
            Self::Tokens => "t",
            Self::Artifacts => "a",
            Self::Tests => "e",
        }
    }
}

impl<T> Paged<T> {
    /// From one item more than the page has, if there are so many.
    pub(crate) fn cut(
        mut items: Vec<T>,
        page: &Page,
        list: List,
        number: impl Fn(&T) -> i64,
    ) -> Self {
        let more = items.len() > page.size();
        items.truncate(page.size());
        let next = if more {
            items
                .last()
                .map(|last| format!("{}{}", list.prefix(), number(last)))
        } else {
            None
        };
        Self { items, next }
    }

    /// The items as what their rows stand for. One that can't be read is left out: it must not keep the
    /// others from being seen.
    pub(crate) fn read<U>(self) -> Paged<U>
    where
        T: TryInto<U, Error = StoreError>,
    {
        let items = self.items.into_iter().filter_map(|row| {
            row.try_into()
                .inspect_err(|error: &StoreError| left_out(error))
                .ok()
        });
        Paged {
            items: items.collect(),
            next: self.next,
        }
    }
}

/// Says that a list is not whole.
pub(crate) fn left_out(error: &StoreError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "left out of a list");
}
