//! What is kept from jobs: the server's secrets, wherever it has them.

use std::fs;

use crate::world::{Ci, Repo, has_machine_jobs};

#[tokio::test]
async fn no_job_reads_what_the_server_keeps_elsewhere() {
    // An ordinary user has no such place that jobs would see.
    if !rustix::process::geteuid().is_root() || !has_machine_jobs().await {
        return;
    }
    // Not in `/tmp`, of which a job sees nothing at all.
    let place = tempfile::tempdir_in("/var").expect("a folder can be made there");
    let path = |name: &str| place.path().join(name).display().to_string();
    let (config, database, home) = (path("popsicle.toml"), path("ci.db"), path("home"));
    fs::write(&config, "status_context = 'secret-of-the-file'\n").expect("it can be written");
    fs::create_dir(&home).expect("it can be made");
    fs::write(path("home/.netrc"), "secret-of-the-home\n").expect("it can be written");
    fs::write(path("seen"), "seen\n").expect("it can be written");
    let ci = Ci::start_with(&[
        ("POPSICLE_CONFIG", &config),
        ("POPSICLE_DATABASE_URL", &database),
        ("HOME", &home),
    ])
    .await;

    let there = place.path().display();
    let look = format!("cd {there}; cat seen popsicle.toml ci.db*; ls ci.db*; cat home/.netrc");
    let repo = Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: '{look} || echo none'
workflows: {{main: {{jobs: [build]}}}}
"
    ));
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    let missing = "cat: home/.netrc: No such file or directory\n";
    let expected = "seen\nci.db\nci.db-shm\nci.db-wal\nnone\n";
    assert_eq!(log.replace(missing, ""), expected);
}
