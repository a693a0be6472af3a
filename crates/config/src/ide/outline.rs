//! A text's outline: keys, items and values with their places, whatever state the text is in.
//!
//! The compiler's own reader follows YAML to the letter and stops where that is broken, which it is at
//! every second keystroke. This one goes by indentation, takes each line for what it looks like, and
//! never fails. Where a text is right, both see the same; a test holds them to it.

use std::borrow::Cow;
use std::ops::Range;

/// How many lines a quoted text or a bracket is looked for the end of.
const MAX_OPEN_LINES: usize = 200;

/// How many bytes, likewise.
const MAX_OPEN_BYTES: usize = 16 * 1024;

/// How deep brackets are followed.
const MAX_FLOW_DEPTH: usize = 50;

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
        let mut parser = Parser {
            text: &text,
            lines: &lines,
            nodes: vec![Node::default()],
            open: vec![Open {
                column: -1,
                node: 0,
            }],
        };
        parser.read();
        let nodes = parser.nodes;
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

/// What may get children.
#[derive(Clone, Copy)]
struct Open {
    /// Where it stands; what is in it stands further right.
    column: isize,
    node: NodeId,
}

struct Parser<'t> {
    text: &'t str,
    lines: &'t [usize],
    nodes: Vec<Node>,
    open: Vec<Open>,
}

