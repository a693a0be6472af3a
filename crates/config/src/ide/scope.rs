//! What each part of a config is, and what names stand for where it is.

use std::ops::Range;
use std::rc::Rc;

use crate::keys::{KeySpec, Names, Others, Place, Takes};

use super::Document;
use super::outline::{NodeId, Outline};

/// How deep a config is followed; none that compiles is deeper.
const MAX_DEPTH: usize = crate::MAX_DEPTH;

/// How many uses of an anchor are looked at to tell what it stands for.
const MAX_ALIASES: usize = 20;

/// The way from the root to a node: what each takes, as far as that is known.
pub(super) type Trail = Vec<(NodeId, Option<Takes>)>;

/// A config, or an orb: where names are looked up.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) outline: Rc<Outline>,
    pub(super) node: NodeId,
}

/// A definition.
#[derive(Clone)]
pub(super) struct Definition {
    pub(super) outline: Rc<Outline>,
    pub(super) node: NodeId,
    /// The import of the orb that it is in, if it is in another text.
    pub(super) import: Option<NodeId>,
}

impl Definition {
    /// Its declared parameters, by name.
    pub(super) fn parameters(&self) -> Vec<(String, NodeId)> {
        let outline = &self.outline;
        outline
            .entry(self.node, "parameters")
            .into_iter()
            .flat_map(|node| outline.entries(node))
            .map(|(name, node)| (name.to_owned(), node))
            .collect()
    }

    /// One of its parameters.
    pub(super) fn parameter(&self, name: &str) -> Option<Self> {
        let declared = self.outline.entry(self.node, "parameters")?;
        Some(Self {
            outline: Rc::clone(&self.outline),
            node: self.outline.entry(declared, name)?,
            import: self.import,
        })
    }

    /// Where its name is in this text.
    pub(super) fn range(&self, here: &Outline) -> Option<Range<usize>> {
        match self.import {
            Some(import) => here.node(import).key.clone(),
            None => self.outline.node(self.node).key.clone(),
        }
    }

    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.outline.text_of(self.node, key)
    }
}

/// A job as a workflow uses it.
pub(super) struct Use {
    /// What other jobs require it as.
    pub(super) name: String,
    pub(super) place: Range<usize>,
    pub(super) item: NodeId,
}

