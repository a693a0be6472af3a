//! The program under test: built once, from what lies in the work tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cargo_metadata::Message;

/// The `popsicle` binary, built into the target folder that the stories were built into.
pub fn popsicle() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in a folder of the repository")
}

fn build() -> PathBuf {
    // <target>/<profile>/deps/stories-<hash>
    let this = std::env::current_exe().expect("a test knows its own path");
    let profile_dir = this
        .parent()
        .and_then(Path::parent)
        .expect("a test lies in its profile's folder");
    let target = profile_dir
        .parent()
        .expect("a profile's folder lies in the target folder");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells this test of its own package, build scripts would take for a change: everything
    // that hangs on them would be built anew each time.
    const OF_THIS_PACKAGE: [&str; 4] = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_CRATE_",
        "CARGO_BIN_",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_str().unwrap_or_default();
        if OF_THIS_PACKAGE
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["build", "--package", "popsicle", "--bin", "popsicle"])
        .args([
            "--profile",
            profile,
            "--message-format",
            "json-render-diagnostics",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "popsicle does not build");
    Message::parse_stream(&output.stdout[..])
        .filter_map(Result::ok)
        .find_map(|message| {
            let Message::CompilerArtifact(artifact) = message else {
                return None;
            };
            artifact.executable
        })
        .expect("cargo names the binary that it built")
        .into()
}
