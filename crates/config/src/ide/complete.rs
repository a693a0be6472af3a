//! What could stand at a position.
//!
//! A mark is put there, and the outline says what the word with the mark in it is: a key, half a key, an
//! item, a value. So a blank line and half a word are one case.

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

use crate::keys::{KeySpec, Names, Others, PIPELINE_VALUES, Place, Takes};
use crate::read::Scalar;

use super::outline::{Node, NodeId, Outline};
use super::scope::{Definition, Trail, keys_in};
use super::target::{explain_definition, explain_key, explain_parameter, is_in_reference, noun};
use super::{Completion, CompletionKind, Completions, Document, MAX_COMPLETIONS, span};

/// A character that no config has; it looks like a letter to the outline.
const MARK: char = '\u{e000}';

/// Where the mark is.
enum Spot {
    /// In a key that has its colon.
    Key(NodeId),
    /// In a word that may become a key or an item below its key.
    Half(NodeId),
    /// In an item of a list.
    Item(NodeId),
    /// In the value of a key, on the key's line.
    Value(NodeId),
    /// In an alias.
    Alias(NodeId),
}

impl Document<'_> {
    pub(super) fn completions(&self, offset: usize) -> Option<Completions> {
        let text = self.outline.text();
        let (before, after) = text.split_at_checked(offset)?;
        let marked = format!("{before}{MARK}{after}");
        let document = Document {
            outline: Rc::new(Outline::new(&marked)),
            orbs: self.orbs,
            loaded: std::mem::take(&mut *self.loaded.borrow_mut()).into(),
            left_out: Cell::new(false),
        };
        let found = document.at_mark(offset);
        self.loaded.swap(&document.loaded);
        let (range, mut items) = found?;
        let is_complete = items.len() <= MAX_COMPLETIONS && !document.left_out.get();
        items.truncate(MAX_COMPLETIONS);
        // The places are those of the marked text: what is behind the mark is one further.
        let end = if range.end > offset {
            range.end - MARK.len_utf8()
        } else {
            range.end
        };
        Some(Completions {
            replace: span(&self.outline, &(range.start..end)),
            items,
            is_complete,
        })
    }

    /// What could stand at the mark, and what it would replace.
    fn at_mark(&self, offset: usize) -> Option<(Range<usize>, Vec<Completion>)> {
        let outline = &self.outline;
        let spot = self.spot(offset);
        if let Some(start) = reference_start(outline, offset) {
            let trail = spot.as_ref().map(|spot| self.trail(spot.node()));
            let typed = outline.slice(&(start..offset)).to_owned();
            let mut items = self.references(&trail.unwrap_or_default());
            items.retain(|item| item.label.starts_with(&typed));
            return Some((start..offset, items));
        }
        let spot = spot?;
        if let Some(start) = self.expression_start(&spot, offset) {
            let mut items = self.references(&self.trail(spot.node()));
            if let Spot::Half(_) = spot {
                items.extend(self.at_value(&spot));
            }
            let typed = outline.slice(&(start..offset));
            items.retain(|item| item.label.starts_with(typed));
            return Some((start..offset, items));
        }
        let (range, mut items) = match spot {
            Spot::Alias(id) => (outline.node(id).alias.clone()?, self.anchors(id)),
            Spot::Key(id) => {
                let trail = self.trail(outline.node(id).parent);
                let key = outline.node(id).key.clone()?;
                (key, self.keys(&trail, outline.node(id).parent, id, false))
            }
            Spot::Half(id) | Spot::Item(id) | Spot::Value(id) => {
                let range = outline.node(id).scalar.clone()?;
                (range.start..offset, self.at_value(&spot))
            }
        };
        let before = outline.slice(&(0..range.start));
        let is_quoted = before.ends_with(['"', '\'']);
        if !is_quoted && !matches!(spot, Spot::Alias(_)) {
            let in_flow = outline.node(spot.node()).in_flow;
            items.iter_mut().for_each(|item| quote(item, in_flow));
        }
        Some((range, items))
    }

    /// Where the word before the mark begins, if the mark is in a text that is an expression as a whole.
    fn expression_start(&self, spot: &Spot, offset: usize) -> Option<usize> {
        let id = spot.node();
        if !matches!(spot, Spot::Value(_) | Spot::Half(_)) || !self.is_expression(id) {
            return None;
        }
        let range = self.outline.node(id).scalar.clone()?;
        let before = self.outline.slice(&(range.start..offset));
        // On a line of its own, it may become a key as well.
        if before.is_empty() && matches!(spot, Spot::Half(_)) {
            return None;
        }
        let typed = before.len() - before.trim_end_matches(is_in_reference).len();
        Some(offset - typed)
    }

    fn spot(&self, offset: usize) -> Option<Spot> {
        let outline = &self.outline;
        let has = |range: &Option<Range<usize>>| {
            let is_in = |range: &Range<usize>| range.contains(&offset);
            range.as_ref().is_some_and(is_in)
        };
        let mut ids = outline.ids();
        let id = ids.find(|id| {
            let node = outline.node(*id);
            has(&node.key) || has(&node.scalar) || has(&node.alias)
        })?;
        let node: &Node = outline.node(id);
        Some(if has(&node.alias) {
            Spot::Alias(id)
        } else if has(&node.key) {
            Spot::Key(id)
        } else if node.is_item {
            Spot::Item(id)
        } else if node.key.is_none() || (node.is_below && node.is_plain) {
            Spot::Half(id)
        } else {
            Spot::Value(id)
        })
    }

    fn at_value(&self, spot: &Spot) -> Vec<Completion> {
        let outline = &self.outline;
        let id = spot.node();
        // Of a text that goes on below, only the first word can be completed.
        let trail = self.trail(id);
        let Some(takes) = trail.last().and_then(|(_, takes)| *takes) else {
            return Vec::new();
        };
        let is_value = matches!(spot, Spot::Value(_));
        let parent = match (spot, outline.node(id).key.is_some()) {
            (Spot::Half(_), false) => outline.node(id).parent,
            (_, _) => id,
        };
        match takes {
            Takes::Word(words) | Takes::Words(words) => words_of(words),
            Takes::Boolean => words_of(&["true", "false"]),
            Takes::Name(Names::Executor) if !is_value => {
                let mut items = self.names(&trail, Names::Executor, id);
                items.extend(self.keys_of(&trail, Place::ExecutorUse, parent, id, true));
                items
            }
            Takes::Name(names) => self.names(&trail, names, id),
            Takes::Text if is_value => self.enum_values(&trail, id),
            Takes::Map(Place::Machine) if is_value => words_of(&["true"]),
            Takes::Map(_) | Takes::List(_) if is_value => Vec::new(),
            Takes::Map(_) => self.keys(&trail, parent, id, true),
            // An item without its dash.
            Takes::List(_) => {
                let is_flow = outline.node(id).in_flow;
                let mut items = self.keys(&trail, id, id, true);
                for item in &mut items {
                    if !is_flow {
                        item.insert.insert_str(0, "- ");
                    }
                }
                items
            }
            Takes::Text
            | Takes::Number
            | Takes::Duration
            | Takes::Texts
            | Takes::Free
            | Takes::Typed => Vec::new(),
        }
    }

    /// The keys that a map may have, but for those it has.
    fn keys(&self, trail: &Trail, map: NodeId, own: NodeId, colon: bool) -> Vec<Completion> {
        let takes = trail.last().and_then(|(_, takes)| *takes);
        match takes.and_then(Takes::place) {
            Some(place) => self.keys_of(trail, place, map, own, colon),
            None => Vec::new(),
        }
    }

    fn keys_of(
        &self,
        trail: &Trail,
        place: Place,
        map: NodeId,
        own: NodeId,
        colon: bool,
    ) -> Vec<Completion> {
        let outline = &self.outline;
        let taken: HashSet<&str> = outline
            .entries(map)
            .filter(|(_, id)| *id != own)
            .map(|(key, _)| key)
            .collect();
        // An item that is one word: `- checkout`, `- build`.
        let is_word = matches!(place, Place::Step | Place::Uses | Place::Requires);
        // `- name` behind another key is no item of its own.
        if is_word && !taken.is_empty() && outline.node(map).is_item {
            return Vec::new();
        }
        let suffix = |takes: Takes| match (colon, takes) {
            (false, _) => "",
            (true, Takes::Map(_) | Takes::List(_) | Takes::Free | Takes::Texts) => ":",
            (true, _) => ": ",
        };
        let fixed = keys_in(outline, map, place).filter(|key| !taken.contains(key.name));
        let mut items: Vec<Completion> = fixed
            .map(|key| match key.name {
                "checkout" | "setup_remote_docker" | "add_ssh_keys" | "install_signing_bundle" => {
                    key_item(key, "")
                }
                "run" if colon && place == Place::Step => key_item(key, ": "),
                _ => key_item(key, suffix(key.takes)),
            })
            .collect();
        match place.others() {
            Others::None | Others::Chosen(_) => {}
            Others::Named(names, _) => items.extend(self.names(trail, names, own)),
            Others::Parameters => {
                let parameters = self.given_to(trail);
                let colon = if colon { ": " } else { "" };
                for item in parameters.iter().flat_map(|owner| given(owner, colon)) {
                    if !taken.contains(item.label.as_str()) {
                        items.push(item);
                    }
                }
            }
        }
        items
    }

    /// All that a name may be.
    fn names(&self, trail: &Trail, names: Names, own: NodeId) -> Vec<Completion> {
        let kind = match names {
            Names::Job | Names::Use => CompletionKind::Job,
            Names::Command => CompletionKind::Step,
            Names::Executor => CompletionKind::Executor,
        };
        if names == Names::Use {
            let ancestors: HashSet<NodeId> = self.outline.ancestors(own).collect();
            let uses = self.uses(trail).into_iter();
            let others = uses.filter(|one| !ancestors.contains(&one.item));
            return others
                .filter(|one| !one.name.contains(MARK))
                .map(|one| Completion {
                    insert: one.name.clone(),
                    label: one.name,
                    kind,
                    detail: "a job of this workflow".to_owned(),
                    documentation: String::new(),
                })
                .collect();
        }
        let mut all = self.all(&self.scope(trail), names);
        all.retain(|(name, _)| !name.contains(MARK));
        if all.len() > MAX_COMPLETIONS {
            self.left_out.set(true);
            let typed = self.typed(own).to_lowercase();
            all.retain(|(name, _)| name.to_lowercase().contains(&typed));
        }
        let mut items: Vec<Completion> = all
            .into_iter()
            .take(MAX_COMPLETIONS)
            .map(|(name, definition)| Completion {
                insert: name.clone(),
                kind,
                detail: noun(names).to_owned(),
                documentation: explain_definition(noun(names), &name, &definition),
                label: name,
            })
            .collect();
        if let (Names::Executor, Some(owner)) = (names, self.owner(trail)) {
            // An executor may be a parameter.
            let parameters = owner.parameters().into_iter();
            let executors = parameters
                .filter(|(_, node)| owner.outline.text_of(*node, "type") == Some("executor"));
            items.extend(executors.map(|(name, _)| Completion {
                label: format!("<< parameters.{name} >>"),
                insert: format!("<< parameters.{name} >>"),
                kind: CompletionKind::Parameter,
                detail: "a parameter".to_owned(),
                documentation: String::new(),
            }));
        }
        items
    }

    /// What is before the mark in a word.
    fn typed(&self, id: NodeId) -> &str {
        let word = self.outline.key(id).filter(|key| key.contains(MARK));
        let word = word.or_else(|| self.outline.scalar(id)).unwrap_or_default();
        word.split(MARK).next().unwrap_or_default()
    }

    /// The values of a parameter that has only some.
    fn enum_values(&self, trail: &Trail, id: NodeId) -> Vec<Completion> {
        let outline = &self.outline;
        let Some(key) = outline.key(id) else {
            return Vec::new();
        };
        let parameter = match key {
            // `default` of the parameter itself.
            "default" => Some(Definition {
                outline: Rc::clone(outline),
                node: outline.node(id).parent,
                import: None,
            }),
            _ => {
                let owner = self.given_to(trail);
                owner.and_then(|owner| owner.parameter(key))
            }
        };
        let Some(parameter) = parameter else {
            return Vec::new();
        };
        let outline = &parameter.outline;
        let values = outline.entry(parameter.node, "enum").into_iter();
        values
            .flat_map(|values| &outline.node(values).children)
            .filter_map(|value| outline.scalar(*value))
            .map(|word| word_item(word, "a value of the parameter"))
            .take(MAX_COMPLETIONS)
            .collect()
    }

    /// The anchors above a node.
    fn anchors(&self, below: NodeId) -> Vec<Completion> {
        let outline = &self.outline;
        let mut known = HashSet::new();
        let anchors = (1..below).filter_map(|id| outline.node(id).anchor.as_ref());
        anchors
            .map(|anchor| (outline.slice(anchor), outline.place(anchor.start).0))
            .filter(|(name, _)| known.insert(*name))
            .take(MAX_COMPLETIONS)
            .map(|(name, line)| Completion {
                label: name.to_owned(),
                kind: CompletionKind::Anchor,
                detail: format!("an anchor, in line {line}"),
                documentation: String::new(),
                insert: name.to_owned(),
            })
            .collect()
    }

    /// What may stand between `<<` and `>>`.
    fn references(&self, trail: &Trail) -> Vec<Completion> {
        let mut items = Vec::new();
        let mut declared = |prefix: &str, owner: &Definition| {
            for (name, node) in owner.parameters() {
                let parameter = Definition {
                    node,
                    ..owner.clone()
                };
                items.push(Completion {
                    label: format!("{prefix}{name}"),
                    kind: CompletionKind::Parameter,
                    detail: parameter.text_of("type").unwrap_or_default().to_owned(),
                    documentation: explain_parameter(&name, &parameter),
                    insert: format!("{prefix}{name}"),
                });
            }
        };
        if let Some(owner) = self.owner(trail) {
            declared("parameters.", &owner);
        }
        // An orb has none of the pipeline's.
        if self.scope(trail).node == 0 {
            declared("pipeline.parameters.", &self.pipeline());
        }
        let matrix = self.matrix(trail).into_iter();
        let matrix = matrix.flat_map(|values| self.outline.entries(values));
        items.extend(matrix.map(|(name, _)| reference(format!("matrix.{name}"), "of the matrix")));
        let values = PIPELINE_VALUES.iter();
        items.extend(values.map(|value| reference(format!("pipeline.{}", value.name), value.doc)));
        items
    }
}

