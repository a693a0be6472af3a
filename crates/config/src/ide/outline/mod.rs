//! A text's outline: keys, items and values with their places, whatever state the text is in.
//!
//! The compiler's own reader follows YAML to the letter and stops where that is broken, which it is at
//! every second keystroke. This one goes by indentation, takes each line for what it looks like, and
//! never fails. Where a text is right, both see the same; a test holds them to it.

mod parser;

use std::borrow::Cow;
use std::ops::Range;

/// The number of a node in its outline.
pub(super) type NodeId = usize;

/// A text and its nodes; the first is the root.
#[derive(Debug)]
pub(super) struct Outline {
    text: String,
    nodes: Vec<Node>,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// An entry of a map, an item of a list, or a value that stands alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    pub(super) children: Vec<NodeId>,
    /// Its key, without quotes, if it is an entry of a map.
    pub(super) key: Option<Range<usize>>,
    pub(super) is_item: bool,
    /// Its value if that is a text: without quotes, and without the header of a block.
    pub(super) scalar: Option<Range<usize>>,
    /// Whether that value is a plain word or text, not quoted and no block.
    pub(super) is_plain: bool,
    /// Whether the value stands below its key.
    pub(super) is_below: bool,
    /// The name of the anchor on its value.
    pub(super) anchor: Option<Range<usize>>,
    /// The name of the anchor that its value is.
    pub(super) alias: Option<Range<usize>>,
    /// Whether it is inside brackets.
    pub(super) in_flow: bool,
}

impl Outline {
    pub(super) fn new(text: &str) -> Self {
        let text = with_line_feeds(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let nodes = parser::nodes(&text, &lines);
        Self {
            text: text.into_owned(),
            nodes,
            lines,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// All nodes but the root, in the order of the text.
    pub(super) fn ids(&self) -> Range<NodeId> {
        1..self.nodes.len()
    }

    pub(super) fn slice(&self, range: &Range<usize>) -> &str {
        &self.text[range.clone()]
    }

    pub(super) fn key(&self, id: NodeId) -> Option<&str> {
        Some(self.slice(self.nodes[id].key.as_ref()?))
    }

    /// The value, if it is a text.
    pub(super) fn scalar(&self, id: NodeId) -> Option<&str> {
        Some(self.slice(self.nodes[id].scalar.as_ref()?))
    }

    /// The entries of a map.
    pub(super) fn entries(&self, id: NodeId) -> impl Iterator<Item = (&str, NodeId)> {
        let children = self.nodes[id].children.iter();
        children.filter_map(|child| Some((self.key(*child)?, *child)))
    }

    pub(super) fn entry(&self, id: NodeId, key: &str) -> Option<NodeId> {
        let found = self.entries(id).find(|(name, _)| *name == key);
        found.map(|(_, child)| child)
    }

    /// The value of an entry, if it is a text.
    pub(super) fn text_of(&self, id: NodeId, key: &str) -> Option<&str> {
        self.scalar(self.entry(id, key)?)
    }

    /// A node, what it is in, and so on up to the root.
    pub(super) fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(id), |id| (*id != 0).then(|| self.nodes[*id].parent))
    }

    /// Where a line begins, in bytes; lines count from 1.
    pub(super) fn line_start(&self, line: usize) -> usize {
        let index = line.saturating_sub(1);
        self.lines.get(index).copied().unwrap_or(self.text.len())
    }

    /// A line's text without its end; one past the last is empty.
    pub(super) fn line(&self, line: usize) -> &str {
        let start = self.line_start(line);
        let end = self.line_start(line + 1).max(start);
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The byte at a line and column from 1; behind the end of a line it is its end.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let text = self.line(line);
        let before = text.char_indices().nth(column.saturating_sub(1));
        self.line_start(line) + before.map_or(text.len(), |(at, _)| at)
    }

    /// Line and column, from 1, of a byte.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.line_start(line);
        let column = self.text[start..offset.max(start)].chars().count() + 1;
        (line.max(1), column)
    }
}

/// A carriage return alone ends a line too; everything stays in its place.
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    let mut returns = text.match_indices('\r').map(|(at, _)| at);
    let is_alone = |at: usize| !text[at + 1..].starts_with('\n');
    if !returns.any(is_alone) {
        return Cow::Borrowed(text);
    }
    let pairs = text.split_inclusive("\r\n");
    let lines = pairs.map(|line| match line.strip_suffix("\r\n") {
        Some(line) => format!("{}\r\n", line.replace('\r', "\n")),
        None => line.replace('\r', "\n"),
    });
    Cow::Owned(lines.collect())
}

#[cfg(test)]
mod tests;
