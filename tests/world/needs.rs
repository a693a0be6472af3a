//! What a story needs of the machine. Without it the story is skipped, aloud.

use std::process::Command;

use serde_json::Value;
use tests::skip;
use tokio::sync::OnceCell;

use super::ci::cli_in;

/// Whether the native executor runs `machine` jobs here.
pub async fn has_machine_jobs() -> bool {
    native().await["state"] == "ok"
        || skip("the native executor does not work here; see `popsicle doctor`")
}

/// Whether that limit (`memory`, `cpu`, `pids`) can be set for `machine` jobs here.
pub async fn can_limit(what: &str) -> bool {
    let found = native().await["found"].as_str().unwrap_or_default();
    let limits = found.split("limits of ").nth(1).unwrap_or_default();
    let limits = limits.split(';').next().unwrap_or_default();
    !limits.contains("can't be set")
        || !limits.contains(what)
        || skip(&format!("{what} can't be limited here: {found}"))
}

/// What `popsicle doctor` says of the native executor.
async fn native() -> &'static Value {
    static NATIVE: OnceCell<Value> = OnceCell::const_new();
    let native = NATIVE.get_or_init(async || {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let told = cli_in(folder.path(), &["doctor", "--json"]).await;
        let report: Value = serde_json::from_str(&told.stdout).expect("doctor tells JSON");
        let checks = report["checks"].as_array().expect("doctor has checks");
        let native = checks.iter().find(|check| check["name"] == "native");
        native.cloned().unwrap_or_default()
    });
    native.await
}

/// Whether a Docker daemon answers, and there is something to make an image of.
pub fn has_docker() -> bool {
    let answers = Command::new("docker").arg("version").output();
    if !answers.is_ok_and(|output| output.status.success()) {
        return skip("no Docker daemon answers");
    }
    if tests::busybox().is_none() {
        return skip("there is no static busybox to make an image of");
    }
    true
}

/// Whether Docker can limit a container's memory here.
pub fn docker_can_limit() -> bool {
    let asked = Command::new("docker")
        .args(["info", "--format", "{{.MemoryLimit}}"])
        .output();
    asked.is_ok_and(|output| output.stdout.trim_ascii() == b"true")
        || skip("Docker can't limit memory here")
}
