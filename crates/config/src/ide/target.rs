//! What stands at a position, what is said of it, and where it is defined.

use std::fmt::Write as _;
use std::ops::Range;

use crate::Span;
use crate::keys::{KeySpec, Names, Others, PIPELINE_VALUES, PipelineValue, Place, Takes};

use super::outline::{NodeId, Outline};
use super::scope::{Definition, Trail, key_in};
use super::{Document, shown, span};

/// How many lines of what an anchor stands for are shown.
const MAX_SHOWN_LINES: usize = 20;

/// How many parameters are listed.
const MAX_LISTED: usize = 50;

/// What stands at a position.
pub(super) enum Target {
    /// A key of the language, or one of the steps it has.
    Key(&'static KeySpec),
    /// A job, command or executor, at its definition or where it is used.
    Defined(&'static str, String, Definition),
    /// An orb's import.
    Orb(NodeId),
    /// A parameter, where it is declared, given or used.
    Parameter(String, Definition),
    /// A value of the pipeline.
    PipelineValue(&'static PipelineValue),
    /// The values of a matrix.
    Matrix(NodeId),
    /// A job of the same workflow.
    Use(String, Range<usize>),
    /// What an alias stands for.
    Anchor(NodeId),
}

impl Document<'_> {
    /// What is at a byte, and the word itself.
    pub(super) fn target(&self, offset: usize) -> Option<(Target, Range<usize>)> {
        let outline = &self.outline;
        let at = |range: &Option<Range<usize>>| {
            let range = range.as_ref()?;
            (range.start <= offset && offset <= range.end).then(|| range.clone())
        };
        let node_at = |part: fn(&super::outline::Node) -> &Option<Range<usize>>| {
            // Of words that touch, the later one.
            let mut ids = outline.ids().rev();
            ids.find_map(|id| Some((id, at(part(outline.node(id)))?)))
        };
        if let Some(hole) = hole_at(outline, offset) {
            let inside = node_at(|node| &node.scalar).or_else(|| node_at(|node| &node.key));
            let trail = inside.map(|(id, _)| self.trail(id)).unwrap_or_default();
            let target = self.reference(outline.slice(&hole), &trail)?;
            return Some((target, hole));
        }
        if let Some((id, range)) = node_at(|node| &node.scalar)
            && self.is_expression(id)
        {
            let word = word_at(outline, &range, offset)?;
            let target = self.reference(outline.slice(&word), &self.trail(id))?;
            return Some((target, word));
        }
        if let Some((id, range)) = node_at(|node| &node.alias) {
            let anchor = self.anchor(outline.slice(&range), id)?;
            return Some((Target::Anchor(anchor), range));
        }
        if let Some((id, range)) = node_at(|node| &node.key) {
            return Some((self.key_target(id)?, range));
        }
        let (id, range) = node_at(|node| &node.scalar)?;
        Some((self.value_target(id)?, range))
    }

    fn key_target(&self, id: NodeId) -> Option<Target> {
        let outline = &self.outline;
        let name = outline.key(id)?;
        let parent = outline.node(id).parent;
        let trail = self.trail(parent);
        let (_, takes) = trail.last()?;
        let place = (*takes)?.place()?;
        if let Some(known) = key_in(outline, parent, place, name) {
            return Some(Target::Key(known));
        }
        let here = || Definition {
            outline: self.outline.clone(),
            node: id,
            import: None,
        };
        match place.others() {
            Others::None => None,
            Others::Named(names, _) => self.named(&trail, names, name),
            Others::Parameters => {
                let parameter = self.given_to(&trail)?.parameter(name)?;
                Some(Target::Parameter(name.to_owned(), parameter))
            }
            Others::Chosen(Takes::Map(Place::Parameter)) => {
                Some(Target::Parameter(name.to_owned(), here()))
            }
            Others::Chosen(Takes::Map(Place::Orb)) => Some(Target::Orb(id)),
            Others::Chosen(takes) => Some(Target::Defined(noun_of(takes), name.to_owned(), here())),
        }
    }

    fn value_target(&self, id: NodeId) -> Option<Target> {
        let outline = &self.outline;
        let text = outline.scalar(id)?;
        let trail = self.trail(id);
        let (_, takes) = trail.last()?;
        let takes = (*takes)?;
        if let Takes::Name(names) = takes {
            return self.named(&trail, names, text);
        }
        let Takes::Map(place) = takes else {
            return None;
        };
        if place == Place::Orb {
            return Some(Target::Orb(id));
        }
        let Others::Named(names, _) = place.others() else {
            return None;
        };
        if !outline.node(id).is_item {
            return None;
        }
        match place.key(text) {
            Some(known) => Some(Target::Key(known)),
            None => self.named(&trail, names, text),
        }
    }

    fn named(&self, trail: &Trail, names: Names, name: &str) -> Option<Target> {
        if names == Names::Use {
            let mut uses = self.uses(trail).into_iter();
            let found = uses.find(|found| found.name == name)?;
            return Some(Target::Use(found.name, found.place));
        }
        let scope = self.scope(trail);
        if let Some(found) = self.find(&scope, names, name) {
            return Some(Target::Defined(noun(names), name.to_owned(), found));
        }
        // The orb at least is known, if not what is in it.
        let (orb, _) = name.split_once('/')?;
        let imports = scope.outline.entry(scope.node, "orbs")?;
        Some(Target::Orb(scope.outline.entry(imports, orb)?))
    }

    /// What `parameters.version` stands for.
    fn reference(&self, text: &str, trail: &Trail) -> Option<Target> {
        let parameter = |owner: Definition, name: &str| {
            let found = owner.parameter(name)?;
            Some(Target::Parameter(name.to_owned(), found))
        };
        if let Some(name) = text.strip_prefix("pipeline.parameters.") {
            return parameter(self.pipeline(), name);
        }
        if let Some(name) = text.strip_prefix("pipeline.") {
            let mut values = PIPELINE_VALUES.iter();
            let value = values.find(|value| value.name == name)?;
            return Some(Target::PipelineValue(value));
        }
        if let Some(name) = text.strip_prefix("parameters.") {
            return parameter(self.owner(trail)?, name);
        }
        let name = text.strip_prefix("matrix.")?;
        let values = self.outline.entry(self.matrix(trail)?, name)?;
        Some(Target::Matrix(values))
    }

    /// The anchor that an alias at a node means: the nearest of its name above.
    fn anchor(&self, name: &str, below: NodeId) -> Option<NodeId> {
        let outline = &self.outline;
        let is_it = |id: &NodeId| {
            let anchor = outline.node(*id).anchor.as_ref();
            anchor.is_some_and(|anchor| outline.slice(anchor) == name)
        };
        (1..below).rev().find(is_it)
    }

    /// What is said of a target, as Markdown.
    pub(super) fn explain(&self, target: &Target) -> Option<String> {
        let text = match target {
            Target::Key(key) => explain_key(key),
            Target::Defined(noun, name, definition) => explain_definition(noun, name, definition),
            Target::Orb(import) => self.explain_orb(*import)?,
            Target::Parameter(name, parameter) => explain_parameter(name, parameter),
            Target::PipelineValue(value) => {
                format!("**`pipeline.{}`**\n\n{}", value.name, value.doc)
            }
            Target::Matrix(values) => excerpt(&self.outline, *values),
            Target::Use(name, place) => {
                let (line, _) = self.outline.place(place.start);
                format!("**`{name}`** – a job of this workflow, in line {line}")
            }
            Target::Anchor(anchor) => excerpt(&self.outline, *anchor),
        };
        Some(text)
    }

    fn explain_orb(&self, import: NodeId) -> Option<String> {
        let outline = &self.outline;
        let name = outline.key(import)?;
        let mut text = format!("**`{name}`** – orb");
        let (description, counted) = match outline.scalar(import) {
            None => (outline.text_of(import, "description"), None),
            Some(reference) => {
                let _ = write!(text, " `{}`", shown(reference));
                match self.orb(reference) {
                    Some(orb) => (None, Some(orb)),
                    None => {
                        text.push_str(", not at hand");
                        (None, None)
                    }
                }
            }
        };
        let other = counted
            .as_ref()
            .and_then(|orb| orb.text_of(0, "description"));
        if let Some(description) = description.or(other) {
            let _ = write!(text, "\n\n{}", shown(&joined(description)));
        }
        Some(text)
    }

    /// Where a target is defined in this text.
    pub(super) fn defined_at(&self, target: &Target) -> Option<Range<usize>> {
        let outline = &self.outline;
        match target {
            Target::Key(_) | Target::PipelineValue(_) => None,
            Target::Defined(_, _, definition) | Target::Parameter(_, definition) => {
                definition.range(outline)
            }
            Target::Orb(import) | Target::Matrix(import) => outline.node(*import).key.clone(),
            Target::Use(_, place) => Some(place.clone()),
            Target::Anchor(anchor) => outline.node(*anchor).anchor.clone(),
        }
    }
}

/// What a key takes and is for, as Markdown.
pub(super) fn explain_key(key: &KeySpec) -> String {
    let mut text = format!(
        "**`{}`** – {}\n\n{}",
        key.name,
        key.takes.describe(),
        key.doc
    );
    if let Takes::Word(words) | Takes::Words(words) = key.takes {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let _ = write!(text, "\n\nOne of {}.", words.join(", "));
    }
    text
}

/// What a definition is, with its parameters.
pub(super) fn explain_definition(noun: &str, name: &str, definition: &Definition) -> String {
    let mut text = format!("**`{}`** – {noun}", shown(name));
    if let Some(description) = definition.text_of("description") {
        let _ = write!(text, "\n\n{}", shown(&joined(description)));
    }
    let parameters = definition.parameters();
    if !parameters.is_empty() {
        text.push('\n');
    }
    for (name, node) in parameters.iter().take(MAX_LISTED) {
        let parameter = Definition {
            node: *node,
            ..definition.clone()
        };
        let _ = write!(text, "\n- {}", parameter_line(name, &parameter));
    }
    text
}

/// What a parameter takes.
pub(super) fn explain_parameter(name: &str, parameter: &Definition) -> String {
    format!("**Parameter** {}", parameter_line(name, parameter))
}

fn parameter_line(name: &str, parameter: &Definition) -> String {
    let word = parameter.text_of("type").unwrap_or("of no type");
    let mut text = format!("`{}`: {}", shown(name), shown(word));
    if let Some(default) = parameter.text_of("default") {
        let first = default.lines().next().unwrap_or_default();
        let _ = write!(text, ", `{}` unless given", shown(first));
    } else if parameter.outline.entry(parameter.node, "default").is_none() {
        text.push_str(", has to be given");
    }
    if let Some(description) = parameter.text_of("description") {
        let _ = write!(text, " – {}", shown(&joined(description)));
    }
    text
}

/// A text of several lines as one paragraph.
pub(super) fn joined(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// The lines of a node, as they are.
fn excerpt(outline: &Outline, id: NodeId) -> String {
    let node = outline.node(id);
    let place = [&node.key, &node.anchor, &node.scalar];
    let start = place.into_iter().flatten().map(|range| range.start).min();
    let Span { line, .. } = span(outline, &(start.unwrap_or(0)..start.unwrap_or(0)));
    let indent_of = |text: &str| text.len() - text.trim_start_matches(' ').len();
    let indent = indent_of(outline.line(line));
    let mut lines = vec![outline.line(line)];
    for next in line + 1..line + MAX_SHOWN_LINES {
        let text = outline.line(next);
        if outline.line_start(next) >= outline.text().len()
            || (!text.trim().is_empty() && indent_of(text) <= indent)
        {
            break;
        }
        lines.push(text);
    }
    let text = shown(lines.join("\n").trim_end());
    format!("```yaml\n{}\n```", text.replace("```", "'''"))
}

/// The reference at a byte inside `<< … >>`, on one line.
fn hole_at(outline: &Outline, offset: usize) -> Option<Range<usize>> {
    let (line, _) = outline.place(offset);
    let start = outline.line_start(line);
    let text = outline.line(line);
    let at = offset.checked_sub(start).filter(|at| *at <= text.len())?;
    let open = text[..at].rfind("<<")?;
    if text[open..at].contains(">>") || !text[at..].contains(">>") {
        return None;
    }
    word_at(outline, &(start + open + 2..start + text.len()), offset)
}

/// The reference at a byte of a part of the text.
fn word_at(outline: &Outline, part: &Range<usize>, offset: usize) -> Option<Range<usize>> {
    let before = outline.slice(&(part.start..offset));
    let begin = offset - (before.len() - before.trim_end_matches(is_in_reference).len());
    let after = outline.slice(&(offset..part.end));
    let end = offset + after.len() - after.trim_start_matches(is_in_reference).len();
    (begin < end).then_some(begin..end)
}

/// What a reference may be made of.
pub(super) fn is_in_reference(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}

pub(super) fn noun(names: Names) -> &'static str {
    match names {
        Names::Job | Names::Use => "job",
        Names::Command => "command",
        Names::Executor => "executor",
    }
}

fn noun_of(takes: Takes) -> &'static str {
    let known = [
        (Place::Job, "job"),
        (Place::Command, "command"),
        (Place::Executor, "executor"),
        (Place::Workflow, "workflow"),
        (Place::Group, "group of jobs"),
    ];
    let mut known = known.into_iter();
    let found = known.find(|(place, _)| takes == Takes::Map(*place));
    found.map_or("name", |(_, noun)| noun)
}
