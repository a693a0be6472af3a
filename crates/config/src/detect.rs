//! A first config for a project, guessed from the names of its files.
//!
//! Only names are looked at, and of most only whether they are at the top: a guess that a person
//! reads and mends must be simple more than clever. Toolchains come from the official images, and
//! what needs none runs on the machine itself.

use std::collections::HashSet;
use std::fmt;

/// What a project is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProjectKind {
    /// Rust: `Cargo.toml`.
    Cargo,
    /// Go: `go.mod`.
    Go,
    /// Java with Maven: `pom.xml`.
    Maven,
    /// Java or Kotlin with Gradle: `build.gradle`, `settings.gradle`, or their `.kts`.
    Gradle,
    /// Ruby: `Gemfile`.
    Bundler,
    /// Python: `pyproject.toml`, `setup.py`, `requirements.txt` …, tested with pytest.
    Python,
    /// JavaScript: `package.json`, with npm, pnpm or Yarn.
    Npm,
    /// A `Makefile`.
    Make,
    /// A script that by its name runs the tests.
    Shell,
    /// Nothing known.
    Other,
}

impl ProjectKind {
    /// Its name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cargo => "Cargo",
            Self::Go => "Go",
            Self::Maven => "Maven",
            Self::Gradle => "Gradle",
            Self::Bundler => "Bundler",
            Self::Python => "Python",
            Self::Npm => "Node.js",
            Self::Make => "Make",
            Self::Shell => "shell",
            Self::Other => "unknown",
        }
    }
}

impl fmt::Display for ProjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A first config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starter {
    /// What the project was taken for.
    pub kind: ProjectKind,
    /// The text for `.popsicle/ci.yml`; compiles without diagnostics.
    pub yaml: String,
}

/// Guesses a first config from a project's file paths (from its root, with `/`).
///
/// Where several kinds fit, languages go before `make`, and Python before JavaScript, which then is
/// mostly its front end.
pub fn starter(paths: &[&str]) -> Starter {
    let project = Project::new(paths);
    let kind = project.kind();
    let recipe = match kind {
        ProjectKind::Cargo => project.cargo(),
        ProjectKind::Go => Recipe::docker("golang:1")
            .run("Build", "go build ./...")
            .run("Test", "go test ./..."),
        ProjectKind::Maven => project.maven(),
        ProjectKind::Gradle => project.gradle(),
        ProjectKind::Bundler => project.bundler(),
        ProjectKind::Python => project.python(),
        ProjectKind::Npm => project.npm(),
        ProjectKind::Make => Recipe::machine().run("Build", "make"),
        ProjectKind::Shell => project.shell(),
        ProjectKind::Other => Recipe::machine().run(
            "Test",
            "echo \"Put the commands that build and test your project here.\"",
        ),
    };
    Starter {
        kind,
        yaml: recipe.yaml(),
    }
}

/// Scripts that run tests by their names, likeliest first.
const SCRIPTS: &[&str] = &[
    ".ci/run",
    "scripts/test.sh",
    "script/test",
    "bin/test",
    "test.sh",
    "tests.sh",
    "run_tests.sh",
    "run-tests.sh",
    "tests/run.sh",
    "ci.sh",
    "build.sh",
];

struct Project<'a> {
    paths: HashSet<&'a str>,
}

