//! The tree. An alias shares the node of its anchor, so a tree is never larger in memory than its
//! file; how large it is to walk is counted while it is made.

use std::rc::Rc;

use super::{Key, Map, Region, Scalar};
use crate::diagnostic::UseId;

/// A value with its place. What an alias stands for has the place of its anchor: there it is mended.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) region: Region,
    pub(crate) value: Value,
    pub(crate) size: Size,
    /// Whether there is a `<<` in any of its texts.
    pub(crate) templated: bool,
    /// What it came about by, if it is a step or a job of what is used somewhere.
    pub(crate) via: Option<UseId>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Map),
}

/// What it costs to walk a node, each alias as often as it is used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) text_bytes: usize,
    /// 0 for a scalar.
    pub(crate) height: usize,
}

impl Size {
    pub(crate) fn add(&mut self, inner: Self) {
        self.nodes = self.nodes.saturating_add(inner.nodes);
        self.text_bytes = self.text_bytes.saturating_add(inner.text_bytes);
        self.height = self.height.max(inner.height + 1);
    }
}

impl Node {
    pub(crate) fn scalar(region: Region, scalar: Scalar) -> Self {
        let size = Size {
            nodes: 1,
            text_bytes: scalar.text.len(),
            height: 0,
        };
        Self {
            region,
            templated: scalar.text.contains("<<"),
            value: Value::Scalar(scalar),
            size,
            via: None,
        }
    }

    pub(crate) fn list(region: Region, items: Vec<Rc<Self>>) -> Self {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        let mut templated = false;
        for item in &items {
            size.add(item.size);
            templated |= item.templated;
        }
        Self {
            region,
            value: Value::List(items),
            size,
            templated,
            via: None,
        }
    }

    pub(crate) fn map(region: Region, map: Map) -> Self {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        let mut templated = false;
        for entry in map.iter() {
            size.add(entry.value.size);
            size.nodes = size.nodes.saturating_add(1);
            size.text_bytes = size.text_bytes.saturating_add(entry.key.text.len());
            templated |= entry.value.templated || entry.key.text.contains("<<");
        }
        Self {
            region,
            value: Value::Map(map),
            size,
            templated,
            via: None,
        }
    }

    /// A text that is only a text, whatever it looks like.
    pub(crate) fn text(region: Region, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::scalar(region, Scalar { text, plain: false })
    }

    /// A word that YAML takes for what it looks like: a boolean, a number.
    pub(crate) fn word(region: Region, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::scalar(region, Scalar { text, plain: true })
    }

    /// The same, come about by a use.
    pub(crate) fn with_via(mut self, via: Option<UseId>) -> Self {
        self.via = via;
        self
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Rc<Self>]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    /// A scalar that is not null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.is_null(),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar(scalar) => scalar.as_bool(),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Where to tell what is wrong with it: at itself if it is on one line, else at its key.
    pub(crate) fn place(&self, key: &Key) -> Region {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() && !scalar.text.contains('\n') => {
                self.region
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => key.region,
        }
    }

    /// What it is, for a message that wanted something else.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
