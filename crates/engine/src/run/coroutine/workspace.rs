//! `persist_to_workspace` and `attach_workspace`: what the jobs of a workflow hand on.
//!
//! Each step that keeps something makes a layer. A job is given the layers of all jobs that it comes after,
//! in the order of the workflow, so that of two files of one name the later job's is seen.

use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use executor::archive::Kind;
use model::FaultKind;
use store::{Blobs, NewLayer};

use super::files::{Amount, Packer, Put, Source, count, size, took};
use super::{Asked, Problem, Said};
use crate::persist::{Patience, persist};

impl Asked {
    pub(super) async fn persist(&self, root: &str, paths: &[String]) -> Result<Said, Problem> {
        let begun = Instant::now();
        let patterns = paths
            .iter()
            .map(|path| Pattern::parse(path))
            .collect::<Result<Vec<_>, _>>()?;
        let blobs = self.shared.blobs.clone();
        // Only what all patterns are in is taken: a root may be all of a large project.
        let base = common(&patterns);
        let from = format!("{}/{}", root.trim_end_matches('/'), base.display());
        let from = if root.is_empty() {
            base.display().to_string()
        } else {
            from
        };
        let of_base = base.clone();
        let packed = self.take(&from, move |source| {
            pack(source, &of_base, patterns, &blobs)
        });
        let Some((amount, blob)) = packed.await? else {
            let what = paths.first().map_or("", String::as_str);
            return Err(Problem::Users(format!(
                "nothing in `{root}` matches `{what}`"
            )));
        };
        self.settle().await?;
        let packed = blob.bytes;
        let layer = NewLayer {
            job: self.claim.job.id,
            attempt: self.dir.key().attempt,
            step_index: self.index,
            blob,
        };
        persist("a layer of a workspace", Patience::Endless, || {
            self.shared.store.add_layer(&layer)
        })
        .await?;
        Ok(vec![format!(
            "Persisted {}, {} ({} packed), in {}",
            count(amount.files, "file"),
            size(amount.bytes),
            size(packed),
            took(begun)
        )])
    }

    pub(super) async fn attach(&self, at: &str) -> Result<Said, Problem> {
        let begun = Instant::now();
        let layers = persist("a look for a workspace", Patience::Endless, || {
            self.shared.store.workspace(self.claim.job.id)
        });
        let layers = layers.await?;
        if layers.is_empty() {
            return Err(Problem::Users(
                "there is no workspace: no job that this one requires has persisted anything"
                    .to_owned(),
            ));
        }
        let mut said = Vec::new();
        let mut bytes = 0_u64;
        for (job, blob) in &layers {
            let Some(file) = self.open(blob).await? else {
                let why = format!("what `{job}` persisted is not on this server's disk any more");
                return Err(Problem::Ours(FaultKind::Storage, why));
            };
            if let Put::Damaged(how) = self.put(at, file).await? {
                let why = format!("what `{job}` persisted can't be unpacked: {how}");
                return Err(Problem::Ours(FaultKind::Storage, why));
            }
            bytes = bytes.saturating_add(blob.bytes);
            said.push(format!("Attached what `{job}` persisted"));
        }
        let number = u64::try_from(layers.len()).unwrap_or(u64::MAX);
        said.push(format!(
            "Attached {}, {} packed, in {}",
            count(number, "layer"),
            size(bytes),
            took(begun)
        ));
        Ok(said)
    }
}

/// Packs what the patterns find, with all that is in folders which they find.
fn pack(
    source: Source,
    base: &Path,
    mut patterns: Vec<Pattern>,
    blobs: &Blobs,
) -> Result<(Amount, store::Blob), Problem> {
    let mut packer = Packer::new(blobs)?;
    let mut packed = Amount::default();
    source.each(|name, kind, entry| {
        let join = |name: &Path| {
            if name.as_os_str().is_empty() {
                base.to_owned()
            } else {
                base.join(name)
            }
        };
        let name = join(&name);
        let mut is_wanted = false;
        for pattern in &mut patterns {
            if pattern.matches(&name) {
                pattern.found = true;
                is_wanted = true;
            }
        }
        if !is_wanted {
            return Ok(());
        }
        let same = match &kind {
            Kind::Same(target) => {
                let target = join(target);
                let is_in = patterns.iter().any(|pattern| pattern.matches(&target));
                if !is_in {
                    return Err(Problem::Users(format!(
                        "`{}` is another name of `{}`, which is not persisted; persist that too, or make a copy",
                        name.display(),
                        target.display()
                    )));
                }
                Some(target)
            }
            Kind::File | Kind::Folder | Kind::Link(_) => None,
        };
        if kind == Kind::File {
            packed.files += 1;
            packed.bytes += entry.size();
        }
        packer.add(&name, &kind, entry, same.as_ref())
    })?;
    if let Some(pattern) = patterns.iter().find(|pattern| !pattern.found) {
        return Err(Problem::Users(format!(
            "nothing in the workspace's root matches `{}`",
            pattern.text
        )));
    }
    Ok((packed, packer.finish()?))
}

