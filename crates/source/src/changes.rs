//! Which files a trigger is about: those that its commit changed, as far as that can be told.

use model::{CommitSha, GitRef, Trigger, TriggerKind};

use crate::SourceError;
use crate::checkout::Checkout;
use crate::mirror::Wanted;

/// How many files are told of at most.
const MAX_FILES: usize = 50_000;
/// How much their names may take, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// What a commit is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// What its branch pointed to before.
    Commit(CommitSha),
    /// Where it left that branch; the remote's default branch without a name.
    Branch(Option<String>),
}

/// What a trigger's commit is held against; none where nothing says.
pub(crate) fn since(trigger: &Trigger) -> Option<Since> {
    if let Some(pull_request) = &trigger.pull_request {
        return Some(Since::Branch(Some(pull_request.base_branch.clone())));
    }
    match (trigger.kind, &trigger.git_ref, &trigger.base) {
        (_, Some(GitRef::Branch(_)), Some(before)) => Some(Since::Commit(before.clone())),
        // The branch is new.
        (TriggerKind::Push | TriggerKind::GitPush, Some(GitRef::Branch(_)), None) => {
            Some(Since::Branch(None))
        }
        (_, Some(GitRef::Branch(_) | GitRef::Tag(_)) | None, _) => None,
    }
}

impl Checkout {
    /// The files that differ, from the root of the tree; none where there are too many, or nothing is the
    /// commit's own.
    pub(crate) async fn changed(&self, since: &Since) -> Result<Option<Vec<String>>, SourceError> {
        let before = match since {
            Since::Commit(before) => before.clone(),
            Since::Branch(branch) => {
                // It may have moved on the remote since it was fetched last.
                let wanted = Wanted {
                    commit: None,
                    git_ref: branch
                        .as_ref()
                        .map(|branch| GitRef::Branch(branch.clone()).full()),
                };
                let tip = self.mirror().fetch(&wanted).await?.commit;
                match self.fork_point(&tip).await? {
                    Some(point) if point != *self.commit() => point,
                    Some(_) | None => return Ok(None),
                }
            }
        };
        let names = self
            .git("diff-tree")
            .args(["-r", "-z", "--name-only", "--no-renames"])
            .args([before.as_str(), self.commit().as_str()])
            .output_limit(MAX_BYTES)
            .run()
            .await?;
        let names: Vec<String> = names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .take(MAX_FILES + 1)
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        Ok((names.len() <= MAX_FILES).then_some(names))
    }

    /// The newest commit that this one and `tip` both come after.
    async fn fork_point(&self, tip: &CommitSha) -> Result<Option<CommitSha>, SourceError> {
        let told = self
            .git("merge-base")
            .args([tip.as_str(), self.commit().as_str()])
            .run()
            .await?;
        let told = String::from_utf8_lossy(&told);
        Ok(told.trim().parse().ok())
    }
}
