//! Orbs: how they come to be at hand, what pins them, and pipelines that use them.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::routing::post;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Ci, Repo, Told, cli_in, has_machine_jobs};

const ORB: &str = "
version: 2.1
commands:
  greet:
    parameters: {to: {type: string, default: you}}
    steps: [run: {name: Greet, command: 'echo hello << parameters.to >>'}]
";

const CONFIG: &str = "
version: 2.1
parameters: {nightly: {type: boolean, default: false}}
orbs: {hello: acme/hello@1}
jobs:
  build: {machine: true, steps: [hello/greet: {to: world}]}
  release: {machine: true, steps: [run: make]}
  cleanup: {type: no-op}
workflows:
  main:
    jobs:
      - build
      - hold: {type: approval, requires: [build]}
      - release: {requires: [hold], filters: {branches: {only: main}}}
      - cleanup: {requires: [{release: [failed]}]}
  nightly:
    when: << pipeline.parameters.nightly >>
    jobs: [release]
";

/// A project, and a store beside it.
struct Place {
    repo: Repo,
    store: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            repo: Repo::with(&[(".circleci/config.yml", CONFIG)]),
            store: tempfile::tempdir().expect("a folder can be made"),
        }
    }

    async fn run(&self, args: &[&str]) -> Told {
        self.run_in(self.repo.path(), args).await
    }

    async fn run_in(&self, folder: &Path, args: &[&str]) -> Told {
        let mut all = args.to_vec();
        let store = self.store.path().display().to_string();
        if matches!(args[0], "orb" | "config") {
            all.extend(["--orb-store", &store]);
        }
        cli_in(folder, &all).await
    }

    /// Adds the orb from a file.
    async fn add(&self) {
        let orb = self.store.path().join("orb.txt");
        fs::write(&orb, ORB).expect("a file can be written");
        let orb = orb.display().to_string();
        let added = self.run(&["orb", "add", "acme/hello@1.2.0", &orb]).await;
        assert_eq!(added.code, Some(0), "{added:?}");
    }
}

fn json(told: &Told) -> Value {
    serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"))
}