/// A path or pattern below a root, in the language of Go's `filepath.Match`.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    parts: Vec<Vec<char>>,
    found: bool,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Problem> {
        let bad =
            |why: &str| Problem::Users(format!("the path `{text}` can't be persisted: {why}"));
        if text.starts_with('/') {
            return Err(bad("it must be relative to `root`"));
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.contains(&"..") {
            return Err(bad("it must not contain `..`"));
        }
        Ok(Self {
            text: text.to_owned(),
            parts: parts.iter().map(|part| part.chars().collect()).collect(),
            found: false,
        })
    }

    /// Whether it is that, or a folder above it.
    fn matches(&self, name: &Path) -> bool {
        let mut names = name.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy()),
            Component::RootDir
            | Component::CurDir
            | Component::ParentDir
            | Component::Prefix(_) => None,
        });
        self.parts.iter().all(|part| {
            let name = names.next();
            name.is_some_and(|name| matches(part, &name.chars().collect::<Vec<_>>()))
        })
    }

    /// The folders at its beginning that are no patterns, and the last part if all of it is none.
    fn plain(&self) -> PathBuf {
        let is_plain = |part: &&Vec<char>| !part.iter().any(|char| "*?[\\".contains(*char));
        let plain = self.parts.iter().take_while(is_plain);
        plain.map(|part| part.iter().collect::<String>()).collect()
    }
}

/// The deepest folder that all patterns look in.
fn common(patterns: &[Pattern]) -> PathBuf {
    let mut plain = patterns.iter().map(Pattern::plain);
    let first = plain.next().unwrap_or_default();
    plain.fold(first, |common, other| {
        let both = common.components().zip(other.components());
        let same = both.take_while(|(one, other)| one == other);
        same.map(|(part, _)| part).collect()
    })
}

/// Go's `filepath.Match` of one part of a path. A malformed pattern matches nothing.
fn matches(pattern: &[char], name: &[char]) -> bool {
    // Where to go on if what follows the last `*` does not fit: one character later.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let fits = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) => match name.get(n) {
                Some(char) => one(&pattern[p..], *char),
                None => return false,
            },
        };
        match (fits, star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How long the part of the pattern is that stands for one character, if this is it.
fn one(pattern: &[char], char: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == char).then_some(2),
        ['\\'] => None,
        ['[', rest @ ..] => {
            let (negated, mut at) = match rest {
                ['^', ..] => (true, 1),
                _ => (false, 0),
            };
            let begin = at;
            let mut found = false;
            while !(rest.get(at) == Some(&']') && at > begin) {
                let bound = |at: &mut usize| {
                    if rest.get(*at) == Some(&'\\') {
                        *at += 1;
                    }
                    let bound = rest.get(*at).copied();
                    *at += 1;
                    bound
                };
                let low = bound(&mut at)?;
                let high = if rest.get(at) == Some(&'-') {
                    at += 1;
                    bound(&mut at)?
                } else {
                    low
                };
                found |= (low..=high).contains(&char);
            }
            (found != negated).then_some(at + 2)
        }
        [plain, ..] => (*plain == char).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        let Ok(pattern) = Pattern::parse(pattern) else {
            panic!("{pattern} is refused");
        };
        pattern.matches(Path::new(name))
    }

    #[test]
    fn patterns_match_as_gos_do() {
        for (pattern, name) in [
            ("a", "a"),
            ("a", "a/below/it"),
            ("./a/b/", "a/b"),
            (".", "anything"),
            ("*", "a"),
            ("*", "a/b"),
            ("a*c", "abbc"),
            ("*.jar", "x.y.jar"),
            ("build/*/out", "build/x/out/file"),
            ("?b", "ab"),
            ("[a-c]x", "bx"),
            ("[^a-c]x", "dx"),
            (r"\*", "*"),
            (r"[\]]", "]"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "ab"),
            ("a/b", "a"),
            ("*", ""),
            ("*.jar", "x.jar.txt"),
            ("build/*", "build"),
            ("a*c", "ab"),
            ("[a-c]x", "dx"),
            ("[^a-c]x", "ax"),
            ("[", "["),
            (r"\*", "x"),
            ("?", "ab"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        for bad in ["/etc", "../x", "a/../b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_patterns_look_in_is_taken() {
        let base = |paths: &[&str]| {
            let patterns: Vec<_> = paths
                .iter()
                .filter_map(|path| Pattern::parse(path).ok())
                .collect();
            common(&patterns).display().to_string()
        };
        assert_eq!(base(&["dist"]), "dist");
        assert_eq!(base(&["dist/*.js", "dist/css"]), "dist");
        assert_eq!(base(&["a/b", "c"]), "");
        assert_eq!(base(&["*"]), "");
        assert_eq!(base(&["."]), "");
    }
}
