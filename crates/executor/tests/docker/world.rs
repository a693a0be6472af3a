//! A small world: a daemon, an image, a namespace of its own, and jobs. It leaves nothing behind.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveImageOptions, TagImageOptionsBuilder,
};
use executor::docker::{DockerExecutor, DockerSettings};
use executor::{Executor, ExecutorError, Exit, JobDir, Launch, Limits, Place};
use futures_util::{FutureExt, StreamExt};
use model::{AttemptKey, ImageSpec};
use tempfile::TempDir;
use tests::skip;

/// A bound on everything that is waited for.
pub const BOUND: Duration = Duration::from_secs(60);

pub struct World {
    pub docker: Docker,
    pub namespace: String,
    /// Of busybox, run as root, with a user `circleci` in it.
    pub image: String,
    root: TempDir,
    /// The names given to images.
    images: Mutex<Vec<String>>,
}

/// Runs a test in a world of its own, and takes that away however the test went.
pub async fn world(test: impl AsyncFnOnce(&World)) {
    let made = match World::make().await {
        Ok(made) => made,
        Err(reason) => {
            skip(&reason);
            return;
        }
    };
    let went = AssertUnwindSafe(test(&made)).catch_unwind().await;
    made.unmake().await;
    if let Err(panic) = went {
        resume_unwind(panic);
    }
}

impl World {
    async fn make() -> Result<Self, String> {
        let docker = Docker::connect_with_defaults().map_err(|error| error.to_string())?;
        docker
            .ping()
            .await
            .map_err(|error| format!("no daemon: {error}"))?;
        if tests::busybox().is_none() {
            return Err("no static busybox to make images of".to_owned());
        }
        let namespace = format!("popsicle-test-{}", unique());
        let world = Self {
            image: format!("localhost/popsicle-test/busybox:{}", unique()),
            docker,
            namespace,
            root: tempfile::tempdir().map_err(|error| error.to_string())?,
            images: Mutex::default(),
        };
        world.import(&world.image, busybox(), &[]).await;
        Ok(world)
    }

    async fn unmake(&self) {
        for container in self.containers().await {
            let options = RemoveContainerOptionsBuilder::default()
                .force(true)
                .v(true)
                .build();
            let _ = self
                .docker
                .remove_container(&container, Some(options))
                .await;
        }
        let images = self.images.lock().unwrap().clone();
        for image in images {
            self.forget(&image).await;
        }
    }

    /// The ids of all containers of this world's namespace.
    pub async fn containers(&self) -> Vec<String> {
        let label = format!("popsicle.namespace={}", self.namespace);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", vec![label])]))
            .build();
        let deadline = tokio::time::Instant::now() + BOUND;
        let containers = loop {
            match self.docker.list_containers(Some(options.clone())).await {
                // Of a container that is just ending, Podman tells a state that is not in the API.
                Err(bollard::errors::Error::JsonDataError { .. })
                    if tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                containers => break containers.unwrap(),
            }
        };
        containers
            .into_iter()
            .filter_map(|container| container.id)
            .collect()
    }

    /// Makes an image of a root file system, with changes in the words of a Dockerfile.
    pub async fn import(&self, name: &str, root: Vec<u8>, changes: &[&str]) {
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .changes(changes.iter().map(|change| (*change).to_owned()).collect())
            .build();
        let body = bollard::body_full(root.into());
        let mut events = self.docker.create_image(Some(options), Some(body), None);
        let mut id = None;
        while let Some(event) = events.next().await {
            id = event.unwrap().status.or(id);
        }
        // Named only now, because Podman takes no name with an import.
        self.name(&id.unwrap(), name).await;
    }

