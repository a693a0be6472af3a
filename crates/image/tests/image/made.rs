//! Images made for tests, a store to have them in, and a registry to pull them from.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use image::{Held, ImageName, ImageStore, ImageStoreSettings, Puller};
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// How long anything may take before a test fails; nothing here is about time.
pub const BOUND: Duration = Duration::from_secs(60);

pub fn is_root() -> bool {
    let _ = rustls::crypto::ring::default_provider().install_default();
    rustix::process::geteuid().is_root() || tests::skip("only root unpacks images")
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A layer of these files.
pub fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(text.len() as u64);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image's documents and its packed layers.
pub struct Made {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
}

/// An image of these layers, made for that architecture.
pub fn made(layers: &[Vec<u8>], architecture: &str) -> Made {
    let diff_ids = layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"User": "circleci", "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = serde_json::to_vec(&config).unwrap();
    let layers = layers
        .iter()
        .map(|layer| gzipped(layer))
        .collect::<Vec<_>>();
    let described = layers.iter().map(|layer| {
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": digest(layer),
            "size": layer.len(),
        })
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(&config),
            "size": config.len(),
        },
        "layers": described.collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    Made {
        manifest,
        config,
        layers,
    }
}

/// A store in a folder of its own, and what it said.
pub struct World {
    pub folder: TempDir,
    pub store: ImageStore,
    pub said: Mutex<Vec<String>>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut ImageStoreSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = ImageStoreSettings::new(folder.path().join("images"));
        change(&mut settings);
        Self {
            folder,
            store: ImageStore::new(settings),
            said: Mutex::default(),
        }
    }

    pub async fn provide(&self, name: &str) -> Result<Held, image::ImageError> {
        let name = ImageName::parse(name).unwrap();
        let say = |line: &str| self.said.lock().unwrap().push(line.to_owned());
        let provided = self.store.provide(&name, Puller::ThisUser, &say);
        tokio::time::timeout(BOUND, provided).await.unwrap()
    }

    pub fn said(&self, begin: &str) -> usize {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.starts_with(begin)).count()
    }

    pub fn entries(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("images").join(folder));
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

pub fn text(held: &Held, layer: usize, file: &str) -> String {
    fs::read_to_string(held.layers[layer].tree.join(file)).unwrap()
}

/// A registry of this machine's, ended with the test.
pub struct Registry {
    pub host: String,
    process: Child,
    _folder: TempDir,
}

impl Registry {
    /// Starts one; `None` where the program is not installed.
    pub fn start() -> Option<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("registry.yml");
        let kept = folder.path().join("kept");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            kept.display()
        );
        fs::write(&config, text).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env_remove("PORT")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            tests::skip("no docker-registry");
            return None;
        };
        let registry = Self {
            host: address.to_string(),
            process,
            _folder: folder,
        };
        let deadline = Instant::now() + BOUND;
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the registry did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn client() -> Client {
        Client::new(ClientConfig {
            protocol: ClientProtocol::Http,
            ..ClientConfig::default()
        })
    }

    /// Puts an image there under that name.
    pub async fn push(&self, name: &str, made: &Made) -> String {
        let name = format!("{}/{name}", self.host);
        let reference: Reference = name.parse().unwrap();
        let client = Self::client();
        let auth = RegistryAuth::Anonymous;
        let push = oci_client::RegistryOperation::Push;
        client.auth(&reference, &auth, push).await.unwrap();
        for blob in made.layers.iter().chain([&made.config]) {
            let bytes = blob.clone();
            client
                .push_blob(&reference, bytes, &digest(blob))
                .await
                .unwrap();
        }
        self.push_manifest(&name, &made.manifest).await;
        name
    }

    pub async fn push_manifest(&self, name: &str, manifest: &[u8]) {
        let reference: Reference = name.parse().unwrap();
        let kind: serde_json::Value = serde_json::from_slice(manifest).unwrap();
        let kind = kind["mediaType"].as_str().unwrap().parse().unwrap();
        let client = Self::client();
        let pushed = client.push_manifest_raw(&reference, manifest.to_vec(), kind);
        pushed.await.unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An OCI layout of an image, in a folder.
pub fn lay_out(folder: &Path, made: &Made, name: &str) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in made.layers.iter().chain([&made.config, &made.manifest]) {
        let digest = digest(blob);
        fs::write(blobs.join(digest.strip_prefix("sha256:").unwrap()), blob).unwrap();
    }
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion": "1.0.0"}"#,
    )
    .unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(&made.manifest),
        "size": made.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": name},
    }]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}
