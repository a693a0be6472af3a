//! The tree. An alias shares the node of its anchor, so a tree is never larger in memory than its
//! file; how large it is to walk is counted while it is made.

use std::rc::Rc;

use super::{Map, Region, Scalar};

/// A value with its place. What an alias stands for has the place of its anchor: there it is mended.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) region: Region,
    pub(crate) value: Value,
    pub(crate) size: Size,
}

/// What a node is.
#[derive(Debug)]
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
            value: Value::Scalar(scalar),
            size,
        }
    }

    pub(crate) fn list(region: Region, items: Vec<Rc<Self>>) -> Self {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        for item in &items {
            size.add(item.size);
        }
        Self {
            region,
            value: Value::List(items),
            size,
        }
    }

    pub(crate) fn map(region: Region, map: Map) -> Self {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        for entry in map.iter() {
            size.add(entry.value.size);
            size.nodes = size.nodes.saturating_add(1);
            size.text_bytes = size.text_bytes.saturating_add(entry.key.text.len());
        }
        Self {
            region,
            value: Value::Map(map),
            size,
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

    /// What it is, for a message that wanted something else.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