impl<'a> Project<'a> {
    fn new(paths: &[&'a str]) -> Self {
        let paths = paths
            .iter()
            .map(|path| path.strip_prefix("./").unwrap_or(path))
            .collect();
        Self { paths }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    fn has_any(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.has(path))
    }

    /// The first of some paths that is there.
    fn first<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    fn kind(&self) -> ProjectKind {
        const MARKS: &[(ProjectKind, &[&str])] = &[
            (ProjectKind::Cargo, &["Cargo.toml"]),
            (ProjectKind::Go, &["go.mod"]),
            (ProjectKind::Maven, &["pom.xml"]),
            (
                ProjectKind::Gradle,
                &[
                    "build.gradle",
                    "build.gradle.kts",
                    "settings.gradle",
                    "settings.gradle.kts",
                ],
            ),
            (ProjectKind::Bundler, &["Gemfile"]),
            (
                ProjectKind::Python,
                &[
                    "pyproject.toml",
                    "setup.py",
                    "setup.cfg",
                    "requirements.txt",
                    "Pipfile",
                    "tox.ini",
                    "pytest.ini",
                    "conftest.py",
                ],
            ),
            (ProjectKind::Npm, &["package.json"]),
            (ProjectKind::Make, &["Makefile", "makefile", "GNUmakefile"]),
            (ProjectKind::Shell, SCRIPTS),
        ];
        MARKS
            .iter()
            .find(|(_, marks)| self.has_any(marks))
            .map_or(ProjectKind::Other, |(kind, _)| *kind)
    }

    fn cargo(&self) -> Recipe {
        let locked = if self.has("Cargo.lock") {
            " --locked"
        } else {
            ""
        };
        Recipe::docker("rust:1")
            .run("Build", format!("cargo build --all-targets{locked}"))
            .run("Test", format!("cargo test{locked}"))
    }

    fn maven(&self) -> Recipe {
        if self.has("mvnw") {
            Recipe::docker("eclipse-temurin:21")
                .run("Build and test", "sh ./mvnw --batch-mode verify")
        } else {
            Recipe::docker("maven:3").run("Build and test", "mvn --batch-mode verify")
        }
    }

    fn gradle(&self) -> Recipe {
        if self.has("gradlew") {
            Recipe::docker("eclipse-temurin:21")
                .run("Build and test", "sh ./gradlew --no-daemon build")
        } else {
            Recipe::docker("gradle:jdk21").run("Build and test", "gradle --no-daemon build")
        }
    }

    fn bundler(&self) -> Recipe {
        let recipe = Recipe::docker("ruby:3").run("Install dependencies", "bundle install");
        if self.has(".rspec") || self.paths.iter().any(|path| path.starts_with("spec/")) {
            recipe.run("Test", "bundle exec rspec")
        } else if self.has("bin/rails") {
            recipe.run("Test", "bin/rails test")
        } else if self.has("Rakefile") {
            recipe.run("Test", "bundle exec rake")
        } else {
            recipe
        }
    }

    fn python(&self) -> Recipe {
        let recipe = Recipe::docker("python:3");
        if self.has("uv.lock") {
            return recipe
                .run("Install dependencies", "pip install uv\nuv sync")
                .run("Test", self.pytest("uv run --with pytest "));
        }
        if self.has("poetry.lock") {
            return recipe
                .run(
                    "Install dependencies",
                    "pip install poetry\npoetry install\npoetry run pip install pytest",
                )
                .run("Test", self.pytest("poetry run "));
        }
        if self.has("Pipfile") {
            return recipe
                .run(
                    "Install dependencies",
                    "pip install pipenv\npipenv install --dev\npipenv run pip install pytest",
                )
                .run("Test", self.pytest("pipenv run "));
        }
        let mut install: Vec<String> = [
            "requirements.txt",
            "requirements-dev.txt",
            "dev-requirements.txt",
            "requirements-test.txt",
            "test-requirements.txt",
        ]
        .into_iter()
        .filter(|file| self.has(file))
        .map(|file| format!("pip install -r {file}"))
        .collect();
        // A `pyproject.toml` beside requirements often only configures tools.
        let is_package = self.has("setup.py") || (self.has("pyproject.toml") && install.is_empty());
        if is_package {
            install.push("pip install -e .".to_owned());
        }
        install.push("pip install pytest".to_owned());
        recipe
            .run("Install dependencies", install.join("\n"))
            .run("Test", self.pytest(""))
    }

    /// The tests; or, as pytest calls it a failure to find none, at least a look at the syntax.
    fn pytest(&self, prefix: &str) -> String {
        let has_tests = self.paths.iter().any(|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            (name.starts_with("test_") && name.ends_with(".py")) || name.ends_with("_test.py")
        });
        if has_tests {
            format!("{prefix}pytest")
        } else {
            format!("{prefix}python -m compileall -q .")
        }
    }

    fn npm(&self) -> Recipe {
        let recipe = Recipe::docker("node:lts");
        let install = "Install dependencies";
        if self.has("pnpm-lock.yaml") {
            recipe
                .run(
                    install,
                    "npm install --global pnpm\npnpm install --frozen-lockfile",
                )
                .run("Test", "pnpm test")
        } else if self.has("yarn.lock") && self.has(".yarnrc.yml") {
            recipe
                .run(install, "corepack enable\nyarn install --immutable")
                .run("Test", "yarn test")
        } else if self.has("yarn.lock") {
            recipe
                .run(install, "yarn install --frozen-lockfile")
                .run("Test", "yarn test")
        } else if self.has_any(&["package-lock.json", "npm-shrinkwrap.json"]) {
            recipe.run(install, "npm ci").run("Test", "npm test")
        } else {
            recipe.run(install, "npm install").run("Test", "npm test")
        }
    }

    fn shell(&self) -> Recipe {
        let script = self.first(SCRIPTS).unwrap_or("test.sh");
        // Not every checkout keeps the executable bit; a script without an ending may not be sh.
        let command = if script.ends_with(".sh") {
            format!("sh {script}")
        } else {
            format!("./{script}")
        };
        Recipe::machine().run("Test", command)
    }
}

/// What a first config says.
struct Recipe {
    /// The runner's own system if none.
    image: Option<String>,
    /// Name and commands.
    steps: Vec<(&'static str, String)>,
}

impl Recipe {
    fn docker(image: &str) -> Self {
        Self {
            image: Some(image.to_owned()),
            steps: Vec::new(),
        }
    }

    fn machine() -> Self {
        Self {
            image: None,
            steps: Vec::new(),
        }
    }