impl Parser<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while at < self.text.len() {
            let end = self.line_end(at);
            let line = &self.text[at..end];
            let content = line.trim_start_matches(' ');
            let is_marker = ["---", "...", "%"]
                .iter()
                .any(|mark| line.starts_with(mark));
            if content.trim().is_empty() || content.starts_with('#') || is_marker {
                at = end + 1;
                continue;
            }
            let start = at + line.len() - content.len();
            let read_to = self.content(at, start);
            at = self.line_end(read_to.max(start)) + 1;
        }
    }

    /// Where the line that a byte is in ends, without its line feed.
    fn line_end(&self, at: usize) -> usize {
        let next = self.lines.partition_point(|start| *start <= at);
        match self.lines.get(next) {
            Some(start) => start - 1,
            None => self.text.len(),
        }
    }

    /// Reads what begins in a line at a place; returns up to where.
    fn content(&mut self, line: usize, mut at: usize) -> usize {
        let mut own_item = None;
        loop {
            let end = self.line_end(at);
            let rest = self.text[at..end].trim_end();
            let column = isize::try_from(at - line).unwrap_or(isize::MAX);
            if rest == "-" || rest.starts_with("- ") {
                let node = self.item(column);
                own_item = Some(node);
                let blanks = rest[1..].len() - rest[1..].trim_start_matches(' ').len();
                at += 1 + blanks;
                if self.text[at..end].trim().is_empty() || self.text[at..end].starts_with('#') {
                    return at;
                }
                continue;
            }
            if let Some(node) = own_item
                && let Some(mark @ ('&' | '!')) = rest.chars().next()
                && let Some(word) = rest.split(' ').next()
                && word.len() < rest.len()
            {
                if mark == '&' {
                    self.nodes[node].anchor = Some(at + 1..at + word.len());
                }
                let after = &rest[word.len()..];
                at += word.len() + after.len() - after.trim_start_matches(' ').len();
                continue;
            }
            return match key_of(rest) {
                Some(key) => {
                    self.close(column);
                    let parent = self.top();
                    let node = self.add(Node {
                        parent,
                        key: Some(at + key.name.start..at + key.name.end),
                        ..Node::default()
                    });
                    self.open.push(Open { column, node });
                    self.value(node, column, at + key.after)
                }
                None => self.bare(column, at, own_item),
            };
        }
    }

    fn item(&mut self, column: isize) -> NodeId {
        while let Some(top) = self.open.last().copied() {
            let is_sibling = self.nodes[top.node].is_item && top.column == column;
            if self.open.len() > 1 && (top.column > column || is_sibling) {
                self.open.pop();
            } else {
                break;
            }
        }
        let parent = self.top();
        let node = self.add(Node {
            parent,
            is_item: true,
            ..Node::default()
        });
        self.open.push(Open { column, node });
        node
    }

    /// A line that is neither an item nor has a key: a value below its key, more of a value, or half a
    /// key.
    fn bare(&mut self, column: isize, at: usize, own_item: Option<NodeId>) -> usize {
        if own_item.is_none() {
            self.close(column);
        }
        let top = self.top();
        let node = &self.nodes[top];
        let base = self.open.last().map_or(-1, |open| open.column);
        let has_value = node.scalar.is_some() || node.alias.is_some();
        if top != 0 && !has_value && node.children.is_empty() {
            self.nodes[top].is_below = own_item.is_none();
            return self.value(top, base, at);
        }
        if top != 0
            && node.is_plain
            && node.children.is_empty()
            && let Some(range) = node.scalar.clone()
        {
            let end = self.line_end(at);
            let end = at + plain_end(&self.text[at..end]);
            self.nodes[top].scalar = Some(range.start..end);
            return end;
        }
        let loose = self.add(Node {
            parent: top,
            ..Node::default()
        });
        self.value(loose, base, at)
    }

    /// Closes what stands at a column or right of it.
    fn close(&mut self, column: isize) {
        while self.open.len() > 1 && self.open.last().is_some_and(|top| top.column >= column) {
            self.open.pop();
        }
    }

    fn top(&self) -> NodeId {
        self.open.last().map_or(0, |open| open.node)
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = self.nodes.len();
        let parent = node.parent;
        self.nodes.push(node);
        self.nodes[parent].children.push(id);
        id
    }

    /// Reads a value that begins at a place; returns up to where.
    fn value(&mut self, node: NodeId, column: isize, mut at: usize) -> usize {
        let end = self.line_end(at);
        loop {
            let rest = &self.text[at..end];
            at += rest.len() - rest.trim_start().len();
            let rest = rest.trim();
            let word = rest.split([' ', '\t']).next().unwrap_or_default();
            match rest.chars().next() {
                None | Some('#') => return at,
                Some('&') => self.nodes[node].anchor = Some(at + 1..at + word.len()),
                Some('!') => {}
                Some('*') => {
                    self.nodes[node].alias = Some(at + 1..at + word.len());
                    return at + word.len();
                }
                Some('|' | '>') => return self.block(node, column, end),
                Some(quote @ ('"' | '\'')) => {
                    let closed = self.quoted_end(at, quote);
                    let last = closed.unwrap_or(at + rest.len()).max(at + 1);
                    self.nodes[node].scalar = Some(at + 1..last);
                    return closed.map_or(last, |closed| closed + 1);
                }
                Some('[' | '{') => {
                    let limit = self.bracket_end(at).unwrap_or(end);
                    self.flow(node, at, limit, 0);
                    return limit;
                }
                Some(_) => {
                    let last = at + plain_end(rest);
                    self.nodes[node].scalar = Some(at..last);
                    self.nodes[node].is_plain = true;
                    return last;
                }
            }
            at += word.len();
        }
    }

    /// A block text, whose header ends at a place: all lines below that are further right.
    fn block(&mut self, node: NodeId, column: isize, header_end: usize) -> usize {
        let start = (header_end + 1).min(self.text.len());
        let mut last = header_end;
        let mut at = start;
        while at < self.text.len() {
            let end = self.line_end(at);
            let line = self.text[at..end].trim_end();
            let indent = line.len() - line.trim_start_matches(' ').len();
            if !line.is_empty() && isize::try_from(indent).unwrap_or(isize::MAX) <= column {
                break;
            }
            last = end;
            at = end + 1;
        }
        self.nodes[node].scalar = Some(start.min(last)..last.max(start.min(last)));
        last
    }

    /// How far the end of what begins at a place is looked for.
    fn horizon(&self, at: usize) -> usize {
        let line = self.lines.partition_point(|start| *start <= at);
        let by_lines = self.lines.get(line + MAX_OPEN_LINES).copied();
        let mut by_bytes = self.text.len().min(at + MAX_OPEN_BYTES);
        while !self.text.is_char_boundary(by_bytes) {
            by_bytes -= 1;
        }
        by_lines.unwrap_or(self.text.len()).min(by_bytes)
    }

    /// Where the quote that opens at a place is closed.
    fn quoted_end(&self, at: usize, quote: char) -> Option<usize> {
        let bytes = &self.text.as_bytes()[..self.horizon(at)];
        let quote = quote as u8;
        let mut next = at + 1;
        while let Some(byte) = bytes.get(next) {
            if quote == b'"' && *byte == b'\\' {
                next += 1;
            } else if *byte == quote {
                if quote == b'\'' && bytes.get(next + 1) == Some(&quote) {
                    next += 1;
                } else {
                    return Some(next);
                }
            }
            next += 1;
        }
        None
    }

    /// Behind the bracket that closes the one at a place.
    fn bracket_end(&self, at: usize) -> Option<usize> {
        let bytes = &self.text.as_bytes()[..self.horizon(at)];
        let mut depth = 0_usize;
        let mut next = at;
        while let Some(byte) = bytes.get(next) {
            let before = next.checked_sub(1).map_or(b' ', |before| bytes[before]);
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(next + 1);
                    }
                }
                b'"' | b'\'' if matches!(before, b' ' | b'[' | b'{' | b',' | b':' | b'\n') => {
                    next = self.quoted_end(next, char::from(*byte))?;
                }
                b'#' if before.is_ascii_whitespace() => next = self.line_end(next),
                _ => {}
            }
            next += 1;
        }
        None
    }

    /// Reads the bracket that opens at a place into a node; returns up to where.
    fn flow(&mut self, node: NodeId, open: usize, limit: usize, depth: usize) -> usize {
        let is_list = self.text[open..].starts_with('[');
        let mut at = open + 1;
        loop {
            at = self.skip_blanks(at, limit);
            let Some(next) = self.text[at..limit].chars().next() else {
                return limit;
            };
            match next {
                ']' | '}' => return at + 1,
                ',' => at += 1,
                _ => at = self.flow_item(node, at, limit, depth, is_list).max(at + 1),
            }
        }
    }

    fn skip_blanks(&self, mut at: usize, limit: usize) -> usize {
        loop {
            let rest = &self.text[at..limit];
            at += rest.len() - rest.trim_start().len();
            if !self.text[at..limit].starts_with('#') {
                return at;
            }
            at = self.line_end(at).min(limit);
        }
    }

    fn flow_item(
        &mut self,
        parent: NodeId,
        at: usize,
        limit: usize,
        depth: usize,
        is_list: bool,
    ) -> usize {
        let mut holder = parent;
        if is_list {
            holder = self.add(Node {
                parent,
                is_item: true,
                in_flow: true,
                ..Node::default()
            });
        }
        let (word, after) = self.flow_word(at, limit);
        let colon = self.skip_blanks(after, limit);
        let is_key = word.is_some() && self.text[colon..limit].starts_with(':');
        match word {
            Some(word) if is_key => {
                let node = self.add(Node {
                    parent: holder,
                    key: Some(word),
                    in_flow: true,
                    ..Node::default()
                });
                self.flow_value(node, colon + 1, limit, depth)
            }
            _ if is_list => self.flow_value(holder, at, limit, depth),
            // Half a key.
            _ => {
                let loose = self.add(Node {
                    parent: holder,
                    in_flow: true,
                    ..Node::default()
                });
                self.flow_value(loose, at, limit, depth)
            }
        }
    }

    /// The text at a place inside brackets, if there is one, and where it ends.
    fn flow_word(&self, at: usize, limit: usize) -> (Option<Range<usize>>, usize) {
        let rest = &self.text[at..limit];
        match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => match self.quoted_end(at, quote) {
                Some(end) if end < limit => (Some(at + 1..end), end + 1),
                Some(_) | None => (Some(at + 1..limit), limit),
            },
            None | Some('[' | ']' | '{' | '}' | ',') => (None, at),
            Some(_) => {
                let mut end = rest.len();
                let mut before = ' ';
                for (place, c) in rest.char_indices() {
                    let next = rest[place + c.len_utf8()..].chars().next();
                    let is_colon =
                        c == ':' && next.is_none_or(|c| c.is_whitespace() || "[]{},".contains(c));
                    let is_comment = c == '#' && before.is_whitespace();
                    if "[]{},".contains(c) || is_colon || is_comment {
                        end = place;
                        break;
                    }
                    before = c;
                }
                let word = rest[..end].trim_end();
                (Some(at..at + word.len()), at + end)
            }
        }
    }

    fn flow_value(&mut self, node: NodeId, at: usize, limit: usize, depth: usize) -> usize {
        let at = self.skip_blanks(at, limit);
        let rest = &self.text[at..limit];
        match rest.chars().next() {
            Some('[' | '{') if depth < MAX_FLOW_DEPTH => self.flow(node, at, limit, depth + 1),
            Some('[' | '{') => limit,
            Some(mark @ ('&' | '*')) => {
                let length = rest
                    .find(|c: char| c.is_whitespace() || "[]{},".contains(c))
                    .unwrap_or(rest.len());
                let name = at + 1..at + length;
                if mark == '*' {
                    self.nodes[node].alias = Some(name);
                    return at + length;
                }
                self.nodes[node].anchor = Some(name);
                if depth < MAX_FLOW_DEPTH {
                    self.flow_value(node, at + length, limit, depth + 1)
                } else {
                    limit
                }
            }
            Some(first) => {
                let (word, end) = self.flow_word(at, limit);
                if let Some(word) = word {
                    self.nodes[node].scalar = Some(word);
                    self.nodes[node].is_plain = !matches!(first, '"' | '\'');
                }
                end
            }
            None => at,
        }
    }
}

