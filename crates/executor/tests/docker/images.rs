//! Images that are not there yet.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::PushImageOptionsBuilder;
use executor::{ExecutorError, Exit, Place};
use futures_util::StreamExt;
use model::ImageAuth;
use tokio::process::{Child, Command};

use super::world::{BOUND, World, world};

/// A registry of this machine's, ended with the test.
struct Registry {
    host: String,
    /// With what it is pushed to.
    account: Option<DockerCredentials>,
    _process: Child,
}

/// The account of a private registry, and its line of a file of htpasswd's.
const USERNAME: &str = "popsicle";
const PASSWORD: &str = "sesame-84";
const HTPASSWD: &str = "popsicle:$2y$05$abcdefghijklmnopqrstuuwH0XTz9is857mFrAFw6hGHXelwUFMwO\n";

impl Registry {
    /// Starts one; `None` where the program is not installed.
    async fn start(world: &World) -> Option<Self> {
        Self::started(world, "", None).await
    }

    /// One that asks for an account.
    async fn private(world: &World) -> Option<Self> {
        let passwords = world.folder().join("htpasswd");
        fs::write(&passwords, HTPASSWD).unwrap();
        let auth = format!(
            "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            passwords.display()
        );
        let account = DockerCredentials {
            username: Some(USERNAME.to_owned()),
            password: Some(PASSWORD.to_owned()),
            ..DockerCredentials::default()
        };
        Self::started(world, &auth, Some(account)).await
    }

    async fn started(
        world: &World,
        auth: &str,
        account: Option<DockerCredentials>,
    ) -> Option<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let config = world.folder().join("registry.yml");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{auth}",
            world.folder().join("registry").display()
        );
        fs::write(&config, text).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env_remove("PORT")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = started else {
            tests::skip("no docker-registry");
            return None;
        };
        listens(address).await;
        Some(Self {
            host: address.to_string(),
            account,
            _process: process,
        })
    }

    /// Gives the registry a copy of the world's image, of which the daemon then knows nothing.
    async fn hold(&self, world: &World) -> String {
        let repository = format!("{}/{}", self.host, world.namespace);
        let name = format!("{repository}:1");
        world.name(&world.image, &name).await;
        let options = PushImageOptionsBuilder::default().tag("1").build();
        let mut events = world
            .docker
            .push_image(&repository, Some(options), self.account.clone());
        while let Some(event) = events.next().await {
            event.unwrap();
        }
        world.forget(&name).await;
        world.forget(&world.image).await;
        name
    }
}

async fn listens(address: SocketAddr) {
    let deadline = tokio::time::Instant::now() + BOUND;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the registry did not start"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_absent_image_is_pulled_once_for_all_who_want_it() {
    world(async |world| {
        let Some(registry) = Registry::start(world).await else {
            return;
        };
        let name = registry.hold(world).await;
        let executor = world.executor();
        let jobs = [(); 3].map(|()| world.job("echo ran").of(&name));
        let exits = futures_util::future::join_all(jobs.iter().map(|job| job.run(&executor))).await;
        assert_eq!(exits, [Exit::Code(0); 3]);
        let logs = jobs.each_ref().map(|job| job.log());
        let pulled = logs.iter().filter(|log| log.contains("Pulled ")).count();
        assert_eq!(pulled, 1, "{logs:?}");
        let log = logs.iter().find(|log| log.contains("Pulled ")).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines[0], format!("Pulling image {name}"));
        let pulled = lines[lines.len() - 2];
        assert!(
            pulled.starts_with(&format!("Pulled {name} (sha256:")),
            "{log}"
        );
        assert!(pulled.contains(" MB) in "), "{log}");
        assert_eq!(lines[lines.len() - 1], "ran");

        let again = world.job("echo ran").of(&name);
        assert_eq!(again.run(&executor).await, Exit::Code(0));
        assert_eq!(again.log(), "ran\n");
    })
    .await;
}

#[tokio::test]
async fn an_image_that_no_one_has_is_the_jobs_fault() {
    world(async |world| {
        let Some(registry) = Registry::start(world).await else {
            return;
        };
        let there = registry.hold(world).await;
        let executor = world.executor();
        let untagged = there.trim_end_matches(":1");
        for name in [
            format!("{}/never/made:1", registry.host),
            format!("{untagged}:2"),
        ] {
            let job = world.job("").of(&name);
            let error = job.launch(&executor).await.unwrap_err();
            assert!(matches!(error, ExecutorError::Rejected(_)), "{error}");
            let error = error.to_string();
            assert!(
                error.contains(&format!("`{name}`")) && error.contains("check"),
                "{error}"
            );
        }
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_none_is_the_jobs_fault() {
    world(async |world| {
        for name in ["", "Not A Name", "../containers", "a:b:c"] {
            let job = world.job("").of(name);
            let error = job.launch(&world.executor()).await.unwrap_err();
            assert!(matches!(error, ExecutorError::Rejected(_)), "{error}");
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_is_away_is_not_the_jobs_fault() {
    world(async |world| {
        let job = world.job("").of("127.0.0.1:1/away/image:1");
        let error = job.launch(&world.executor()).await.unwrap_err();
        assert!(
            matches!(error, ExecutorError::Unavailable { .. }),
            "{error}"
        );
        let error = error.to_string();
        assert!(error.contains("`127.0.0.1:1/away/image:1`"), "{error}");
        assert!(error.contains("refused"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_private_image_is_pulled_with_the_account_that_its_job_names() {
    world(async |world| {
        let Some(registry) = Registry::private(world).await else {
            return;
        };
        let name = registry.hold(world).await;
        let executor = world.executor();
        let with = |password: &str| {
            let mut job = world.job("echo ran").of(&name);
            if let Place::Container(spec) = &mut job.launch.place {
                spec.auth = Some(ImageAuth::Registry {
                    username: USERNAME.to_owned(),
                    password: password.to_owned(),
                });
            }
            job
        };
        for job in [world.job("echo ran").of(&name), with("wrong-77")] {
            let error = job.launch(&executor).await.unwrap_err();
            assert!(matches!(error, ExecutorError::Rejected(_)), "{error}");
            let told = format!("{error} {}", job.log());
            assert!(told.contains(&name) && !told.contains("wrong-77"), "{told}");
        }
        let job = with(PASSWORD);
        assert_eq!(job.run(&executor).await, Exit::Code(0));
        assert!(job.log().ends_with("ran\n"), "{}", job.log());
        assert!(!job.log().contains(PASSWORD), "{}", job.log());
    })
    .await;
}
