//! Fills the holes of texts, lists and maps.

use std::cell::Cell;
use std::rc::Rc;

use crate::diagnostic::Problems;
use crate::expression;
use crate::read::{Entry, Key, Map, MapBuilder, Node, Region, Scalar, Source, Value};

use super::condition::is_true;
use super::parameter::{Binding, UNKNOWN, is_unknown, unknown};
use super::text::{self, Hole, Part};
use super::{Env, Expander, Version};

impl Expander<'_> {
    /// The node with its holes filled; itself if it has none.
    pub(super) fn substitute(&mut self, node: &Rc<Node>, env: Env<'_>) -> Rc<Node> {
        if !node.templated || self.version == Version::V2_0 {
            return Rc::clone(node);
        }
        match &node.value {
            Value::Scalar(scalar) => self.scalar(node, scalar, env),
            Value::List(items) => {
                if !self.spend(1 + items.len(), 0, node.region) {
                    return Rc::clone(node);
                }
                let items = items
                    .iter()
                    .map(|item| self.substitute(item, env))
                    .collect();
                Rc::new(Node::list(node.region, items).with_via(node.via))
            }
            Value::Map(map) => {
                if !self.spend(1 + map.len(), 0, node.region) {
                    return Rc::clone(node);
                }
                let map = self.map(map, env);
                Rc::new(Node::map(node.region, map).with_via(node.via))
            }
        }
    }

    /// The same for the entries of a map.
    pub(super) fn map(&mut self, map: &Map, env: Env<'_>) -> Map {
        if !map.iter().any(|entry| entry.key.text.contains("<<")) {
            return map.iter().map(|entry| self.entry(entry, env)).collect();
        }
        // Two keys with holes may come out the same; the later one counts.
        let mut builder = MapBuilder::default();
        for entry in map.iter() {
            let Entry { key, value } = self.entry(entry, env);
            builder.insert(key, value);
        }
        builder.build()
    }

    pub(super) fn entry(&mut self, entry: &Entry, env: Env<'_>) -> Entry {
        if &*entry.key.text == "environment"
            && entry.value.templated
            && self.version == Version::V2_1
            && let Some(value) = self.environment(&entry.value, env)
        {
            return Entry::new(entry.key.clone(), value);
        }
        Entry {
            key: self.key(&entry.key, env),
            value: self.substitute(&entry.value, env),
        }
    }

    /// A map of variables, or a list of them; none if it is neither.
    fn environment(&mut self, value: &Rc<Node>, env: Env<'_>) -> Option<Node> {
        let region = value.region;
        match &value.value {
            Value::Map(variables) => Some(Node::map(region, self.variables(variables, env))),
            Value::List(items) => {
                let items = items
                    .iter()
                    .map(|item| match item.as_map() {
                        Some(map) => Rc::new(Node::map(item.region, self.variables(map, env))),
                        None => self.substitute(item, env),
                    })
                    .collect();
                Some(Node::list(region, items))
            }
            Value::Scalar(_) => None,
        }
    }

    /// Variables, in which the value of a boolean parameter is `1` or `0`. "Boolean values may be returned
    /// as a '1' for True and '0' for False."
    fn variables(&mut self, variables: &Map, env: Env<'_>) -> Map {
        let mut map = self.map(variables, env);
        for entry in map.iter_mut() {
            let written = variables.get(&entry.key.text);
            let is_hole = written.is_some_and(|written| {
                let text = written.value.as_text();
                text.is_some_and(|text| text::only_hole(text).is_some())
            });
            if let Some(truth) = entry.value.as_bool().filter(|_| is_hole) {
                let digit = if truth { "1" } else { "0" };
                entry.value = Rc::new(Node::text(entry.value.region, digit));
            }
        }
        map
    }

    pub(super) fn key(&mut self, key: &Key, env: Env<'_>) -> Key {
        if self.version == Version::V2_0 || !key.text.contains("<<") {
            return key.clone();
        }
        Key::new(&self.filled(&key.text, key.region, env), key.region)
    }

    fn scalar(&mut self, node: &Rc<Node>, scalar: &Scalar, env: Env<'_>) -> Rc<Node> {
        if let Some(hole) = text::only_hole(&scalar.text) {
            let places = Places::new(node.region, Some(scalar), self.problems);
            let region = places.of(hole);
            return match self.value(hole.inner, region, env) {
                Some(binding) => binding.node,
                None => unknown(node.region),
            };
        }
        let filled = self.filled_in(&scalar.text, node.region, Some(scalar), env);
        Rc::new(Node::text(node.region, filled).with_via(node.via))
    }

    /// A text with its holes filled.
    pub(super) fn filled(&mut self, text: &str, region: Region, env: Env<'_>) -> String {
        self.filled_in(text, region, None, env)
    }

    fn filled_in(
        &mut self,
        text: &str,
        region: Region,
        scalar: Option<&Scalar>,
        env: Env<'_>,
    ) -> String {
        let places = Places::new(region, scalar, self.problems);
        let parts = match text::parts(text) {
            Ok(parts) => parts,
            Err(fault) => {
                self.problems
                    .error(places.of(fault.hole), fault.message)
                    .help("write `\\<<` for what is no value");
                return UNKNOWN.to_owned();
            }
        };
        let mut filled = String::with_capacity(text.len());
        self.fill(&parts, &places, env, &mut filled);
        if self.spend(1, filled.len().max(text.len()), region) {
            filled
        } else {
            String::new()
        }
    }

    fn fill(&mut self, parts: &[Part<'_>], places: &Places<'_>, env: Env<'_>, filled: &mut String) {
        for part in parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Hole(hole) => {
                    let region = places.of(*hole);
                    let Some(binding) = self.value(hole.inner, region, env) else {
                        filled.push_str(UNKNOWN);
                        continue;
                    };
                    self.push(hole, &binding.node, region, filled);
                    if filled.len() > self.current_budget().bytes() {
                        // Told by who called.
                        return;
                    }
                }
                Part::Section {
                    hole,
                    inverted,
                    body,
                } => {
                    let Some(binding) = self.value(hole.inner, places.of(*hole), env) else {
                        filled.push_str(UNKNOWN);
                        continue;
                    };
                    if is_unknown(&binding.node) {
                        filled.push_str(UNKNOWN);
                    } else if is_true(&binding.node) == *inverted {
                        continue;
                    }
                    self.fill(body, places, env, filled);
                }
            }
        }
    }

    fn push(&mut self, hole: &Hole<'_>, node: &Node, region: Region, filled: &mut String) {
        match &node.value {
            Value::Scalar(scalar) if scalar.is_null() => {}
            Value::Scalar(scalar) => match scalar.as_bool() {
                Some(truth) => filled.push_str(if truth { "true" } else { "false" }),
                None => filled.push_str(&scalar.text),
            },
            Value::List(_) | Value::Map(_) => {
                self.problems
                    .error(
                        region,
                        format!(
                            "`{}` is {}, which can't be a part of a text",
                            hole.inner,
                            node.describe()
                        ),
                    )
                    .help("use it alone");
            }
        }
    }

    /// What is to be put in a hole; none if that can't be told, which has been told.
    pub(super) fn value(&mut self, inner: &str, region: Region, env: Env<'_>) -> Option<Binding> {
        let is_expression =
            !text::is_reference(inner) && (text::is_expression(inner) || self.is_constant(inner));
        if !is_expression {
            return self.reference(inner, region, env);
        }
        if self.is_text(inner) {
            // Nobody writes a value like that, but `cat <<'EOF' >> file` is a here-document.
            self.problems
                .error(
                    region,
                    format!("{inner} is only a text, and a `<<` opens a value here"),
                )
                .help("write `\\<<` for what is no value");
            return None;
        }
        let node = self.expression(inner, region, env)?;
        Some(Binding {
            name: inner.into(),
            node,
            scope: None,
        })
    }

    /// An expression that names nothing: `true`, `1 == 1`.
    fn is_constant(&mut self, inner: &str) -> bool {
        let parsed = expression::parse(inner, self.patterns);
        parsed.is_ok_and(|expression| expression.references().is_empty())
    }

    /// A text in quotes and nothing else.
    fn is_text(&mut self, inner: &str) -> bool {
        let parsed = expression::parse(inner, self.patterns);
        inner.starts_with(['"', '\'']) && parsed.is_ok_and(|expression| expression.is_text())
    }

    /// What a dotted name stands for.
    pub(super) fn reference(
        &mut self,
        name: &str,
        region: Region,
        env: Env<'_>,
    ) -> Option<Binding> {
        if self.is_spent() {
            return None;
        }
        let plain = |node| Binding {
            name: name.into(),
            node,
            scope: None,
        };
        let is_look = self.look.is_on;
        let (scope, rest) = name.split_once('.').unwrap_or((name, ""));
        let (bindings, noun) = match scope {
            "pipeline" if env.in_orb && rest.starts_with("parameters.") => {
                self.problems
                    .error(
                        region,
                        format!("an orb has no parameters of the pipeline: `{name}`"),
                    )
                    .help("give it to a parameter of the orb's");
                return None;
            }
            "pipeline" => {
                return match self.pipeline.get(rest, region, self.problems) {
                    Ok(_) if is_look => Some(plain(unknown(region))),
                    Ok(node) => Some(plain(node)),
                    Err(wrong) => {
                        let nearest = wrong.nearest.as_deref();
                        self.problems.error(region, wrong.message).suggest(nearest);
                        None
                    }
                };
            }
            "parameters" => (env.parameters, "parameter"),
            "matrix" => (env.matrix, "matrix parameter"),
            _ => {
                let scopes = ["pipeline", "parameters", "matrix"];
                let nearest = self.problems.nearest(scope, scopes);
                let problem = self
                    .problems
                    .error(region, format!("there is no value `{name}`"));
                match nearest {
                    Some(nearest) if !rest.is_empty() => {
                        problem.suggest(Some(&format!("{nearest}.{rest}")));
                    }
                    Some(_) | None => {
                        problem.help("values begin with `parameters.`, `pipeline.` or `matrix.`; write `\\<<` for what is none");
                    }
                }
                return None;
            }
        };
        let Some(bindings) = bindings else {
            let problem = self.problems.error(
                region,
                match scope {
                    "matrix" => "there is no `matrix` here".to_owned(),
                    _ => format!("`{name}`: there are no parameters here"),
                },
            );
            if scope == "parameters" {
                problem.help(format!(
                    "parameters of the pipeline are `pipeline.parameters.{rest}`"
                ));
            }
            return None;
        };
        match bindings.get(rest) {
            Some(_) if is_look => return Some(plain(unknown(region))),
            Some(binding) => return Some(binding.clone()),
            None if bindings.is_open() => return None,
            None => {}
        }
        let nearest = self.problems.nearest(rest, bindings.names());
        let problem = self
            .problems
            .error(region, format!("there is no {noun} `{rest}` here"));
        match nearest {
            Some(_) => problem.suggest(nearest),
            None => problem.help("declare it under `parameters`"),
        };
        None
    }
}

