//! The parser's events to one tree. The parser gives syntax and places; anchors, merge keys and
//! limits are ours, because a file that is small to read may be endless to walk.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::lenient::Layout;
use super::map::MapBuilder;
use super::node::Size;
use super::syntax::{Fault, Last};
use super::{Key, MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES, Node, Region, Scalar, Source, Value};
use crate::diagnostic::Problems;

/// Reads a file's document. None after a fault that leaves no tree; it is among the problems then.
///
/// Empty documents, as a `---` too many makes them, are passed over. What follows the first one that has
/// something in it is ignored with a warning: there are real configs like that, as generators append to them
/// or an old config is kept below the new one. To refuse them would stop people who changed nothing; to read
/// the last, or to join them, would run what nobody meant to.
pub(crate) fn read(source: &Source, problems: &mut Problems) -> Option<Rc<Node>> {
    let mut layout = Layout::new(source);
    let before = problems.mark();
    let mut first_fault = None;
    loop {
        let mut reader = Reader {
            layout: &layout,
            problems,
            open: Vec::new(),
            anchors: HashMap::new(),
            total: Size::default(),
            root: None,
            last: Last::default(),
        };
        let outcome = reader.run();
        let last = reader.last;
        match outcome {
            Ok(None) => {
                problems.file_error(source.file(), "the config is empty");
                return None;
            }
            Ok(root) => return root,
            Err(Stopped::Told) => return None,
            Err(Stopped::Syntax(error, inside)) => {
                let fault = Fault {
                    info: error.info().to_owned(),
                    place: layout.place(error.marker()),
                    inside,
                    last,
                };
                problems.rewind(before);
                let is_mended = layout.mend(&error, &last);
                if is_mended {
                    // What else is mended is known to be meant so.
                    if fault.info.contains("invalid indentation") {
                        first_fault.get_or_insert(fault);
                    }
                    continue;
                }
                // If it can't be read however it is laid out, the first fault is the likeliest: a quote or a
                // bracket that is never closed. But an anchor that is not there is not there.
                let is_own = |first: &Fault| {
                    fault.info.contains("unknown anchor") && !first.info.contains("quoted")
                };
                let first = first_fault.take().filter(|first| !is_own(first));
                first.unwrap_or(fault).tell(source, problems);
                return None;
            }
        }
    }
}

/// Why the tree can't be made.
enum Stopped {
    /// The problem has been told.
    Told,
    /// The parser gave up, inside a list or map that began there.
    Syntax(ScanError, Option<Region>),
}

struct Reader<'r> {
    layout: &'r Layout<'r>,
    problems: &'r mut Problems,
    /// The lists and maps that have begun and not ended, outermost first.
    open: Vec<Open>,
    /// What each anchor stands for, by the parser's number for it: a name given twice has two.
    anchors: HashMap<usize, Rc<Node>>,
    /// What has been made so far, aliases and merges counted as often as they are used.
    total: Size,
    root: Option<Rc<Node>>,
    last: Last,
}

/// A list or map that has begun.
struct Open {
    region: Region,
    anchor: usize,
    what: Opened,
}

enum Opened {
    List(Vec<Rc<Node>>),
    Map {
        map: MapBuilder,
        key: Option<PendingKey>,
    },
}

/// A key whose value has not come yet.
enum PendingKey {
    Merge(Region),
    Own(Key),
}

