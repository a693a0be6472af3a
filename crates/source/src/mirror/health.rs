//! How it stands with a mirror, as git itself finds, and what its words may tell.

use model::CommitSha;

use super::Mirror;
use crate::SourceError;
use crate::git::{Git, Hears};

impl Mirror {
    /// Whether all of a commit's files can be read.
    pub(super) async fn can_read(&self, commit: &CommitSha) -> Result<bool, SourceError> {
        let read = Git::new("archive", Hears::Nobody)
            .git_dir(&self.path)
            .args(["--format=tar", "--output=/dev/null", commit.as_str()])
            .run()
            .await;
        is_well(read)
    }

    /// Whether git finds something missing or unreadable. What it said in another call is no proof: the
    /// words may be the remote's, of its own trouble, or hold the name of a file.
    pub(super) async fn is_broken(&self) -> Result<bool, SourceError> {
        let checked = Git::new("fsck", Hears::Nobody)
            .git_dir(&self.path)
            .args(["--connectivity-only", "--no-dangling", "--no-progress"])
            .run()
            .await;
        is_well(checked).map(|well| !well)
    }

    /// Whether there is a mirror that git takes for one.
    pub(super) async fn is_one(&self) -> Result<bool, SourceError> {
        let looked = Git::new("rev-parse", Hears::Nobody)
            .git_dir(&self.path)
            .arg("--git-dir")
            .run()
            .await;
        is_well(looked)
    }
}

/// Whether git went to its end well; an error where it could not be asked.
fn is_well(asked: Result<Vec<u8>, SourceError>) -> Result<bool, SourceError> {
    match asked {
        Ok(_) => Ok(true),
        Err(SourceError::Git { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn tells_of_sha256(error: &SourceError) -> bool {
    matches!(error, SourceError::Git { stderr, .. }
        if stderr.contains("mismatched algorithms: client sha1; server sha256"))
}

/// Whether git's words may tell of broken objects or refs of ours; worth a closer look, and no more.
pub(crate) fn smells_of_corruption(error: &SourceError) -> bool {
    const WORDS: [&str; 17] = [
        "not a git repository",
        "corrupt",
        "bad object",
        "bad config",
        "bad signature",
        "index file",
        "differ in contents",
        "invalid index-pack output",
        "unable to read",
        "unable to find",
        "unable to parse",
        "is empty",
        "missing blob",
        "missing tree",
        "did not send all necessary objects",
        "unresolved delta",
        "failed to unpack tree",
    ];
    matches!(error, SourceError::Git { stderr, .. }
        if WORDS.iter().any(|word| stderr.contains(word)))
}

pub(super) fn blocks_a_ref(error: &SourceError) -> bool {
    const WORDS: [&str; 3] = [
        "cannot lock ref",
        "unable to update local ref",
        "some local refs",
    ];
    matches!(error, SourceError::Git { stderr, .. }
        if WORDS.iter().any(|word| stderr.contains(word)))
}
