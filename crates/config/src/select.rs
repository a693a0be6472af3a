//! Which files of a tree are its config.

/// The folder whose YAML files, all of them, are the config; looked at first.
pub const POPSICLE_DIR: &str = ".popsicle";

/// The files of which the first that exists is the config, if [`POPSICLE_DIR`] has none.
pub const CIRCLECI_FILES: [&str; 2] = [".circleci/config.yml", ".circleci/config.yaml"];

/// Picks the config out of the paths of a tree (from its root, with `/`), in the order in which to
/// give them to [`crate::compile`].
///
/// All `.popsicle/*.yml` and `.popsicle/*.yaml` by name, else `.circleci/config.yml`, else
/// `.circleci/config.yaml`, else none. Paths deeper in these folders are no config.
pub fn select<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut popsicle = Vec::new();
    let mut circleci = [None; CIRCLECI_FILES.len()];
    for path in paths {
        if is_popsicle_file(path) {
            popsicle.push(path);
        }
        if let Some(rank) = CIRCLECI_FILES.iter().position(|file| *file == path) {
            circleci[rank] = Some(path);
        }
    }
    if popsicle.is_empty() {
        return circleci.into_iter().flatten().take(1).collect();
    }
    popsicle.sort_unstable();
    popsicle.dedup();
    popsicle
}

/// A file's name without its folders and its ending.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

fn is_popsicle_file(path: &str) -> bool {
    path.strip_prefix(POPSICLE_DIR)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| {
            !name.contains('/')
                && [".yml", ".yaml"].iter().any(|ending| {
                    name.strip_suffix(ending)
                        .is_some_and(|stem| !stem.is_empty())
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popsicle_files_come_first_all_of_them_and_by_name() {
        let paths = [
            "README.md",
            ".circleci/config.yml",
            ".popsicle/test.yaml",
            ".popsicle/notes.txt",
            ".popsicle/sub/deep.yml",
            ".popsicle/.yml",
            ".popsicle/build.yml",
            "docs/.popsicle/x.yml",
        ];
        assert_eq!(
            select(paths),
            [".popsicle/build.yml", ".popsicle/test.yaml"]
        );
    }

    #[test]
    fn circleci_is_next_and_yml_before_yaml() {
        let both = [".circleci/config.yaml", ".circleci/config.yml", "a.yml"];
        assert_eq!(select(both), [".circleci/config.yml"]);
        assert_eq!(
            select([".circleci/config.yaml", ".circleci/other.yml"]),
            [".circleci/config.yaml"]
        );
        assert!(select(["circleci/config.yml", "ci.yml"]).is_empty());
    }

    #[test]
    fn a_stem_is_the_name_alone() {
        assert_eq!(stem(".popsicle/lint.yml"), "lint");
        assert_eq!(stem("a.b.yaml"), "a.b");
        assert_eq!(stem(".yml"), ".yml");
    }
}