impl Document<'_> {
    /// What a node and all that it is in take.
    pub(super) fn trail(&self, id: NodeId) -> Trail {
        self.trail_in(&self.outline, id, true)
    }

    /// Whether a text is an expression as a whole: the `when` of a workflow, the `filters` of a job's use.
    pub(super) fn is_expression(&self, id: NodeId) -> bool {
        let trail = self.trail(id);
        let [
            ..,
            (_, Some(Takes::Map(outer))),
            (_, Some(Takes::Map(place))),
        ] = trail.as_slice()
        else {
            return false;
        };
        let is_place = matches!(
            (outer, place),
            (Place::Workflow, Place::Condition) | (Place::Use, Place::Filters)
        );
        let text = self.outline.scalar(id).unwrap_or_default();
        is_place && !text.contains("<<")
    }

    fn trail_in(&self, outline: &Rc<Outline>, id: NodeId, follow: bool) -> Trail {
        let mut ids: Vec<NodeId> = outline.ancestors(id).take(MAX_DEPTH + 1).collect();
        if ids.last() != Some(&0) {
            return Trail::new();
        }
        ids.reverse();
        let mut trail: Trail = vec![(0, Some(Takes::Map(Place::Top)))];
        for id in ids.into_iter().skip(1) {
            let mut takes = self.child(outline, &trail, id);
            if takes.is_none() && follow {
                takes = self.by_alias(outline, id);
            }
            trail.push((id, takes));
        }
        trail
    }

    /// What an anchor's value takes where it is used.
    fn by_alias(&self, outline: &Rc<Outline>, id: NodeId) -> Option<Takes> {
        let anchor = outline.slice(outline.node(id).anchor.as_ref()?);
        let is_use = |other: &NodeId| {
            let alias = outline.node(*other).alias.as_ref();
            alias.is_some_and(|alias| outline.slice(alias) == anchor)
        };
        let mut uses = outline.ids().filter(is_use).take(MAX_ALIASES);
        uses.find_map(|used| {
            let trail = self.trail_in(outline, used, false);
            trail.last().and_then(|(_, takes)| *takes)
        })
    }

    /// What a child of a trail's end takes.
    fn child(&self, outline: &Rc<Outline>, trail: &Trail, id: NodeId) -> Option<Takes> {
        let (parent, takes) = *trail.last()?;
        let takes = takes?;
        let node = outline.node(id);
        match (takes, outline.key(id)) {
            // What is merged is of the same kind.
            (Takes::Map(_) | Takes::List(_), Some("<<")) => Some(takes),
            (Takes::Free, _) => Some(Takes::Free),
            (Takes::List(place), None) => Some(Takes::Map(place)),
            (Takes::Map(_), None) if node.is_item && outline.key(parent) == Some("<<") => {
                Some(takes)
            }
            (Takes::Map(Place::Filter | Place::Paths), None) => Some(Takes::Text),
            (Takes::Map(_), None) => (!node.is_item).then_some(takes),
            (Takes::Words(words), None) => Some(Takes::Word(words)),
            (Takes::Texts, None) => Some(Takes::Text),
            (other, None) => (!node.is_item).then_some(other),
            (takes, Some(key)) => self.entry_takes(outline, trail, takes.place()?, key, id),
        }
    }

    fn entry_takes(
        &self,
        outline: &Rc<Outline>,
        trail: &Trail,
        place: Place,
        key: &str,
        id: NodeId,
    ) -> Option<Takes> {
        if let Some(known) = key_in(outline, trail.last()?.0, place, key) {
            if known.takes != Takes::Typed {
                return Some(known.takes);
            }
            let parameter = outline.node(id).parent;
            return Some(typed(outline.text_of(parameter, "type")));
        }
        match place.others() {
            Others::None => None,
            Others::Chosen(takes) | Others::Named(_, takes) => Some(takes),
            Others::Parameters if place == Place::MatrixValues => Some(Takes::Free),
            Others::Parameters => {
                let parameter = self.subject(outline, trail)?.parameter(key)?;
                Some(typed(parameter.text_of("type")))
            }
        }
    }

    /// What the map at the end of a trail gives parameters to.
    fn subject(&self, outline: &Rc<Outline>, trail: &Trail) -> Option<Definition> {
        let scope = Self::scope_in(outline, trail);
        trail.iter().rev().find_map(|(id, takes)| {
            let (names, name) = match takes {
                Some(Takes::Map(Place::Use)) => (Names::Job, outline.key(*id)?),
                Some(Takes::Map(Place::Arguments)) => (Names::Command, outline.key(*id)?),
                Some(Takes::Name(Names::Executor)) => {
                    (Names::Executor, outline.text_of(*id, "name")?)
                }
                Some(_) | None => return None,
            };
            self.find(&scope, names, name)
        })
    }

    /// What the map at the end of a trail gives parameters to.
    pub(super) fn given_to(&self, trail: &Trail) -> Option<Definition> {
        self.subject(&self.outline, trail)
    }

    /// The config, or the orb in it, that a trail ends in.
    pub(super) fn scope(&self, trail: &Trail) -> Scope {
        Self::scope_in(&self.outline, trail)
    }

    fn scope_in(outline: &Rc<Outline>, trail: &Trail) -> Scope {
        let orb = trail
            .iter()
            .rev()
            .find(|(_, takes)| *takes == Some(Takes::Map(Place::Orb)));
        Scope {
            outline: Rc::clone(outline),
            node: orb.map_or(0, |(node, _)| *node),
        }
    }

    /// What a name stands for.
    pub(super) fn find(&self, scope: &Scope, names: Names, name: &str) -> Option<Definition> {
        let own = sections(names).iter().find_map(|section| {
            let section = scope.outline.entry(scope.node, section)?;
            scope.outline.entry(section, name)
        });
        if let Some(node) = own {
            return Some(Definition {
                outline: Rc::clone(&scope.outline),
                node,
                import: None,
            });
        }
        let (orb, inner) = name.split_once('/')?;
        let (orb, import) = self.imported(scope, orb)?;
        if inner.contains('/') {
            return None;
        }
        let mut found = self.find(&orb, names, inner)?;
        found.import = import.or(found.import);
        Some(found)
    }

    /// An imported orb, and its import if its text is another.
    pub(super) fn imported(&self, scope: &Scope, orb: &str) -> Option<(Scope, Option<NodeId>)> {
        let outline = &scope.outline;
        let import = outline.entry(outline.entry(scope.node, "orbs")?, orb)?;
        match outline.scalar(import) {
            Some(reference) => {
                let orb = Scope {
                    outline: self.orb(reference)?,
                    node: 0,
                };
                Some((orb, Some(import)))
            }
            None => {
                let orb = Scope {
                    outline: Rc::clone(outline),
                    node: import,
                };
                Some((orb, None))
            }
        }
    }

    /// All names of a kind with what they stand for, those of orbs with the orb's.
    pub(super) fn all(&self, scope: &Scope, names: Names) -> Vec<(String, Definition)> {
        let own = |scope: &Scope| -> Vec<(String, Definition)> {
            let sections = sections(names).iter();
            sections
                .filter_map(|section| scope.outline.entry(scope.node, section))
                .flat_map(|section| scope.outline.entries(section))
                .map(|(name, node)| {
                    let definition = Definition {
                        outline: Rc::clone(&scope.outline),
                        node,
                        import: None,
                    };
                    (name.to_owned(), definition)
                })
                .collect()
        };
        let mut all = own(scope);
        let imports = scope.outline.entry(scope.node, "orbs");
        let imports = imports.into_iter().flat_map(|id| scope.outline.entries(id));
        for (orb, _) in imports.take(crate::MAX_ORBS) {
            if let Some((inner, _)) = self.imported(scope, orb) {
                let named = own(&inner).into_iter();
                all.extend(named.map(|(name, node)| (format!("{orb}/{name}"), node)));
            }
        }
        all
    }

    /// The job, command or executor whose parameters `parameters.` names at the end of a trail.
    pub(super) fn owner(&self, trail: &Trail) -> Option<Definition> {
        let owner = trail.iter().rev().find(|(_, takes)| {
            matches!(
                takes,
                Some(Takes::Map(Place::Job | Place::Command | Place::Executor))
            )
        });
        owner.map(|(node, _)| Definition {
            outline: Rc::clone(&self.outline),
            node: *node,
            import: None,
        })
    }

    /// The config itself, for what `pipeline.parameters.` names.
    pub(super) fn pipeline(&self) -> Definition {
        Definition {
            outline: Rc::clone(&self.outline),
            node: 0,
            import: None,
        }
    }

    /// The values of the matrix around the end of a trail.
    pub(super) fn matrix(&self, trail: &Trail) -> Option<NodeId> {
        let used = trail
            .iter()
            .rev()
            .find(|(_, takes)| *takes == Some(Takes::Map(Place::Use)));
        let matrix = self.outline.entry(used?.0, "matrix")?;
        self.outline.entry(matrix, "parameters")
    }

    /// The jobs of the workflow, or the group, that a trail ends in.
    pub(super) fn uses(&self, trail: &Trail) -> Vec<Use> {
        let outline = &self.outline;
        let home = trail
            .iter()
            .rev()
            .find(|(_, takes)| matches!(takes, Some(Takes::Map(Place::Workflow | Place::Group))));
        let Some(jobs) = home.and_then(|(home, _)| outline.entry(*home, "jobs")) else {
            return Vec::new();
        };
        let mut uses = Vec::new();
        for item in &outline.node(jobs).children {
            if let Some(place) = outline.node(*item).scalar.clone() {
                let name = outline.slice(&place).to_owned();
                uses.push(Use {
                    name,
                    place,
                    item: *item,
                });
                continue;
            }
            for (job, body) in outline.entries(*item).take(1) {
                let mut add = |name: &str, place: Option<Range<usize>>| {
                    uses.extend(place.map(|place| Use {
                        name: name.to_owned(),
                        place,
                        item: *item,
                    }));
                };
                let named = outline.entry(body, "name");
                match named.and_then(|named| Some((named, outline.scalar(named)?))) {
                    Some((named, name)) => add(name, outline.node(named).scalar.clone()),
                    None => add(job, outline.node(body).key.clone()),
                }
                let alias = outline
                    .entry(body, "matrix")
                    .and_then(|matrix| outline.entry(matrix, "alias"));
                if let Some(alias) = alias
                    && let Some(name) = outline.scalar(alias)
                {
                    add(name, outline.node(alias).scalar.clone());
                }
            }
        }
        uses
    }
}

