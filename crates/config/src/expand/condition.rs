//! Conditions: of `when` and `unless`, as a value, a logic statement (`and`, `or`, `not`, `equal`,
//! `matches`) or an expression.

use std::rc::Rc;

use crate::expression::{self, Datum, Number, Reference};
use crate::fault::Fault;
use crate::keys::Place;
use crate::read::{Entry, Map, Node, Region, Value};

use super::parameter::{UNKNOWN, is_unknown};
use super::{Env, Expander, text};

/// What it counts for, in values, to hold a text against a regular expression.
const MATCH_COST: usize = 100;

/// Whether a value counts as true. False are `false`, nothing, an empty text, 0 and what is empty, as
/// CircleCI's reference has it ("Truthy values").
pub(super) fn is_true(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => match scalar.as_bool() {
            Some(truth) => truth,
            None => {
                let is_zero = scalar.plain && scalar.text.parse() == Ok(0.0);
                !scalar.is_null() && !scalar.text.is_empty() && !is_zero
            }
        },
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.is_empty(),
    }
}

impl Expander<'_> {
    /// Whether the condition of a workflow holds; none if that can't be told, which has been told. A text is
    /// an expression there.
    pub(super) fn workflow_condition(&mut self, entry: &Entry, env: Env<'_>) -> Option<bool> {
        let Entry { key, value } = entry;
        let region = value.place(key);
        let text = match &value.value {
            Value::Scalar(scalar) if scalar.as_bool().is_none() && !scalar.is_null() => {
                &scalar.text
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => return self.condition(entry, env),
        };
        if text::only_hole(text).is_some() || text.is_empty() {
            return self.condition(entry, env);
        }
        if value.templated && text.contains(">>") {
            self.problems
                .warning(
                    region,
                    "a condition with `<< … >>` in it is a text, and a text is always true",
                )
                .help("leave out the `<<` and `>>`");
            return self.condition(entry, env);
        }
        let value = self.evaluated(text, region, env)?;
        Some(value.is_truthy())
    }

    /// Whether a condition holds; none if that can't be told, which has been told.
    pub(super) fn condition(&mut self, entry: &Entry, env: Env<'_>) -> Option<bool> {
        self.holds(&entry.value, entry.value.place(&entry.key), env)
    }

    fn holds(&mut self, node: &Rc<Node>, region: Region, env: Env<'_>) -> Option<bool> {
        if !self.spend(1, 0, region) {
            return None;
        }
        match &node.value {
            Value::Scalar(scalar) if node.templated => match text::only_hole(&scalar.text) {
                Some(hole) => {
                    let binding = self.value(hole.inner, region, env)?;
                    (!is_unknown(&binding.node)).then(|| is_true(&binding.node))
                }
                None => {
                    let filled = self.filled(&scalar.text, region, env);
                    (!filled.contains(UNKNOWN)).then_some(!filled.is_empty())
                }
            },
            Value::Scalar(_) => Some(is_true(node)),
            Value::Map(map) => self.statement(map, region, env),
            Value::List(_) => {
                self.problems
                    .error(region, "a condition can't be a list")
                    .help("write `and:` or `or:` before it");
                None
            }
        }
    }

    /// Whether an expression in place of filters lets a job run.
    pub(super) fn lets_run(&mut self, entry: &Entry, env: Env<'_>) -> Option<bool> {
        let region = entry.value.place(&entry.key);
        let text = entry.value.as_text()?;
        let filled = match text::only_hole(text) {
            Some(hole) => hole.inner.to_owned(),
            None => self.filled(text, region, env),
        };
        if filled.contains(UNKNOWN) {
            return None;
        }
        self.evaluated(&filled, region, env)
            .map(|value| value.holds())
    }

    fn statement(&mut self, map: &Map, region: Region, env: Env<'_>) -> Option<bool> {
        let Some(Entry { key, value }) = map.only() else {
            let second = map.iter().nth(1).map(|entry| entry.key.region);
            self.problems
                .error(
                    second.unwrap_or(region),
                    format!("a logic statement has one key, this one has {}", map.len()),
                )
                .help("join several with `and:` or `or:`");
            return None;
        };
        match &*key.text {
            "and" | "or" => {
                let is_and = &*key.text == "and";
                let items = self.operands(key, value)?;
                let mut result = Some(is_and);
                // All of them, so that all that is wrong is told.
                for item in items {
                    let holds = self.holds(item, item.region, env);
                    result = match (result, holds) {
                        (Some(result), Some(holds)) if is_and => Some(result && holds),
                        (Some(result), Some(holds)) => Some(result || holds),
                        (_, _) => None,
                    };
                }
                result
            }
            "not" => self.holds(value, value.place(key), env).map(|holds| !holds),
            "equal" => {
                let items = self.operands(key, value)?;
                let values: Vec<Rc<Node>> = items
                    .iter()
                    .map(|item| self.substitute(item, env))
                    .collect();
                let mut bytes = 0_usize;
                let mut nodes = 0_usize;
                for value in &values {
                    nodes = nodes.saturating_add(value.size.nodes);
                    bytes = bytes.saturating_add(value.size.text_bytes);
                }
                if !self.spend(nodes, bytes, region) {
                    return None;
                }
                if values.iter().any(|value| is_unknown(value)) {
                    return None;
                }
                Some(values.windows(2).all(|pair| is_equal(&pair[0], &pair[1])))
            }
            "matches" => self.matches(key.region, value, env),
            other => {
                let nearest = self.problems.nearest(other, Place::Condition.names());
                let problem = self
                    .problems
                    .error(key.region, format!("there is no logic statement `{other}`"));
                match nearest {
                    Some(_) => problem.suggest(nearest),
                    None => {
                        let names: Vec<&str> = Place::Condition.names().collect();
                        problem.help(format!("it is one of {}", names.join(", ")))
                    }
                };
                None
            }
        }
    }

    fn operands<'n>(&mut self, key: &crate::read::Key, value: &'n Node) -> Option<&'n [Rc<Node>]> {
        match value.as_list() {
            Some(items) if !items.is_empty() => Some(items),
            Some(_) | None => {
                self.problems
                    .error_of(
                        key,
                        value,
                        format!(
                            "`{}` takes a list, and this is {}",
                            key.text,
                            if value.as_list().is_some() {
                                "an empty one"
                            } else {
                                value.describe()
                            }
                        ),
                    )
                    .help("write `[one, other]`");
                None
            }
        }
    }

    fn matches(&mut self, region: Region, value: &Rc<Node>, env: Env<'_>) -> Option<bool> {
        let value = self.substitute(value, env);
        for Entry { key, .. } in value.as_map().into_iter().flat_map(Map::iter) {
            if Place::Matches.key(&key.text).is_none() {
                let nearest = self.problems.nearest(&key.text, Place::Matches.names());
                self.problems
                    .error(
                        key.region,
                        format!("`{}` means nothing in `matches`", key.text),
                    )
                    .suggest(nearest);
            }
        }
        let fields = value.as_map().and_then(|map| {
            let text = |key: &str| {
                let entry = map.get(key)?;
                match &entry.value.value {
                    Value::Scalar(scalar) if scalar.is_null() => Some((entry, "")),
                    Value::Scalar(scalar) => Some((entry, scalar.text.as_str())),
                    Value::List(_) | Value::Map(_) => None,
                }
            };
            Some((text("pattern")?, text("value")?.1))
        });
        let Some(((pattern_entry, pattern), text)) = fields else {
            self.problems
                .error(region, "`matches` needs a `pattern` and a `value`")
                .help("write `matches: {pattern: \"^v.*$\", value: << pipeline.git.tag >>}`");
            return None;
        };
        let place = pattern_entry.value.place(&pattern_entry.key);
        if !self.spend(MATCH_COST, text.len(), place) {
            return None;
        }
        if pattern.contains(UNKNOWN) {
            return None;
        }
        let matched = match self.patterns.regex(pattern) {
            Ok(_) if text.contains(UNKNOWN) => return None,
            Ok(pattern) => pattern.is_match(text),
            Err(fault) => Err(fault.message),
        };
        match matched {
            Ok(matched) => Some(matched),
            Err(why) => {
                self.problems
                    .error(place, format!("the `pattern` can't be used: {why}"));
                None
            }
        }
    }

    /// What an expression gives, as a node.
    pub(super) fn expression(
        &mut self,
        text: &str,
        region: Region,
        env: Env<'_>,
    ) -> Option<Rc<Node>> {
        Some(Rc::new(match self.evaluated(text, region, env)? {
            Datum::Null => Node::word(region, ""),
            Datum::Bool(truth) => Node::word(region, truth.to_string()),
            Datum::Number(number) => Node::word(region, number.as_str()),
            Datum::Text(text) => Node::text(region, text),
        }))
    }

    /// What an expression gives; none if it is wrong, which has been told.
    pub(super) fn evaluated(&mut self, text: &str, region: Region, env: Env<'_>) -> Option<Datum> {
        if !self.spend(1, text.len(), region) {
            return None;
        }
        let parsed = match expression::parse(text, self.patterns) {
            Ok(parsed) => parsed,
            Err(fault) => {
                self.tell_fault(text, &fault, region);
                return None;
            }
        };
        for doubt in parsed.doubts() {
            let problem = self.problems.warning(
                region,
                format!("the expression `{text}`: {}", doubt.message),
            );
            if let Some(help) = &doubt.help {
                problem.help(help.clone());
            }
        }
        // All of them, whether they are looked at or not: what is misspelt is told at once.
        let mut known = Vec::with_capacity(parsed.references().len());
        let mut is_known = true;
        for reference in parsed.references() {
            let Some(binding) = self.reference(&reference.name, region, env) else {
                is_known = false;
                continue;
            };
            let node = binding.node;
            is_known &= !is_unknown(&node);
            if !self.spend(1, node.size.text_bytes, region) {
                return None;
            }
            known.push((reference.name.clone(), datum(&node)));
        }
        if !is_known || !self.spend(parsed.pattern_count() * MATCH_COST, 0, region) {
            return None;
        }
        let result = parsed.eval(&mut |reference: &Reference| {
            let found = known.iter().find(|(name, _)| *name == reference.name);
            // They are the references of this very expression.
            Ok(found.map_or(Datum::Null, |(_, value)| value.clone()))
        });
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.tell_fault(text, &fault, region);
                None
            }
        }
    }

    fn tell_fault(&mut self, text: &str, fault: &Fault, region: Region) {
        let part: String = text
            .chars()
            .skip(fault.start)
            .take(fault.end.saturating_sub(fault.start).min(40))
            .collect();
        let message = if part.trim().is_empty() || text.chars().count() == part.chars().count() {
            format!("the expression `{text}` is wrong: {}", fault.message)
        } else {
            format!(
                "the expression `{text}` is wrong at `{part}`: {}",
                fault.message
            )
        };
        let problem = self.problems.error(region, message);
        if let Some(help) = &fault.help {
            problem.help(help);
        }
    }
}

fn datum(node: &Node) -> Datum {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => Datum::Null,
        Value::Scalar(scalar) => match scalar.as_bool() {
            Some(truth) => Datum::Bool(truth),
            None if scalar.plain => Number::parse(&scalar.text)
                .map_or_else(|| Datum::Text(scalar.text.clone()), Datum::Number),
            None => Datum::Text(scalar.text.clone()),
        },
        Value::List(items) => Datum::Bool(!items.is_empty()),
        Value::Map(map) => Datum::Bool(!map.is_empty()),
    }
}

/// Whether two values are the same, however they are written.
pub(super) fn is_equal(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Scalar(one), Value::Scalar(other)) => {
            let word = |scalar: &crate::read::Scalar| match scalar.as_bool() {
                Some(truth) => truth.to_string(),
                None if scalar.is_null() => String::new(),
                None => scalar.text.clone(),
            };
            word(one) == word(other)
        }
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_equal(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|entry| {
                    other
                        .get(&entry.key.text)
                        .is_some_and(|found| is_equal(&entry.value, &found.value))
                })
        }
        (_, _) => false,
    }
}