/// Where the holes of a text are; where that begins if they can't be told. Asked from left to right, it
/// passes over each character once.
struct Places<'t> {
    region: Region,
    text: &'t str,
    kind: PlacesKind,
}

enum PlacesKind {
    /// Only the text's own place is known.
    Whole,
    /// It is on one line, each of its characters as it was written.
    Exact {
        first_column: usize,
        /// How many characters begin before a byte.
        counted: Cell<(usize, usize)>,
    },
    /// It goes over several lines, which YAML has indented, folded or unescaped: what is between `<<` and
    /// `>>` is looked for in them.
    Lines {
        source: Rc<Source>,
        /// Where to look on, in bytes of the text and of the file; none once something was not found.
        from: Cell<Option<(usize, usize)>>,
    },
}

impl<'t> Places<'t> {
    fn new(region: Region, scalar: Option<&'t Scalar>, problems: &Problems) -> Self {
        let text = scalar.map_or("", |scalar| scalar.text.as_str());
        let kind = match scalar {
            None => PlacesKind::Whole,
            Some(_) if region.line < region.end_line => {
                let source = problems.source_of(region.file);
                PlacesKind::Lines {
                    from: Cell::new(Some((0, source.line_start(region.line)))),
                    source,
                }
            }
            Some(scalar) => {
                let width = region.end_column.saturating_sub(region.column);
                // Quotes are around it; escapes would shift it.
                let quotes = if scalar.plain { 0 } else { 1 };
                if text.contains('\n') || width != text.chars().count() + 2 * quotes {
                    PlacesKind::Whole
                } else {
                    PlacesKind::Exact {
                        first_column: region.column + quotes,
                        counted: Cell::default(),
                    }
                }
            }
        };
        Self { region, text, kind }
    }