impl Spot {
    fn node(&self) -> NodeId {
        match self {
            Self::Key(id) | Self::Half(id) | Self::Item(id) | Self::Value(id) | Self::Alias(id) => {
                *id
            }
        }
    }
}

/// Where the reference before the mark begins, if the mark is inside `<<`.
fn reference_start(outline: &Outline, offset: usize) -> Option<usize> {
    let (line, _) = outline.place(offset);
    let before = outline.slice(&(outline.line_start(line)..offset));
    let open = before.rfind("<<")?;
    let inside = &before[open + 2..];
    // `<<:` is a merge key.
    if inside.contains(">>") || inside.starts_with(':') {
        return None;
    }
    let typed = inside.len() - inside.trim_end_matches(is_in_reference).len();
    Some(offset - typed)
}

/// Puts quotes around a name that would be something else without.
fn quote(item: &mut Completion, in_flow: bool) {
    let is_name = match item.kind {
        CompletionKind::Key | CompletionKind::Anchor => false,
        // The language's own words are never quoted.
        CompletionKind::Value => !item.detail.is_empty(),
        CompletionKind::Job
        | CompletionKind::Step
        | CompletionKind::Executor
        | CompletionKind::Parameter => true,
    };
    if !is_name || is_plain(&item.label, in_flow) {
        return;
    }
    let quoted = if item.label.chars().any(char::is_control) {
        format!("{:?}", item.label)
    } else {
        format!("'{}'", item.label.replace('\'', "''"))
    };
    item.insert = item.insert.replacen(&item.label, &quoted, 1);
}