#[tokio::test]
async fn an_orb_that_was_added_is_found() {
    let place = Place::new();
    let lacking = place.run(&["config", "validate", "--json"]).await;
    assert_eq!(lacking.code, Some(2), "{lacking:?}");
    let report = json(&lacking);
    assert_eq!(report["orbs_missing"], json!(["acme/hello@1"]));
    let found = &report["diagnostics"][0];
    assert_eq!(found["kind"], "orb_not_at_hand");
    assert_eq!(found["path"], ".circleci/config.yml");
    assert_eq!((&found["line"], &found["column"]), (&json!(4), &json!(15)));

    place.add().await;
    let valid = place.run(&["config", "validate"]).await;
    assert_eq!(valid.code, Some(0), "{valid:?}");
    let listed = place.run(&["orb", "list"]).await;
    assert_snapshot!(listed.stdout, @"
    acme/hello@1.2.0  store
    needed: acme/hello@1, which is acme/hello@1.2.0
    ");
    // A folder that somebody names for this once is looked in first.
    let other = tempfile::tempdir().expect("a folder can be made");
    let folder = other.path().join("acme");
    fs::create_dir(&folder).expect("a folder can be made");
    fs::write(folder.join("hello@1.0.0.yml"), ORB).expect("a file can be written");
    let other = other.path().display().to_string();
    let listed = place
        .run(&["orb", "list", "--json", "--orbs", &other])
        .await;
    assert_eq!(json(&listed)["needed"][0]["found"], "acme/hello@1.0.0");
}

#[tokio::test]
async fn what_is_no_orb_is_not_taken() {
    let place = Place::new();
    place.repo.write("list.yml", b"- not\n- an orb\n");
    for (reference, file, said) in [
        ("acme/hello@1.0.0", "list.yml", "an orb is a map"),
        ("acme/hello@1.0.0", "none.yml", "could not read `none.yml`"),
        ("acme/hello@1", "list.yml", "an orb is a map"),
        ("../hello@1.0.0", "list.yml", "its name must be"),
        ("acme/hello@1.0.0", ".", "is no orb's source"),
    ] {
        let told = place.run(&["orb", "add", reference, file]).await;
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(told.stderr.contains(said), "{said}: {told:?}");
    }
    place.add().await;
    place
        .repo
        .write("other.yml", b"version: 2.1\ncommands: {}\n");
    let changed = place
        .run(&["orb", "add", "acme/hello@1.2.0", "other.yml"])
        .await;
    assert_eq!(changed.code, Some(2), "{changed:?}");
    assert!(changed.stderr.contains("does not change"), "{changed:?}");
}

#[tokio::test]
async fn what_is_missing_is_named_with_its_mend() {
    let place = Place::new();
    let lacking = place.run(&["config", "validate"]).await;
    assert_eq!(lacking.code, Some(2), "{lacking:?}");
    assert_snapshot!(lacking.stderr, @"
    error: the orb `acme/hello@1` is not at hand
      .circleci/config.yml:4:15
    4 │ orbs: {hello: acme/hello@1}
      │               ^^^^^^^^^^^^ `popsicle orb add acme/hello@1` fetches it, and `popsicle orb vendor` then brings it along with the project

    .circleci/config.yml: 1 error
    ");
    place.add().await;
    let config = CONFIG.replace("hello@1", "hello@3.1");
    place.repo.write(".circleci/config.yml", config.as_bytes());
    let old = place.run(&["config", "validate"]).await;
    assert_eq!(old.code, Some(2), "{old:?}");
    assert!(
        old.stderr
            .contains("`acme/hello@3.1` is not at hand; its versions here: 1.2.0"),
        "{old:?}"
    );
    assert!(
        old.stderr.contains("`popsicle orb add acme/hello@3.1`"),
        "{old:?}"
    );
    let escaping = CONFIG.replace("acme/hello@1", "../../etc/passwd@1.0.0");
    place
        .repo
        .write(".circleci/config.yml", escaping.as_bytes());
    let refused = place.run(&["config", "validate"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("its name must be `namespace/orb`"),
        "{refused:?}"
    );
    place.repo.write(".circleci/config.yml", CONFIG.as_bytes());

    for (lock, said) in [
        (
            "acme/hello@1 2.0.0 sha256:00",
            "line 1 of the lock file of orbs pins",
        ),
        (
            "../hello@1 1.0.0 sha256:00",
            "line 1 of the lock file of orbs is wrong",
        ),
        ("\u{1}\0", "line 1 of the lock file of orbs is not"),
    ] {
        place.repo.write(".popsicle/orbs.lock", lock.as_bytes());
        for command in [["config", "validate"], ["orb", "vendor"], ["orb", "list"]] {
            let refused = place.run(&command).await;
            assert_eq!(refused.code, Some(2), "{refused:?}");
            assert!(refused.stderr.contains(said), "{said}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn an_orb_that_leads_to_itself_is_refused() {
    let place = Place::new();
    let orb = |imports: &str| format!("version: 2.1\norbs: {{other: {imports}}}\ncommands: {{}}\n");
    place
        .repo
        .write("own.yml", orb("acme/hello@1.0.0").as_bytes());
    let own = place
        .run(&["orb", "add", "acme/hello@1.0.0", "own.yml"])
        .await;
    assert_eq!(own.code, Some(2), "{own:?}");
    assert!(own.stderr.contains("imports itself"), "{own:?}");

    place.repo.write("one.yml", orb("acme/other@1").as_bytes());
    place
        .repo
        .write("other.yml", orb("acme/hello@1").as_bytes());
    let one = place
        .run(&["orb", "add", "acme/hello@1.0.0", "one.yml"])
        .await;
    assert_eq!(one.code, Some(0), "{one:?}");
    assert!(
        one.stderr
            .contains("`popsicle orb add acme/other@1` fetches it"),
        "{one:?}"
    );
    place
        .run(&["orb", "add", "acme/other@1.0.0", "other.yml"])
        .await;
    let round = place.run(&["config", "validate"]).await;
    assert_eq!(round.code, Some(2), "{round:?}");
    assert!(
        round
            .stderr
            .contains("the orb `acme/hello@1` imports itself"),
        "{round:?}"
    );
    let vendored = place.run(&["orb", "vendor"]).await;
    assert_eq!(vendored.code, Some(2), "{vendored:?}");
    assert!(!place.repo.path().join(".popsicle/orbs.lock").exists());
}

#[tokio::test]
async fn an_orb_by_its_address_is_kept_and_pinned_like_others() {
    let place = Place::new();
    let address = "https://orbs.example.com/hello.yml";
    let config = CONFIG.replace("acme/hello@1", address);
    place.repo.write(".circleci/config.yml", config.as_bytes());
    place.repo.write("orb.yml", ORB.as_bytes());
    let added = place.run(&["orb", "add", address, "orb.yml"]).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let vendored = place.run(&["orb", "vendor"]).await;
    assert_eq!(vendored.code, Some(0), "{vendored:?}");
    fs::remove_dir_all(place.store.path().join("@url")).expect("the store can be emptied");
    let listed = place.run(&["orb", "list"]).await;
    assert_snapshot!(listed.stdout, @"
    https://orbs.example.com/hello.yml  project
    needed: https://orbs.example.com/hello.yml
    ");
    let lock = fs::read_to_string(place.repo.path().join(".popsicle/orbs.lock"));
    let lock = lock.expect("it was written");
    assert!(lock.contains(&format!("\n{address} - sha256:")), "{lock}");
}

#[tokio::test]
async fn an_unpacked_orb_is_packed() {
    let place = Place::new();
    place.repo.write("src/@orb.yml", b"version: 2.1\n");
    place.repo.write(
        "src/commands/greet.yml",
        b"parameters: {to: {type: string}}\nsteps:\n  - run: <<include(scripts/greet.sh)>>\n",
    );
    place.repo.write("src/scripts/greet.sh", b"echo packed\n");
    let added = place.run(&["orb", "add", "acme/hello@1.3.0", "."]).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let processed = place.run(&["config", "process"]).await;
    assert!(processed.stdout.contains("echo packed"), "{processed:?}");
}

#[tokio::test]
async fn a_registry_is_asked_for_what_is_not_in_a_file() {
    let place = Place::new();
    let answer = json!({"data": {"orbVersion": {"version": "1.2.7", "source": ORB}}}).to_string();
    let app = Router::new().route(
        "/graphql",
        post(async move |asked: String| {
            assert!(asked.contains("acme/hello@1"), "{asked}");
            answer.clone()
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{address}/graphql");
    let add = ["orb", "add", "acme/hello@1", "--orb-registry-url", &url];
    let added = place.run(&add).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(
        added.stdout.starts_with("acme/hello@1.2.7 is in "),
        "{added:?}"
    );
    server.abort();
    let _ = server.await;
    let refused = place.run(&add).await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused.stderr.contains("takes the orb from a file"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_project_that_brings_its_orbs_along_needs_no_store() {
    let place = Place::new();
    let lacking = place.run(&["orb", "vendor"]).await;
    assert_eq!(lacking.code, Some(2), "{lacking:?}");
    place.add().await;
    let vendored = place.run(&["orb", "vendor"]).await;
    assert_snapshot!(vendored.stdout, @"acme/hello@1 is acme/hello@1.2.0");
    fs::remove_dir_all(place.store.path().join("acme")).expect("the store can be emptied");
    let valid = place.run(&["config", "validate"]).await;
    assert_eq!(valid.code, Some(0), "{valid:?}");

    // Of another text, nobody knows what it does.
    let orb = ".popsicle/orbs/acme/hello@1.2.0.yml";
    let changed = ORB.replace("hello <<", "goodbye <<");
    place.repo.write(orb, changed.as_bytes());
    let refused = place.run(&["config", "validate"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("is not what `.popsicle/orbs.lock` pins"),
        "{refused:?}"
    );
    let relocked = place.run(&["orb", "vendor", "--relock"]).await;
    assert_eq!(relocked.code, Some(0), "{relocked:?}");
    let valid = place.run(&["config", "validate"]).await;
    assert_eq!(valid.code, Some(0), "{valid:?}");

    // What a merge leaves in a lock file is mended by what its error says.
    place.repo.write(".popsicle/orbs.lock", b"<<<<<<< HEAD\n");
    let broken = place.run(&["config", "validate"]).await;
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(
        broken.stderr.contains("`popsicle orb vendor --relock`"),
        "{broken:?}"
    );
    let relocked = place.run(&["orb", "vendor", "--relock"]).await;
    assert_eq!(relocked.code, Some(0), "{relocked:?}");
}

#[tokio::test]
async fn what_is_imported_later_has_to_be_pinned_too() {
    let place = Place::new();
    place.add().await;
    place.run(&["orb", "vendor"]).await;
    place.repo.write("orb.yml", ORB.as_bytes());
    for orb in ["acme/other@1.0.0", "acme/hello@1.4.0"] {
        let added = place.run(&["orb", "add", orb, "orb.yml"]).await;
        assert_eq!(added.code, Some(0), "{added:?}");
    }
    let config = CONFIG.replace(
        "hello: acme/hello@1",
        "hello: acme/hello@1, other: acme/other@1",
    );
    place.repo.write(".circleci/config.yml", config.as_bytes());
    let refused = place.run(&["config", "validate"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_snapshot!(refused.stderr, @"
    error: the orb `acme/other@1` is not pinned by `.popsicle/orbs.lock`: acme/other@1.0.0 is in this machine's store, and elsewhere it may be another
      .circleci/config.yml:4:36
    4 │ orbs: {hello: acme/hello@1, other: acme/other@1}
      │                                    ^^^^^^^^^^^^ `popsicle orb vendor` pins it, and brings it along with the project

    .circleci/config.yml: 1 error
    ");
    let vendored = place.run(&["orb", "vendor"]).await;
    assert_eq!(vendored.code, Some(0), "{vendored:?}");
    assert_snapshot!(vendored.stdout, @"
    acme/hello@1 is acme/hello@1.2.0
    acme/other@1 is acme/other@1.0.0
    ");
    let valid = place.run(&["config", "validate"]).await;
    assert_eq!(valid.code, Some(0), "{valid:?}");

    // What nothing imports any more goes, so that the folder is what the lock file says.
    place.repo.write(".circleci/config.yml", CONFIG.as_bytes());
    let anew = place.run(&["orb", "vendor", "--relock"]).await;
    assert_eq!(anew.code, Some(0), "{anew:?}");
    assert_snapshot!(format!("{}{}", anew.stdout, anew.stderr), @"
    acme/hello@1 is acme/hello@1.4.0
    removed acme/hello@1.2.0, which nothing imports
    removed acme/other@1.0.0, which nothing imports
    1 orb in .popsicle/orbs, pinned in .popsicle/orbs.lock; commit both
    ");
    let listed = place.run(&["orb", "list"]).await;
    assert!(
        !listed.stdout.contains("acme/other@1.0.0  project"),
        "{listed:?}"
    );

    // A config that is wrong may import more than can be told.
    place.repo.write(
        ".circleci/config.yml",
        b"version: 2.1\norbs: {hello: acme/hello@1}\njobs: 1\n",
    );
    let wrong = place.run(&["orb", "list"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(
        wrong
            .stdout
            .contains("needed: acme/hello@1, which is acme/hello@1.4.0"),
        "{wrong:?}"
    );
    assert!(wrong.stderr.contains("`jobs` must be a map"), "{wrong:?}");
}

#[tokio::test]
async fn a_pipeline_uses_the_orbs_of_its_commit_and_no_others() {
    if !has_machine_jobs().await {
        return;
    }
    let place = Place::new();
    let ci = Ci::start().await;
    let config = CONFIG.replace("      - hold", "      # hold").replace(
        "      - release: {requires: [hold], filters: {branches: {only: main}}}\n      - cleanup: {requires: [{release: [failed]}]}\n",
        "",
    );
    let repo = &place.repo;
    repo.commit("Ask for less", &[(".circleci/config.yml", &config)]);
    let lacking = ci.push(repo).await;
    assert!(ci.settled(lacking).await.contains("pipeline failure"));
    let reason = ci.pipeline(lacking).await["reason"].to_string();
    assert!(
        reason.contains("the orb `acme/hello@1` is not at hand"),
        "{reason}"
    );

    place.add().await;
    let vendored = place.run(&["orb", "vendor"]).await;
    assert_eq!(vendored.code, Some(0), "{vendored:?}");
    repo.commit_all("Bring orbs along");
    let good = ci.push(repo).await;
    let ended = ci.settled(good).await;
    assert!(ended.contains("pipeline success"), "{ended}");
    assert!(ci.log(good, "build").await.contains("hello world"));

    let changed = ORB.replace("hello <<", "goodbye <<");
    repo.write(".popsicle/orbs/acme/hello@1.2.0.yml", changed.as_bytes());
    repo.commit_all("Change an orb behind the lock's back");
    let refused = ci.push(repo).await;
    ci.settled(refused).await;
    let reason = ci.pipeline(refused).await["reason"].to_string();
    assert!(
        reason.contains("is not what `.popsicle/orbs.lock` pins"),
        "{reason}"
    );

    // Here and now, the same holds.
    let refused = cli_in(repo.path(), &["run"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(
        told.contains("is not what `.popsicle/orbs.lock` pins"),
        "{told}"
    );
    repo.write(".popsicle/orbs/acme/hello@1.2.0.yml", ORB.as_bytes());
    let ran = cli_in(repo.path(), &["run"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");

    // And with a folder of orbs for this once.
    fs::remove_dir_all(repo.path().join(".popsicle")).expect("it was vendored");
    let orbs = place.store.path().display().to_string();
    let ran = cli_in(repo.path(), &["run", "--orbs", &orbs, "--branch", "try"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn a_config_is_looked_into_before_it_runs() {
    let place = Place::new();
    place.add().await;
    let graph = place.run(&["config", "graph"]).await;
    assert_snapshot!(graph.stdout, @"
    main
      build
      hold (waits for an approval)  after build
      release                       after hold
      cleanup (does nothing)        after release (failure or error)
    ");
    let drawn = place.run(&["config", "graph", "--format", "mermaid"]).await;
    assert_snapshot!(drawn.stdout, @r#"
    flowchart LR
      subgraph w0 ["main"]
        w0j0["build"]
        w0j1{{"hold"}}
        w0j2["release"]
        w0j3(["cleanup"])
        w0j0 --> w0j1
        w0j1 --> w0j2
        w0j2 -->|"failure or error"| w0j3
      end
    "#);
    let drawn = place
        .run(&["config", "graph", "--format", "dot", "--branch", "try"])
        .await;
    assert_snapshot!(drawn.stdout, @r#"
    digraph {
      rankdir=LR;
      node [shape=box];
      subgraph cluster_0 {
        label="main";
        w0j0 [label="build"];
        w0j1 [label="hold", shape=hexagon];
        w0j0 -> w0j1;
      }
    }
    "#);
    let all = place.run(&["config", "explain", "release"]).await;
    let branch = place
        .run(&["config", "explain", "release", "--branch", "try"])
        .await;
    let tag = place
        .run(&["config", "explain", "build", "--tag", "v1"])
        .await;
    let nightly = [
        "config",
        "explain",
        "release",
        "--param",
        "nightly=true",
        "--branch",
        "main",
    ];
    let nightly = place.run(&nightly).await;
    let wrong = place.run(&["config", "explain", "relaese"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert_snapshot!(
        [all.stdout, branch.stdout, tag.stdout, nightly.stdout, wrong.stderr].join("---\n"), @"
        workflow `main`: job `release` runs after hold
          no condition stands before its workflow
          `hold` runs after build, and waits for an approval
          `build` runs at once
        workflow `nightly`: job `release` does not run
          the workflow does not run: its condition does not hold
        ---
        workflow `main`: job `release` does not run
          its filters leave out the branch `try`
          `hold` runs after build, and waits for an approval
          `build` runs at once
        workflow `nightly`: job `release` does not run
          the workflow does not run: its condition does not hold
        ---
        workflow `main`: job `build` does not run
          it has no filter for tags, and `v1` is a tag
        ---
        workflow `main`: job `release` runs after hold
          its filters let the branch `main` pass
          `hold` runs after build, and waits for an approval
          `build` runs at once
        workflow `nightly`: job `release` runs at once
          the workflow runs: its condition holds
        ---
        error: no workflow has a job `relaese`
        hint: did you mean `release`?
        ");
    let report = place
        .run(&["config", "explain", "cleanup", "--json", "--branch", "try"])
        .await;
    let report = json(&report);
    assert_eq!(
        (&report[0]["runs"], &report[0]["why"][0]),
        (&json!(false), &json!("nothing that it requires runs"))
    );
    assert_eq!(report[0]["required"][0]["job"], "release");
    let report = json(&place.run(&["config", "graph", "--json"]).await);
    let hold = json!({"job": "hold", "kind": "approval",
        "requires": [{"job": "build", "outcomes": ["success"]}]});
    assert_eq!(report[0]["jobs"][1], hold);
    for format in ["text", "mermaid", "dot"] {
        place.repo.write("bad.yml", b"version: 2.1\njobs: 1\n");
        let bad = place
            .run(&["config", "graph", "bad.yml", "--format", format])
            .await;
        assert_eq!((bad.code, bad.stdout.as_str()), (Some(2), ""), "{bad:?}");
    }
}

#[tokio::test]
async fn no_name_breaks_out_of_a_graph() {
    let place = Place::new();
    place.repo.write(
        ".circleci/config.yml",
        br##"
version: 2.1
jobs:
  build: {machine: true, steps: [run: make]}
workflows:
  'a "b" \ <c>':
    jobs:
      - build: {name: 'x"]; y --> z #1 `d`'}
      - build: {requires: ['x"]; y --> z #1 `d`']}
"##,
    );
    let mut drawn = String::new();
    for format in ["text", "mermaid", "dot"] {
        let told = place.run(&["config", "graph", "--format", format]).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        drawn.push_str(&told.stdout);
    }
    assert_snapshot!(drawn, @r#"
    a "b" \ <c>
      x"]; y --> z #1 `d`
      build                after x"]; y --> z #1 `d`
    flowchart LR
      subgraph w0 ["a #34;b#34; \ #60;c#62;"]
        w0j0["x#34;]; y --#62; z #35;1 #96;d#96;"]
        w0j1["build"]
        w0j0 --> w0j1
      end
    digraph {
      rankdir=LR;
      node [shape=box];
      subgraph cluster_0 {
        label="a \"b\" \\ <c>";
        w0j0 [label="x\"]; y --> z #1 `d`"];
        w0j1 [label="build"];
        w0j0 -> w0j1;
      }
    }
    "#);
}

#[tokio::test]
async fn a_processed_config_means_the_same() {
    let place = Place::new();
    place.add().await;
    let processed = place.run(&["config", "process"]).await;
    assert_eq!(processed.code, Some(0), "{processed:?}");
    assert!(!processed.stdout.contains("hello/greet"), "{processed:?}");
    place
        .repo
        .write("processed.yml", processed.stdout.as_bytes());
    // Without a store, because it imports nothing any more.
    fs::remove_dir_all(place.store.path().join("acme")).expect("the store can be emptied");
    let again = place.run(&["config", "process", "processed.yml"]).await;
    assert_eq!(again.stdout, processed.stdout);

    place
        .repo
        .write(".popsicle/a.yml", processed.stdout.as_bytes());
    let other = processed.stdout.replace("main:", "other:");
    place.repo.write(".popsicle/b.yml", other.as_bytes());
    let both = place.run(&["config", "process"]).await;
    let documents: Vec<&str> = both
        .stdout
        .lines()
        .filter(|line| line.starts_with('#'))
        .collect();
    assert_eq!(documents, ["# .popsicle/a.yml", "# .popsicle/b.yml"]);
    assert_eq!(both.stdout.matches("---\n").count(), 2);
    let written = place
        .run(&["config", "process", "--out", "processed/.popsicle"])
        .await;
    assert_eq!(written.code, Some(0), "{written:?}");
    let read_back = place.run(&["config", "process", "processed"]).await;
    assert_eq!(read_back.stdout, both.stdout);
}