/// A key at the beginning of a text.
struct KeyAt {
    /// Without its quotes.
    name: Range<usize>,
    /// Behind its colon.
    after: usize,
}

fn key_of(rest: &str) -> Option<KeyAt> {
    let is_end = |after: &str| after.is_empty() || after.starts_with([' ', '\t']);
    match rest.chars().next()? {
        quote @ ('"' | '\'') => {
            let close = rest[1..].find(quote)? + 1;
            let after = rest[close + 1..].trim_start();
            let value = after.strip_prefix(':')?;
            is_end(value).then(|| KeyAt {
                name: 1..close,
                after: rest.len() - value.len(),
            })
        }
        '[' | '{' | '#' | '*' | '&' | '!' | '|' | '>' => None,
        _ => {
            let comment = rest.find(" #").unwrap_or(rest.len());
            let mut colons = rest[..comment].match_indices(':');
            let (colon, _) = colons.find(|(at, _)| is_end(&rest[at + 1..]))?;
            Some(KeyAt {
                name: 0..rest[..colon].trim_end().len(),
                after: colon + 1,
            })
        }
    }
}

/// Where a plain text ends in the rest of its line.
fn plain_end(rest: &str) -> usize {
    let comment = rest.find(" #").unwrap_or(rest.len());
    rest[..comment].trim_end().len()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::rc::Rc;

    use super::*;
    use crate::SourceFile;
    use crate::diagnostic::Problems;
    use crate::read::{self, FileId, Source, Value};

    /// All keys and values, with where they begin.
    fn seen(outline: &Outline) -> Vec<String> {
        let mut seen = Vec::new();
        for id in outline.ids() {
            let node = outline.node(id);
            if let Some(key) = node.key.as_ref().filter(|key| outline.slice(key) != "<<") {
                let (line, column) = outline.place(key.start);
                seen.push(format!("{line}:{column} {}:", outline.slice(key)));
            }
            if let Some(scalar) = node.scalar.as_ref().filter(|_| node.is_plain) {
                // To the compiler a value begins with its anchor.
                let anchor = node.anchor.as_ref().map(|anchor| anchor.start - 1);
                let (line, column) = outline.place(anchor.unwrap_or(scalar.start));
                let text: Vec<&str> = outline.slice(scalar).split_whitespace().collect();
                seen.push(format!("{line}:{column} {}", text.join(" ")));
            }
        }
        seen.sort();
        seen.dedup();
        seen
    }

    fn read_by_the_compiler(node: &read::Node, outline: &Outline, seen: &mut Vec<String>) {
        match &node.value {
            Value::Scalar(scalar) => {
                if scalar.plain && !scalar.text.is_empty() {
                    let region = node.region;
                    let text: Vec<&str> = scalar.text.split_whitespace().collect();
                    let text = text.join(" ");
                    seen.push(format!("{}:{} {text}", region.line, region.column));
                }
            }
            Value::List(items) => {
                for item in items {
                    read_by_the_compiler(item, outline, seen);
                }
            }
            Value::Map(map) => {
                for entry in map.iter() {
                    let region = entry.key.region;
                    let at = outline.offset(region.line, region.column);
                    let quote = usize::from(outline.text()[at..].starts_with(['"', '\'']));
                    let column = region.column + quote;
                    seen.push(format!("{}:{column} {}:", region.line, entry.key.text));
                    read_by_the_compiler(&entry.value, outline, seen);
                }
            }
        }
    }

    /// What the compiler sees in a text and the outline does not.
    fn missed(text: &str) -> Vec<String> {
        let file = SourceFile {
            path: "ci.yml".into(),
            text: text.into(),
        };
        let Ok(source) = Source::decode(FileId::default(), &file) else {
            return Vec::new();
        };
        let source = Rc::new(source);
        let mut problems = Problems::new(Rc::clone(&source));
        let Some(root) = read::read(&source, &mut problems) else {
            return Vec::new();
        };
        let outline = Outline::new(text);
        let mut wanted = Vec::new();
        read_by_the_compiler(&root, &outline, &mut wanted);
        let found = seen(&outline);
        wanted.sort();
        wanted.dedup();
        wanted.retain(|one| found.binary_search(one).is_err());
        wanted
    }

    #[test]
    fn it_sees_what_the_compiler_sees() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut folders = vec![tests.join("corpus"), tests.join("suite")];
        folders.extend(std::env::var_os("POPSICLE_CORPUS").map(Into::into));
        let mut count = 0;
        for folder in folders {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "yml") {
                    continue;
                }
                let Ok(text) = fs::read_to_string(&path) else {
                    continue;
                };
                count += 1;
                assert_eq!(missed(&text), [""; 0], "{path:?}");
            }
        }
        assert!(count >= 5);
    }

    #[test]
    fn every_end_of_a_line_is_as_good() {
        let text = "\u{feff}jobs:\n  build: &a\n    steps: [x, y]\n    shell: 'b'\n# c\nd: e";
        let wanted = seen(&Outline::new(text));
        assert_eq!(wanted.len(), 8);
        for end in ["\r\n", "\r"] {
            let text = text.replace('\n', end);
            assert_eq!(seen(&Outline::new(&text)), wanted, "{end:?}");
            assert_eq!(missed(&text), [""; 0], "{end:?}");
        }
        let mixed = "a: b\rc:\r\n  - d\r  - e\n";
        assert_eq!(seen(&Outline::new(mixed)).len(), 5);
        assert_eq!(missed(mixed), [""; 0]);
    }

    #[test]
    fn broken_texts_keep_their_outline() {
        for (text, expected) in [
            (
                "jobs:\n  build:\n    dock\n    steps:\n    - run",
                "1:1 jobs:, 2:3 build:, 3:5 dock, 4:5 steps:, 5:7 run",
            ),
            (
                "a:\n  requires: [bu\n  next: [x]\nb: c",
                "1:1 a:, 2:14 bu, 2:3 requires:, 3:3 next:, 3:10 x, 4:1 b:, 4:4 c",
            ),
            ("a: \"never closed\nb: c", "1:1 a:, 2:1 b:, 2:4 c"),
            (
                "a: {b: c, d\ne: f",
                "1:1 a:, 1:11 d, 1:5 b:, 1:8 c, 2:1 e:, 2:4 f",
            ),
        ] {
            let mut expected: Vec<&str> = expected.split(", ").collect();
            expected.sort_unstable();
            assert_eq!(seen(&Outline::new(text)), expected, "{text}");
        }
    }
}