    fn of(&self, hole: Hole<'_>) -> Region {
        let length = || self.text[hole.start..hole.end].chars().count();
        match &self.kind {
            PlacesKind::Whole => self.region,
            PlacesKind::Exact {
                first_column,
                counted,
            } => {
                let (byte, chars) = counted.get();
                let (byte, chars) = if byte <= hole.start {
                    (byte, chars)
                } else {
                    (0, 0)
                };
                let before = chars + self.text[byte..hole.start].chars().count();
                counted.set((hole.start, before));
                let column = first_column + before;
                Region {
                    column,
                    end_column: column + length(),
                    ..self.region
                }
            }
            PlacesKind::Lines { source, from } => {
                let wanted = &self.text[hole.start..hole.end];
                let found = from
                    .get()
                    .filter(|(passed, _)| *passed <= hole.start)
                    .and_then(|(passed, at)| {
                        // The same may be written before it, and mean something else there.
                        let before = self.text[passed..hole.start].matches(wanted).count();
                        let last_line = self.region.end_line;
                        let mut places = std::iter::successors(
                            source.find(wanted, at, last_line),
                            |(at, ..)| source.find(wanted, at + wanted.len(), last_line),
                        );
                        places.nth(before)
                    });
                from.set(found.map(|(at, ..)| (hole.end, at + wanted.len())));
                let Some((_, line, column)) = found else {
                    return self.region;
                };
                Region {
                    line,
                    column,
                    end_line: line,
                    end_column: column + length(),
                    ..self.region
                }
            }
        }
    }
}
