//! Takes each line for what it looks like, and goes by its indentation.

use std::ops::Range;

use super::{Node, NodeId};

/// How many lines a quoted text or a bracket is looked for the end of.
const MAX_OPEN_LINES: usize = 200;

/// How many bytes, likewise.
const MAX_OPEN_BYTES: usize = 16 * 1024;

/// How deep brackets are followed.
const MAX_FLOW_DEPTH: usize = 50;

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

/// The nodes of a text, whose lines begin at these places; the first is the root.
pub(super) fn nodes(text: &str, lines: &[usize]) -> Vec<Node> {
    let mut parser = Parser {
        text,
        lines,
        nodes: vec![Node::default()],
        open: vec![Open {
            column: -1,
            node: 0,
        }],
    };
    parser.read();
    parser.nodes
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