    fn run(mut self, name: &'static str, command: impl Into<String>) -> Self {
        self.steps.push((name, command.into()));
        self
    }

    fn yaml(&self) -> String {
        let mut yaml = String::from(
            "# What Popsicle runs for this project, in the language of CircleCI's config.yml.\n\
             # Try it here with `popsicle run`.\n\
             version: 2.1\n\
             \n\
             jobs:\n  build:\n",
        );
        match &self.image {
            None => yaml.push_str("    machine: true\n"),
            Some(image) => yaml.push_str(&format!("    docker:\n      - image: {image}\n")),
        }
        yaml.push_str("    steps:\n      - checkout\n");
        for (name, command) in &self.steps {
            yaml.push_str(&format!(
                "      - run:\n          name: {name}\n          command: |\n"
            ));
            for line in command.lines() {
                yaml.push_str(&format!("            {line}\n"));
            }
        }
        yaml.push_str("\nworkflows:\n  ci:\n    jobs:\n      - build\n");
        yaml
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, compile};

    fn commands(paths: &[&str]) -> (ProjectKind, String) {
        let starter = starter(paths);
        let compiled = compile(
            &[SourceFile {
                path: ".popsicle/ci.yml".into(),
                text: starter.yaml.clone().into_bytes(),
            }],
            &crate::Inputs::default(),
        );
        assert_eq!(compiled.diagnostics, [], "{}", starter.yaml);
        let plan = compiled.plan.unwrap();
        let commands: Vec<String> = plan
            .jobs()
            .flat_map(|(_, job)| job.steps())
            .filter_map(|step| {
                let model::StepAction::Run(run) = &step.action else {
                    return None;
                };
                Some(run.command.trim_end().replace('\n', "; "))
            })
            .collect();
        (starter.kind, commands.join(" | "))
    }

    #[test]
    fn what_is_made_compiles_and_fits_the_project() {
        let table: &[(&[&str], ProjectKind, &str)] = &[
            (
                &["Cargo.toml", "Cargo.lock", "src/main.rs", "Makefile"],
                ProjectKind::Cargo,
                "cargo build --all-targets --locked | cargo test --locked",
            ),
            (
                &["go.mod"],
                ProjectKind::Go,
                "go build ./... | go test ./...",
            ),
            (&["pom.xml"], ProjectKind::Maven, "mvn --batch-mode verify"),
            (
                &["pom.xml", "mvnw"],
                ProjectKind::Maven,
                "sh ./mvnw --batch-mode verify",
            ),
            (
                &["build.gradle.kts", "gradlew"],
                ProjectKind::Gradle,
                "sh ./gradlew --no-daemon build",
            ),
            (
                &["Gemfile", "spec/a_spec.rb"],
                ProjectKind::Bundler,
                "bundle install | bundle exec rspec",
            ),
            (
                &["requirements.txt", "tests/test_a.py", "package.json"],
                ProjectKind::Python,
                "pip install -r requirements.txt; pip install pytest | pytest",
            ),
            (
                &["./pyproject.toml", "./pkg/__init__.py"],
                ProjectKind::Python,
                "pip install -e .; pip install pytest | python -m compileall -q .",
            ),
            (
                &["pyproject.toml", "uv.lock", "test_x.py"],
                ProjectKind::Python,
                "pip install uv; uv sync | uv run --with pytest pytest",
            ),
            (
                &["package.json", "package-lock.json"],
                ProjectKind::Npm,
                "npm ci | npm test",
            ),
            (
                &["package.json", "pnpm-lock.yaml"],
                ProjectKind::Npm,
                "npm install --global pnpm; pnpm install --frozen-lockfile | pnpm test",
            ),
            (&["Makefile", "main.c"], ProjectKind::Make, "make"),
            (
                &["scripts/test.sh"],
                ProjectKind::Shell,
                "sh scripts/test.sh",
            ),
            (&[".ci/run"], ProjectKind::Shell, "./.ci/run"),
        ];
        for (paths, kind, expected) in table {
            assert_eq!(commands(paths), (*kind, (*expected).to_owned()));
        }
        assert_eq!(commands(&["README.md"]).0, ProjectKind::Other);
        assert_eq!(commands(&[]).0, ProjectKind::Other);
        // Deeper files don't make a project.
        assert_eq!(commands(&["vendor/x/Cargo.toml"]).0, ProjectKind::Other);
    }

    #[test]
    fn a_starter_reads_well() {
        insta::assert_snapshot!(starter(&["Cargo.toml"]).yaml, @r"
        # What Popsicle runs for this project, in the language of CircleCI's config.yml.
        # Try it here with `popsicle run`.
        version: 2.1

        jobs:
          build:
            docker:
              - image: rust:1
            steps:
              - checkout
              - run:
                  name: Build
                  command: |
                    cargo build --all-targets
              - run:
                  name: Test
                  command: |
                    cargo test

        workflows:
          ci:
            jobs:
              - build
        ");
    }
}