impl Reader<'_> {
    fn run(&mut self) -> Result<Option<Rc<Node>>, Stopped> {
        let mut parser = Parser::new(StrInput::new(self.layout.text()));
        // Where a document behind the config begins.
        let mut begun = None;
        while let Some(next) = parser.next_event() {
            if let Some(at) = begun.filter(|_| !ends_empty(&next)) {
                self.problems
                    .warning(at, "a second YAML document begins here, and is ignored")
                    .help("a config is one document: remove this line, or what follows it");
                break;
            }
            let (event, span) = next.map_err(|error| {
                Stopped::Syntax(error, self.open.last().map(|open| open.region))
            })?;
            let (line, column) = self.layout.place(&span.start);
            let (end_line, end_column) = self.layout.place(&span.end);
            let region = Region {
                file: self.layout.file(),
                line,
                column,
                end_line,
                end_column,
            };
            if (line, column) < (end_line, end_column) {
                self.last = Last {
                    region,
                    is_plain: matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..)),
                };
            }
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => begun = self.has_config().then_some(region),
                Event::Alias(anchor) => self.alias(anchor, region)?,
                Event::Scalar(text, style, anchor, tag) => {
                    let quoted = self.tagged_text(tag.as_deref(), region);
                    let is_bare = tag.as_deref().is_some_and(is_bare);
                    if is_bare && style == ScalarStyle::Plain {
                        self.problems
                            .warning(
                                region,
                                "the `!` is a YAML tag here, and no part of the text",
                            )
                            .help("quote the whole text if it is meant");
                    }
                    let node = Node::scalar(
                        region,
                        Scalar {
                            text: text.into_owned(),
                            plain: style == ScalarStyle::Plain && !quoted,
                        },
                    );
                    if begun.is_some() {
                        // It is empty.
                        continue;
                    }
                    self.made(node, anchor)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.tagged_text(tag.as_deref(), region);
                    self.begin(region, anchor, Opened::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.tagged_text(tag.as_deref(), region);
                    let map = MapBuilder::default();
                    self.begin(region, anchor, Opened::Map { map, key: None })?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(region)?,
            }
        }
        Ok(self.root.take())
    }

    /// Whether a document with something in it has ended.
    fn has_config(&self) -> bool {
        self.root.as_deref().is_some_and(|root| !root.is_null())
    }

    fn begin(&mut self, region: Region, anchor: usize, what: Opened) -> Result<(), Stopped> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(region));
        }
        self.open.push(Open {
            region,
            anchor,
            what,
        });
        Ok(())
    }

    fn end(&mut self, end: Region) -> Result<(), Stopped> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        // A flow collection is marked whole; a block collection only where it begins.
        let mut region = open.region;
        if (end.end_line, end.end_column) > (region.end_line, region.end_column)
            && end.end_line == region.line
        {
            (region.end_line, region.end_column) = (end.end_line, end.end_column);
        }
        let node = match open.what {
            Opened::List(items) => Node::list(region, items),
            Opened::Map { map, key: _ } => Node::map(region, map.build()),
        };
        let node = Rc::new(node);
        self.remember(open.anchor, &node);
        self.place(node)
    }

    fn made(&mut self, node: Node, anchor: usize) -> Result<(), Stopped> {
        let region = node.region;
        if let Value::Scalar(scalar) = &node.value
            && scalar.text.contains('\0')
        {
            self.problems.error(
                region,
                "a value holds a NUL character, which no program can be given",
            );
        }
        let node = Rc::new(node);
        self.count(node.size, region)?;
        self.remember(anchor, &node);
        self.place(node)
    }

    fn remember(&mut self, anchor: usize, node: &Rc<Node>) {
        // The parser numbers anchors from 1.
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(node));
        }
    }

    fn alias(&mut self, anchor: usize, region: Region) -> Result<(), Stopped> {
        let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
            let anchored = self.open.iter().find(|open| open.anchor == anchor);
            let related = anchored.map(|open| {
                self.problems
                    .related(open.region, "what the alias stands for begins here")
            });
            let problem = self.problems.error(
                region,
                "an alias stands for something that holds the alias itself",
            );
            if let Some(related) = related {
                problem.related(related);
            }
            return Err(Stopped::Told);
        };
        if self.open.len() + node.size.height > MAX_DEPTH {
            return Err(self.too_deep(region));
        }
        self.count(node.size, region)?;
        self.place(node)
    }

    /// Puts a node where the innermost open list or map wants one.
    fn place(&mut self, node: Rc<Node>) -> Result<(), Stopped> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.what {
            Opened::List(items) => items.push(node),
            Opened::Map { map, key } => match key.take() {
                None => *key = Some(pending_key(&node, self.problems)),
                Some(PendingKey::Own(key)) => {
                    let region = key.region;
                    let name = Rc::clone(&key.text);
                    if let Some(first) = map.insert(key, node) {
                        let first = self.problems.related(first.region, "the first is here");
                        // As CircleCI has it since its pipelines: a step that is lost without a word
                        // is worse than an error.
                        self.problems
                            .error(region, format!("`{name}` is given twice in this map"))
                            .help("keep one of them, or give one another name")
                            .related(first);
                    }
                }
                Some(PendingKey::Merge(region)) => {
                    let brought = merge(map, &node, region, self.problems);
                    self.count(brought, region)?;
                }
            },
        }
        Ok(())
    }

    /// Keeps what it would cost to walk the tree within its limits.
    fn count(&mut self, size: Size, region: Region) -> Result<(), Stopped> {
        self.total.add(size);
        let told = if self.total.nodes > MAX_NODES {
            format!("the file expands to more than {MAX_NODES} values")
        } else if self.total.text_bytes > MAX_TEXT_BYTES {
            format!(
                "the file expands to more than {} MiB of text",
                MAX_TEXT_BYTES / (1024 * 1024)
            )
        } else {
            return Ok(());
        };
        self.problems
            .error(region, told)
            .help("aliases and merge keys count as often as they are used");
        Err(Stopped::Told)
    }

    fn too_deep(&mut self, region: Region) -> Stopped {
        self.problems.error(
            region,
            format!("lists and maps are nested more than {MAX_DEPTH} deep"),
        );
        Stopped::Told
    }

    /// Whether a tag makes the value a text; complains about tags that mean nothing here.
    fn tagged_text(&mut self, tag: Option<&Tag>, region: Region) -> bool {
        let Some(tag) = tag else {
            return false;
        };
        if tag.is_yaml_core_schema() {
            match tag.suffix.as_str() {
                "str" => return true,
                "int" | "float" | "bool" | "null" | "map" | "seq" => return false,
                _ => {}
            }
        } else if is_bare(tag) {
            return true;
        }
        let shown = if tag.is_yaml_core_schema() {
            format!("!!{}", tag.suffix)
        } else {
            tag.to_string()
        };
        self.problems
            .error(region, format!("the YAML tag `{shown}` means nothing here"))
            .help("remove the tag, or quote the whole text if it is a part of that");
        false
    }
}

