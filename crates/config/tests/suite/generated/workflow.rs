//! Workflows, and the uses of jobs in them.

use serde_json::{Map, Value, json};

use super::{Definition, Env, Kind, Maker, Parameter, Scope};

impl Maker<'_> {
    pub(super) fn workflow(&mut self, scope: &Scope) -> Value {
        let mut workflow = Map::new();
        match self.below(4) {
            0 | 1 => {}
            2 => {
                let condition = self.condition(Env::outside(scope), 2);
                workflow.insert("unless".into(), condition);
            }
            _ => {
                let expression =
                    "pipeline.git.branch starts-with \"ma\" or pipeline.parameters.truth";
                workflow.insert("when".into(), json!(expression));
            }
        }
        let mut known = Vec::new();
        let jobs: Vec<Value> = (0..=self.below(5))
            .map(|number| self.job_use(scope, number, &mut known))
            .collect();
        workflow.insert("jobs".into(), jobs.into());
        workflow.into()
    }

    /// A use of a job, which may require those that are known, and may be one of them then.
    fn job_use(&mut self, scope: &Scope, number: usize, known: &mut Vec<String>) -> Value {
        let mut entries = Map::new();
        let mut requires = Vec::new();
        for name in known.iter() {
            match self.below(6) {
                0 => requires.push(json!(name)),
                1 => requires.push(json!({name: self.one_of(&["failed", "terminal", "success"])})),
                2 => requires.push(json!({name: ["success", "not_run"]})),
                _ => {}
            }
        }
        entries.insert("requires".into(), requires.into());
        match self.below(5) {
            0 => {
                let filters =
                    json!({"branches": {"ignore": ["dev", "/x.*/"]}, "tags": {"only": "/v\\d+/"}});
                entries.insert("filters".into(), filters);
            }
            1 => {
                let expression = "pipeline.git.branch != \"dev\" and pipeline.number > 0";
                entries.insert("filters".into(), json!(expression));
            }
            _ => {}
        }
        let own = format!("use-{number}");
        if self.once_in(6) {
            entries.insert("type".into(), json!("approval"));
            known.push(own.clone());
            return json!({ own: entries });
        }
        let definition = self.one_of(&scope.jobs).clone();
        let (in_matrix, plain) = self.axes(&definition);
        let mut env = Env::outside(scope);
        env.prefix = "matrix";
        env.parameters = &in_matrix;
        let is_named = self.once_in(2);
        if in_matrix.is_empty() {
            if is_named {
                entries.insert("name".into(), json!(own));
            }
        } else {
            let mut axes = Map::new();
            for parameter in &in_matrix {
                axes.insert(parameter.name.into(), self.axis(parameter.kind, scope));
            }
            let mut matrix = json!({ "parameters": axes });
            if is_named {
                matrix["alias"] = json!(own);
                let named = in_matrix.iter().find(|found| found.kind != Kind::Executor);
                if let Some(found) = named {
                    let name = format!("{own} << matrix.{} >>", found.name);
                    entries.insert("name".into(), json!(name));
                }
            }
            entries.insert("matrix".into(), matrix);
        }
        if is_named {
            known.push(own);
        }
        entries.extend(self.arguments(&plain, env, 1));
        for around in ["pre-steps", "post-steps"] {
            if self.once_in(4) {
                entries.insert(around.into(), self.steps(env, 1));
            }
        }
        if self.once_in(4) {
            entries.insert("context".into(), json!(["one", "two"]));
        }
        if self.once_in(4) {
            entries.insert("serial-group".into(), json!("group/<< pipeline.number >>"));
        }
        json!({ definition.name: entries })
    }

    /// Which parameters of a job a matrix goes through, and the job with the others.
    fn axes(&mut self, definition: &Definition) -> (Vec<Parameter>, Definition) {
        let fits = |kind| !matches!(kind, Kind::Steps | Kind::Variable | Kind::Text);
        let (in_matrix, parameters) = definition
            .parameters
            .iter()
            .cloned()
            .partition(|parameter| fits(parameter.kind) && self.once_in(4));
        let name = definition.name.clone();
        (in_matrix, Definition { name, parameters })
    }

    fn axis(&mut self, kind: Kind, scope: &Scope) -> Value {
        let count = self.below(3) + 1;
        if kind == Kind::Executor {
            return (0..count)
                .map(|_| self.executor(Env::outside(scope)))
                .collect();
        }
        let all = match kind {
            Kind::Truth => vec![json!(true), json!(false)],
            Kind::Number => vec![json!(1), json!(10), json!(3)],
            Kind::Text | Kind::Choice | Kind::Variable | Kind::Steps | Kind::Executor => vec![
                json!("red"),
                json!("<< pipeline.parameters.choice >>"),
                json!("blue"),
            ],
        };
        all.into_iter().take(count).collect()
    }
}
