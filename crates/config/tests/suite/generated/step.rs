//! Jobs, and what they do.

use serde_json::{Map, Value, json};

use super::{Env, Kind, Maker};

impl Maker<'_> {
    pub(super) fn variables(&mut self, env: Env<'_>) -> Value {
        let kinds = [Kind::Text, Kind::Truth, Kind::Number];
        let pairs: Vec<(&str, Value)> = ["A", "B", "C"]
            .into_iter()
            .take(self.below(4))
            .map(|name| {
                let kind = *self.one_of(&kinds);
                (name, self.value(kind, env, 0))
            })
            .collect();
        if self.once_in(3) {
            return pairs
                .into_iter()
                .map(|(name, value)| json!({ name: value }))
                .collect();
        }
        Value::Object(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    pub(super) fn job(&mut self, mut body: Map<String, Value>, env: Env<'_>) -> Value {
        let executor = self.value(Kind::Executor, env, 0);
        body.insert("executor".into(), executor);
        body.insert("environment".into(), self.variables(env));
        if self.once_in(2) {
            body.insert("parallelism".into(), self.value(Kind::Number, env, 0));
        }
        if self.once_in(3) {
            let class = "<< pipeline.git.branch == \"main\" and \"large\" or \"small\" >>";
            body.insert("resource_class".into(), json!(class));
        }
        let mut steps = vec![json!("checkout")];
        steps.extend((0..=self.below(3)).map(|_| self.step(env, 2)));
        body.insert("steps".into(), steps.into());
        body.into()
    }

    pub(super) fn steps(&mut self, env: Env<'_>, depth: usize) -> Value {
        (0..=self.below(3)).map(|_| self.step(env, depth)).collect()
    }

    fn step(&mut self, env: Env<'_>, depth: usize) -> Value {
        let kinds = if depth == 0 { 5 } else { 8 };
        match self.below(kinds) {
            0 => json!("checkout"),
            1 => json!({ "run": format!("run {}", self.text(env)) }),
            2 => json!({"run": {
                "name": format!("name {}", self.text(env)),
                "command": format!("run {}", self.text(env)),
                "environment": self.variables(env),
                "when": self.one_of(&["always", "on_fail", "on_success"]),
            }}),
            3 => json!({"save_cache": {
                "key": format!("key {}", self.text(env)),
                "paths": ["~/cache", format!("dir/{}", self.below(3))],
            }}),
            4 => match env.of(Kind::Steps) {
                Some(parameter) => {
                    json!({"steps": format!("<< {}.{} >>", env.prefix, parameter.name)})
                }
                None => json!({"store_artifacts": {"path": "out"}}),
            },
            5 if !env.scope.commands.is_empty() => {
                let definition = self.one_of(&env.scope.commands).clone();
                let arguments = self.arguments(&definition, env, depth - 1);
                if arguments.is_empty() {
                    json!(definition.name)
                } else {
                    json!({ definition.name: arguments })
                }
            }
            place => {
                let word = if place == 6 { "when" } else { "unless" };
                json!({word: {"condition": self.condition(env, 2), "steps": self.steps(env, depth - 1)}})
            }
        }
    }

    pub(super) fn condition(&mut self, env: Env<'_>, depth: usize) -> Value {
        let kinds = if depth == 0 { 3 } else { 6 };
        match self.below(kinds) {
            0 => self.value(Kind::Truth, env, 0),
            1 => json!({"equal": [self.value(Kind::Choice, env, 0), "red"]}),
            2 => json!({"matches": {"pattern": "^ma.*$", "value": "<< pipeline.git.branch >>"}}),
            3 => json!({"not": self.condition(env, depth - 1)}),
            place => {
                let word = if place == 4 { "and" } else { "or" };
                json!({word: [self.condition(env, depth - 1), self.condition(env, depth - 1)]})
            }
        }
    }
}