/// Whether a text means itself without quotes.
fn is_plain(text: &str, in_flow: bool) -> bool {
    const INDICATORS: &[char] = &[
        '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@',
        '`',
    ];
    let scalar = Scalar {
        text: text.to_owned(),
        plain: true,
    };
    scalar.describe() == "a string"
        && text.trim() == text
        && !text.starts_with(INDICATORS)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.chars().any(char::is_control)
        && !(in_flow && text.contains([',', '[', ']', '{', '}']))
}

fn reference(name: String, documentation: &str) -> Completion {
    Completion {
        insert: name.clone(),
        label: name,
        kind: CompletionKind::Parameter,
        detail: String::new(),
        documentation: documentation.to_owned(),
    }
}

fn key_item(key: &KeySpec, suffix: &str) -> Completion {
    Completion {
        label: key.name.to_owned(),
        kind: CompletionKind::Key,
        detail: key.takes.describe().to_owned(),
        documentation: explain_key(key),
        insert: format!("{}{suffix}", key.name),
    }
}

fn words_of(words: &[&str]) -> Vec<Completion> {
    words.iter().map(|word| word_item(word, "")).collect()
}

fn word_item(word: &str, detail: &str) -> Completion {
    Completion {
        label: word.to_owned(),
        kind: CompletionKind::Value,
        detail: detail.to_owned(),
        documentation: String::new(),
        insert: word.to_owned(),
    }
}

/// The parameters that something is given.
fn given<'d>(owner: &'d Definition, colon: &'d str) -> impl Iterator<Item = Completion> + 'd {
    owner.parameters().into_iter().map(move |(name, node)| {
        let parameter = Definition {
            node,
            ..owner.clone()
        };
        Completion {
            kind: CompletionKind::Parameter,
            detail: parameter.text_of("type").unwrap_or_default().to_owned(),
            documentation: explain_parameter(&name, &parameter),
            insert: format!("{name}{colon}"),
            label: name,
        }
    })
}
