//! Reading objects of a repository: one `git cat-file --batch` that is asked again and again, because
//! a process each would cost more than all the reading.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStdout;

use crate::SourceError;
use crate::git::{Conversation, Git, Hears};

/// The objects of one repository.
#[derive(Debug)]
pub(crate) struct Objects {
    git_dir: PathBuf,
    hears: Hears,
    /// Taken out while a question is open: one that was given up leaves half an answer in the pipe,
    /// and its process goes with it.
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    git: Conversation<BufReader<ChildStdout>>,
}

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is there.
    Object(Object),
    /// It is not.
    Missing,
    /// It is a symbolic link that leads out of the tree, or nowhere in it.
    Elsewhere,
}

/// An object, or its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its id, in hexadecimal digits.
    pub(crate) id: String,
    /// `commit`, `tree`, `blob` or `tag`.
    pub(crate) kind: String,
    /// Its content, cut where the limit was.
    pub(crate) content: Vec<u8>,
}

/// One line of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TreeEntry {
    /// The mode, in octal digits: `100644`, `120000` …
    pub(crate) mode: String,
    /// The name.
    pub(crate) name: Vec<u8>,
    /// The id of what it names, in hexadecimal digits.
    pub(crate) id: String,
}

impl Objects {
    /// Those of the repository at `git_dir`. Nothing is started yet.
    pub(crate) fn of(git_dir: &Path, hears: Hears) -> Self {
        Self {
            git_dir: git_dir.to_owned(),
            hears,
            session: None,
        }
    }

    /// Asks for one object by any name that git knows (`refs/heads/main^{commit}`,
    /// `<commit>:a/path`); symbolic links inside of a tree are followed. Returns at most `limit`
    /// bytes of it.
    ///
    /// # Errors
    /// [`SourceError::Git`] where git stopped: there is no repository, or it is broken.
    pub(crate) async fn get(&mut self, name: &str, limit: usize) -> Result<Answer, SourceError> {
        if name.contains('\n') {
            // It would be two questions. No ref has such a name; a file may, but none of ours.
            return Ok(Answer::Missing);
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session {
                git: Git::new("cat-file", self.hears)
                    .git_dir(&self.git_dir)
                    .args(["--batch", "--follow-symlinks"])
                    .start()?
                    .map_stdout(BufReader::new),
            },
        };
        match session.ask(name, limit).await {
            Ok((answer, Rest::Read)) => {
                self.session = Some(session);
                Ok(answer)
            }
            Ok((answer, Rest::Unread)) => Ok(answer),
            Err(_) => Err(session.git.last_words().await),
        }
    }
}

/// Whether an answer was read to its end.
enum Rest {
    Read,
    Unread,
}

impl Session {
    /// Format: git-cat-file, "BATCH OUTPUT".
    async fn ask(&mut self, name: &str, limit: usize) -> std::io::Result<(Answer, Rest)> {
        self.git.stdin.write_all(name.as_bytes()).await?;
        self.git.stdin.write_all(b"\n").await?;
        self.git.stdin.flush().await?;

        let mut line = String::new();
        let longest = name.len() as u64 + 200;
        (&mut self.git.stdout)
            .take(longest)
            .read_line(&mut line)
            .await?;
        let Some(line) = line.strip_suffix('\n') else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        if line.ends_with(" missing") || line.ends_with(" ambiguous") {
            return Ok((Answer::Missing, Rest::Read));
        }
        let mut words = line.split(' ');
        let (first, second, third) = (words.next(), words.next(), words.next());
        let size = |word: &str| word.parse::<usize>().ok();
        match (first, second.and_then(size), third.and_then(size)) {
            (Some(id), None, Some(size)) => {
                let mut content = vec![0; size.min(limit)];
                self.git.stdout.read_exact(&mut content).await?;
                let rest = if size > limit {
                    Rest::Unread
                } else {
                    self.git.stdout.read_u8().await?;
                    Rest::Read
                };
                let object = Object {
                    id: id.to_owned(),
                    kind: second.unwrap_or_default().to_owned(),
                    content,
                };
                Ok((Answer::Object(object), rest))
            }
            (Some("symlink" | "dangling" | "loop" | "notdir"), Some(_), None) => {
                // What follows is the link's target; `dangling` is one that stays in the tree.
                let answer = match first {
                    Some("symlink" | "loop") => Answer::Elsewhere,
                    _ => Answer::Missing,
                };
                Ok((answer, Rest::Unread))
            }
            _ => Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Reads a tree object: `<mode> <name>\0<id>`, again and again. `id_bytes` is 20 or 32.
pub(crate) fn tree_entries(mut tree: &[u8], id_bytes: usize) -> Vec<TreeEntry> {
    let mut entries = Vec::new();
    while let Some(end) = tree.iter().position(|byte| *byte == 0) {
        let (head, rest) = tree.split_at(end);
        let (id, after) = rest[1..].split_at_checked(id_bytes).unwrap_or_default();
        if let Some(space) = head.iter().position(|byte| *byte == b' ') {
            entries.push(TreeEntry {
                mode: String::from_utf8_lossy(&head[..space]).into_owned(),
                name: head[space + 1..].to_vec(),
                id: hex::encode(id),
            });
        }
        tree = after;
    }
    entries
}

/// The first line of a commit's message, cut where it is longer than people read.
pub(crate) fn subject(commit: &[u8]) -> String {
    const LONGEST: usize = 100;
    let text = String::from_utf8_lossy(commit);
    let message = text.split_once("\n\n").map_or("", |(_, message)| message);
    let line = message.trim_start().lines().next().unwrap_or_default();
    // It ends on terminals, where an escape sequence would be obeyed.
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let line = line.trim_end();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_read() {
        let mut tree = b"100644 a b\0".to_vec();
        tree.extend([0; 20]);
        tree.extend(b"40000 sub\0");
        tree.extend([b' '; 20]);
        let entries: Vec<_> = tree_entries(&tree, 20)
            .into_iter()
            .map(|entry| (entry.mode, String::from_utf8(entry.name).unwrap()))
            .collect();
        let expected = [("100644", "a b"), ("40000", "sub")].map(|(m, n)| (m.into(), n.into()));
        assert_eq!(entries, expected);
        assert!(tree_entries(b"100644 cut\0abc", 20).len() == 1);
    }

    #[test]
    fn a_subject_is_one_line() {
        let commit = b"tree 1\nauthor a\n\nFix the thing\n\nIt was broken.\n";
        assert_eq!(subject(commit), "Fix the thing");
        assert_eq!(subject(b"tree 1\n\n"), "");
        assert_eq!(subject(b"no message"), "");
        assert_eq!(subject(b"tree 1\n\na\x1b[31mb\n"), "a[31mb");
        let long = format!("tree 1\n\n{}", "ü".repeat(300));
        assert_eq!(subject(long.as_bytes()).chars().count(), 100);
    }
}