    /// Gives an image another name, for as long as the world is there.
    pub async fn name(&self, image: &str, name: &str) {
        self.images.lock().unwrap().push(name.to_owned());
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag);
        let options = Some(options.build());
        self.docker.tag_image(image, options).await.unwrap();
    }

    /// A name for an image that goes away with the world.
    pub fn image_name(&self, name: &str) -> String {
        format!("localhost/popsicle-test/{name}:{}", self.namespace)
    }

    /// Busybox with changes in the words of a Dockerfile.
    pub async fn changed(&self, name: &str, changes: &[&str]) -> String {
        let name = self.image_name(name);
        self.import(&name, busybox(), changes).await;
        name
    }

    /// Takes an image's name from the daemon, and the image if that was its last.
    pub async fn forget(&self, image: &str) {
        let _ = self
            .docker
            .remove_image(image, None::<RemoveImageOptions>, None)
            .await;
    }

    pub fn settings(&self) -> DockerSettings {
        DockerSettings {
            namespace: self.namespace.clone(),
            ..DockerSettings::default()
        }
    }

    pub fn executor(&self) -> DockerExecutor {
        DockerExecutor::new(self.settings())
    }

    /// A folder that goes away with the world.
    pub fn folder(&self) -> &Path {
        self.root.path()
    }

    /// A job of that script, in this world's image. Like the engine's, it leaves its exit code.
    pub fn job(&self, script: &str) -> Job {
        let attempt = format!("{}.1", unique_uuid());
        let key: AttemptKey = attempt.parse().unwrap();
        let dir = JobDir::new(self.root.path(), key);
        dir.create().unwrap();
        let script = format!("trap 'echo $? >/.popsicle/exit' EXIT\n{script}");
        fs::write(dir.script(), script).unwrap();
        Job {
            dir,
            launch: Launch {
                place: Place::Container(ImageSpec {
                    image: self.image.clone(),
                    ..ImageSpec::default()
                }),
                services: Vec::new(),
                working_directory: "~/project".to_owned(),
                environment: Vec::new(),
                limits: Limits::default(),
                anonymous: false,
            },
        }
    }
}

pub struct Job {
    pub dir: JobDir,
    pub launch: Launch,
}

impl Job {
    pub fn of(mut self, image: &str) -> Self {
        self.spec().image = image.to_owned();
        self
    }

    pub fn user(mut self, user: &str) -> Self {
        self.spec().user = Some(user.to_owned());
        self
    }

    pub fn within(mut self, limits: Limits) -> Self {
        self.launch.limits = limits;
        self
    }

    fn spec(&mut self) -> &mut ImageSpec {
        match &mut self.launch.place {
            Place::Container(spec) => spec,
            Place::Machine => panic!("this job runs in a container"),
        }
    }

    pub async fn launch(&self, executor: &DockerExecutor) -> Result<(), ExecutorError> {
        bounded(executor.launch(&self.dir, &self.launch)).await
    }

    pub async fn wait(&self, executor: &DockerExecutor) -> Result<Exit, ExecutorError> {
        bounded(executor.wait(&self.dir)).await
    }

    /// Launches, waits, and removes.
    pub async fn run(&self, executor: &DockerExecutor) -> Exit {
        self.launch(executor).await.unwrap();
        let exit = self.wait(executor).await.unwrap();
        bounded(executor.remove(&self.dir)).await.unwrap();
        exit
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.log()).unwrap()).into_owned()
    }

    /// Waits until the log has that text.
    pub async fn says(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + BOUND;
        while !self.log().contains(text) {
            let now = tokio::time::Instant::now();
            assert!(now < deadline, "no `{text}` in {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Answers a script that waits, as the engine does.
    pub async fn answer(&self, line: &str) {
        let (fifo, line) = (self.dir.answer(), format!("{line}\n"));
        let answered = tokio::task::spawn_blocking(move || {
            let mut fifo = fs::OpenOptions::new().write(true).open(fifo)?;
            fifo.write_all(line.as_bytes())
        });
        bounded(answered).await.unwrap().unwrap();
    }
}

pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future)
        .await
        .expect("it took too long")
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A word that no other test, now or earlier, has.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{:x}-{}-{}", now.as_millis(), std::process::id(), number())
}

fn unique_uuid() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (process, number) = (std::process::id(), number());
    format!(
        "{process:08x}-0000-4000-8000-{:012x}",
        now.as_micros() as u64 * 64 % (1 << 48) + number
    )
}

/// A root file system with busybox and two users.
pub fn busybox() -> Vec<u8> {
    let program = fs::read(tests::busybox().unwrap()).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = |path: &str, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes).unwrap();
    };
    file("bin/busybox", 0o755, &program);
    file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\ncircleci:x:1001:1002::/home/circleci:/bin/sh\n",
    );
    file("etc/group", 0o644, b"root:x:0:\ncircleci:x:1002:\n");
    // Each world's image is its own, so that none is ever half-present in another's way.
    file("etc/world", 0o644, unique().as_bytes());
    for (path, mode, uid, gid) in [
        ("root/", 0o700, 0, 0),
        ("tmp/", 0o1777, 0, 0),
        ("home/circleci/", 0o755, 1001, 1002),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_size(0);
        archive
            .append_data(&mut header, path, std::io::empty())
            .unwrap();
    }
    for applet in [
        "cat", "chmod", "echo", "head", "id", "kill", "ln", "ls", "mkdir", "ps", "pwd", "readlink",
        "seq", "sh", "sleep", "stat", "tail", "touch", "true", "wc",
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive
            .append_link(&mut header, PathBuf::from("bin").join(applet), "busybox")
            .unwrap();
    }
    archive.into_inner().unwrap()
}