/// Whether what comes next leaves a document behind the config empty.
fn ends_empty(next: &Result<(Event<'_>, Span), ScanError>) -> bool {
    match next {
        Ok((Event::Scalar(text, style, ..), _)) => text.is_empty() && *style == ScalarStyle::Plain,
        Ok((event, _)) => matches!(
            event,
            Event::Nothing | Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamEnd
        ),
        Err(_) => false,
    }
}

/// `!` alone.
fn is_bare(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

fn pending_key(node: &Node, problems: &mut Problems) -> PendingKey {
    let text = match &node.value {
        Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" => {
            return PendingKey::Merge(node.region);
        }
        Value::Scalar(scalar) if scalar.text == "<<" => {
            // As in JSON. CircleCI takes it for a key like others, and refuses that.
            problems
                .warning(node.region, "a `<<` in quotes merges only here")
                .help("remove the quotes");
            return PendingKey::Merge(node.region);
        }
        Value::Scalar(scalar) => {
            if scalar.is_null() {
                problems.error(node.region, "a key is missing before this `:`");
            }
            scalar.text.as_str()
        }
        Value::List(_) | Value::Map(_) => {
            problems
                .error(
                    node.region,
                    format!("a key must be a string, not {}", node.describe()),
                )
                .help("quote it if it is one");
            ""
        }
    };
    PendingKey::Own(Key {
        text: text.into(),
        region: node.region,
    })
}

/// Merges a map, or a list of maps, and tells how much that brought.
fn merge(map: &mut MapBuilder, node: &Node, at: Region, problems: &mut Problems) -> Size {
    match &node.value {
        Value::Map(other) => {
            map.merge(other);
            node.size
        }
        Value::List(items) => {
            for item in items {
                if let Value::Map(other) = &item.value {
                    map.merge(other);
                } else {
                    not_mergeable(item, at, problems);
                }
            }
            node.size
        }
        Value::Scalar(_) => {
            not_mergeable(node, at, problems);
            Size::default()
        }
    }
}

fn not_mergeable(node: &Node, at: Region, problems: &mut Problems) {
    problems
        .error(
            at,
            format!("`<<` merges maps, and this is {}", node.describe()),
        )
        .help("give it an alias of a map, or a list of them");
}
