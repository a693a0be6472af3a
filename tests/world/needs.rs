//! What a story needs of the machine. Without it the story is skipped, aloud.

use std::process::Command;

use serde_json::Value;
use tests::skip;
use tokio::sync::OnceCell;

use super::ci::cli_in;

/// Whether the native executor runs `machine` jobs here.
pub async fn has_machine_jobs() -> bool {
    static WORKS: OnceCell<bool> = OnceCell::const_new();
    let works = WORKS.get_or_init(async || {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let told = cli_in(folder.path(), &["doctor", "--json"]).await;
        let report: Value = serde_json::from_str(&told.stdout).expect("doctor tells JSON");
        let checks = report["checks"].as_array().expect("doctor has checks");
        let native = checks.iter().find(|check| check["name"] == "native");
        native.is_some_and(|native| native["state"] == "ok")
    });
    *works.await || skip("the native executor does not work here; see `popsicle doctor`")
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
