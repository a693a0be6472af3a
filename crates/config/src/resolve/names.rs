//! The names of a workflow's jobs, no two alike.
//!
//! A job is named by its `name`, else by the job that it uses. Where that makes the same name more than
//! once, each gets a number: `build-1`, `build-2` …, as CircleCI's reference has it for `name` ("using
//! the `name` key ensures numbers are not appended to your job name"). Such a job can't be required by
//! the name without number; CircleCI asks to name it then, and so do we.

use std::collections::HashMap;

use crate::schema::JobUse;

/// The names, by the job's place in the workflow.
pub(super) struct Names<'a> {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// To which jobs each name was given.
    given: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(jobs: &'a [JobUse]) -> Self {
        let bases: Vec<&str> = jobs.iter().map(base).collect();
        let mut given: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, base) in bases.iter().enumerate() {
            given.entry(base).or_default().push(place);
        }
        let mut names = Vec::with_capacity(jobs.len());
        let mut places = HashMap::new();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        for (place, base) in bases.into_iter().enumerate() {
            let name = if given[base].len() == 1 {
                base.to_owned()
            } else {
                let number = numbers.entry(base).or_default();
                loop {
                    *number += 1;
                    let name = format!("{base}-{number}");
                    // Somebody may have named another job `build-1`.
                    if !given.contains_key(name.as_str()) && !places.contains_key(&name) {
                        break name;
                    }
                }
            };
            places.insert(name.clone(), place);
            names.push(name);
        }
        Self {
            names,
            places,
            given,
        }
    }

    pub(super) fn name(&self, place: usize) -> &str {
        &self.names[place]
    }

    /// The place of the job with a name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The other of two jobs that were given the same name, for one of them.
    pub(super) fn other(&self, name: &str, than: usize) -> Option<usize> {
        let [first, second] = self.given.get(name)?.as_slice() else {
            return None;
        };
        match than {
            than if than == *first => Some(*second),
            than if than == *second => Some(*first),
            _ => None,
        }
    }

    /// How often a name was given, if more than once; else 0.
    pub(super) fn repeated(&self, name: &str) -> usize {
        self.given
            .get(name)
            .map(Vec::len)
            .filter(|times| *times > 1)
            .unwrap_or(0)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

fn base(job: &JobUse) -> &str {
    job.alias
        .as_ref()
        .map_or(&job.job.text, |alias| &alias.text)
}