/// The keys that are fixed in a map: those of its kind, and those that its `type` adds.
pub(super) fn keys_in(
    outline: &Outline,
    map: NodeId,
    place: Place,
) -> impl Iterator<Item = &'static KeySpec> {
    let is_idle = matches!(place, Place::Job | Place::Use)
        && matches!(
            outline.text_of(map, "type"),
            Some("release" | "lock" | "unlock")
        );
    let added = if is_idle { Place::Idle.keys() } else { &[] };
    place.keys().iter().chain(added)
}

/// One of them.
pub(super) fn key_in(
    outline: &Outline,
    map: NodeId,
    place: Place,
    name: &str,
) -> Option<&'static KeySpec> {
    keys_in(outline, map, place).find(|key| key.name == name)
}

/// Where the names of a kind are defined.
fn sections(names: Names) -> &'static [&'static str] {
    match names {
        Names::Job => &["jobs", "job-groups"],
        Names::Command => &["commands"],
        Names::Executor => &["executors"],
        Names::Use => &[],
    }
}

/// What a parameter of a type takes.
fn typed(word: Option<&str>) -> Takes {
    match word {
        Some("steps") => Takes::List(Place::Step),
        Some("executor") => Takes::Name(Names::Executor),
        Some("boolean") => Takes::Boolean,
        Some("integer") => Takes::Number,
        Some(_) | None => Takes::Text,
    }
}
