//! The values of a pipeline, `<< pipeline.… >>`, in the order in which people need them.

/// One value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipelineValue {
    /// What stands behind `pipeline.`.
    pub(crate) name: &'static str,
    pub(crate) empty: Empty,
    /// What it is, in a sentence.
    pub(crate) doc: &'static str,
}

/// What a value is where the trigger does not bring it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    Text,
    Number,
    False,
}

const fn text(name: &'static str, doc: &'static str) -> PipelineValue {
    PipelineValue {
        name,
        empty: Empty::Text,
        doc,
    }
}

const fn truth(name: &'static str, doc: &'static str) -> PipelineValue {
    PipelineValue {
        name,
        empty: Empty::False,
        doc,
    }
}

/// All that are there for every trigger. The names are those of CircleCI's reference ("Pipeline values and
/// parameters").
pub(crate) const PIPELINE_VALUES: &[PipelineValue] = &[
    text("id", "The pipeline's own id."),
    PipelineValue {
        name: "number",
        empty: Empty::Number,
        doc: "The pipeline's number.",
    },
    text("git.branch", "The branch; empty for a tag."),
    truth(
        "git.branch.is_default",
        "Whether it is the project's default branch.",
    ),
    text("git.tag", "The tag; empty for a branch."),
    text("git.revision", "The commit that is built."),
    text("git.base_revision", "The commit that the push came after."),
    text("git.repo_name", "The repository's name."),
    text("git.repo_owner", "Who owns the repository."),
    text("git.repo_url", "Where the repository is."),
    text("git.repo_id", "The repository's id at its forge."),
    text(
        "git.commit.subject",
        "The first line of the commit's message.",
    ),
    text("git.commit.body", "The rest of the commit's message."),
    text("git.commit.author_name", "Who wrote the commit."),
    text(
        "git.commit.author_email",
        "The address of who wrote the commit.",
    ),
    text(
        "git.commit.author_login",
        "Who wrote the commit, as the forge knows them.",
    ),
    text(
        "git.commit.author_avatar_url",
        "The picture of who wrote the commit.",
    ),
    text("git.commit.url", "The commit's page at the forge."),
    text(
        "trigger_source",
        "What started the pipeline: `webhook`, `api`, `scheduled_pipeline`.",
    ),
    text("trigger.type", "The kind of what started the pipeline."),
    text("trigger.name", "What that is called."),
    text("trigger.id", "The id of what started the pipeline."),
    text("trigger.received_at", "When that happened."),
    text("schedule.name", "The schedule that started the pipeline."),
    text("schedule.id", "That schedule's id."),
    text("project.git_url", "Where the project's repository is."),
    text("project.type", "The forge: `github`, `gitlab` and so on."),
    text("project.slug", "The project with its forge and owner."),
    text("project.name", "The project's name."),
    text("project.id", "The project's id."),
    text("project.organization_id", "The id of who owns the project."),
    text("organization.id", "The id of who owns the project."),
    truth(
        "in_setup",
        "Whether this is the config that makes the one to go on with.",
    ),
    text("config_source", "Where the config comes from."),
    text("name", "The pipeline's name."),
    text("definition.id", "The id of the pipeline's definition."),
    text("template_id", "The id of the pipeline's template."),
    text(
        "integration_source",
        "The integration that started the pipeline.",
    ),
    text("deploy.component_name", "What is deployed."),
    text("deploy.environment_name", "Where it is deployed to."),
    text(
        "deploy.target_environment_name",
        "Where it is deployed to, by an older name.",
    ),
    text("deploy.namespace", "The namespace that it is deployed to."),
    text("deploy.current_version", "The version that is there."),
    text("deploy.target_version", "The version that is to be there."),
    text("deploy.reason", "Why it is deployed."),
    truth(
        "deploy.is_rollback",
        "Whether it goes back to an older version.",
    ),
];
