//! Finds references to parameters and pipeline values in texts: `<< parameters.x >>`.

/// What a reference can begin with.
const SCOPES: &[&str] = &["parameters", "pipeline", "matrix", "executor", "include("];

/// Whether a text refers to a parameter or a pipeline value. `\<<` is an escape, and a heredoc
/// (`cat <<EOF`) refers to nothing.
pub(super) fn is_in(text: &str) -> bool {
    text.match_indices("<<").any(|(at, opening)| {
        !text[..at].ends_with('\\') && begins_reference(&text[at + opening.len()..])
    })
}

fn begins_reference(rest: &str) -> bool {
    let Some((inner, _)) = rest.split_once(">>") else {
        return false;
    };
    let inner = inner
        .trim_start()
        .trim_start_matches(['#', '^', '/', '!', '('])
        .trim_start();
    let inner = inner.strip_prefix("not ").unwrap_or(inner).trim_start();
    SCOPES
        .iter()
        .filter_map(|scope| inner.strip_prefix(scope))
        .any(|after| after.starts_with(['.', ')']) || inner.starts_with("include("))
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn tells_references_from_heredocs() {
        for yes in [
            "<< parameters.x >>",
            "echo <<pipeline.number>>",
            "<<# parameters.x >>yes<</ parameters.x >>",
            "a << b <<\tmatrix.os >>",
            "<< include(scripts/x.sh) >>",
            "<< not pipeline.parameters.x >>",
        ] {
            assert!(is_in(yes), "{yes}");
        }
        for no in [
            "cat <<EOF >> file\nparameters.x\nEOF",
            "\\<< parameters.x >>",
            "<<< parameters.x",
            "echo $((1 << 2)) >> x",
            "<<",
        ] {
            assert!(!is_in(no), "{no}");
        }
    }
}
