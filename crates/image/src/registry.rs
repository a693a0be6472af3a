//! One registry's answers: documents and blobs, asked for again where something went wrong on the way.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::Client;
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE, OciDescriptor,
};
use oci_client::secrets::RegistryAuth;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::document::{DOCUMENT_BYTES, Descriptor};
use crate::{ImageError, ImageName, ImageStoreSettings};

/// How often anything is asked for.
const TRIES: u32 = 4;
/// How long to wait before the second try; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The registry of one image.
pub(crate) struct Registry<'a> {
    name: &'a ImageName,
    client: Client,
    auth: RegistryAuth,
}

impl fmt::Debug for Registry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What went wrong, and whether it may go better another time.
struct Trouble {
    error: ImageError,
    may_pass: bool,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(
        name: &'a ImageName,
        auth: RegistryAuth,
        settings: &ImageStoreSettings,
    ) -> Self {
        let registry = name.reference().resolve_registry();
        let is_plain = name.is_local()
            || settings
                .plain_http
                .iter()
                .any(|plain| plain == registry || plain == name.registry());
        let client = Client::new(ClientConfig {
            protocol: if is_plain {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            read_timeout: Some(settings.patience),
            connect_timeout: Some(CONNECT_TIMEOUT.min(settings.patience)),
            user_agent: concat!("popsicle/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        Self { name, client, auth }
    }

    /// The manifest or index of the image, or the manifest of that digest; and its digest.
    pub(crate) async fn manifest(
        &self,
        digest: Option<&str>,
    ) -> Result<(Vec<u8>, String), ImageError> {
        let reference = match digest {
            Some(digest) => self.name.reference().clone_with_digest(digest.to_owned()),
            None => self.name.reference().clone(),
        };
        let kinds = [
            OCI_IMAGE_MEDIA_TYPE,
            OCI_IMAGE_INDEX_MEDIA_TYPE,
            IMAGE_MANIFEST_MEDIA_TYPE,
            IMAGE_MANIFEST_LIST_MEDIA_TYPE,
        ];
        let mut tries = Tries::default();
        loop {
            let pulled = self
                .client
                .pull_manifest_raw(&reference, &self.auth, &kinds)
                .await;
            match pulled {
                Ok((text, digest)) => return Ok((text.to_vec(), digest)),
                Err(error) => tries.pause(self.trouble(&error)).await?,
            }
        }
    }

    /// A small blob.
    pub(crate) async fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let mut tries = Tries::default();
        loop {
            match self.document_once(descriptor).await {
                Ok(text) => return Ok(text),
                Err(trouble) => tries.pause(trouble).await?,
            }
        }
    }

    async fn document_once(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Trouble> {
        let of = oci_descriptor(descriptor);
        let pulled = self
            .client
            .pull_blob_stream(self.name.reference(), &of)
            .await;
        let mut stream = pulled.map_err(|error| self.trouble(&error))?;
        let mut text = Vec::new();
        while let Some(chunk) = stream.next().await {
            text.extend_from_slice(&chunk.map_err(|error| self.cut_short(&error))?);
            if text.len() as u64 > descriptor.size.min(DOCUMENT_BYTES) {
                return Err(self.lies(descriptor, "it is larger"));
            }
        }
        self.check(descriptor, text.len() as u64, &crate::digest::of(&text))?;
        Ok(text)
    }

    /// Brings a blob into the file `part`, which may hold its beginning already. `received` counts the bytes.
    pub(crate) async fn download(
        &self,
        descriptor: &Descriptor,
        part: &Path,
        received: &AtomicU64,
    ) -> Result<(), ImageError> {
        let (mut mine, mut tries) = (0_u64, Tries::default());
        loop {
            let downloaded = self.download_once(descriptor, part, |bytes| {
                // Another layer counts there too; and a download that begins anew counts back.
                received.fetch_add(bytes.wrapping_sub(mine), Ordering::Relaxed);
                mine = bytes;
            });
            match downloaded.await {
                Ok(()) => return Ok(()),
                Err(trouble) => tries.pause(trouble).await?,
            }
        }
    }

    async fn download_once(
        &self,
        descriptor: &Descriptor,
        part: &Path,
        mut tell: impl FnMut(u64),
    ) -> Result<(), Trouble> {
        let at = |cause| Trouble {
            error: ImageError::io(part)(cause),
            may_pass: false,
        };
        let (mut file, mut digest, mut have) = begun(part).await.map_err(at)?;
        if have > descriptor.size {
            (digest, have) = (Sha256::new(), 0);
            file.set_len(0).await.map_err(at)?;
        }
        tell(have);
        if have < descriptor.size {
            let of = oci_descriptor(descriptor);
            let reference = self.name.reference();
            let response = if have == 0 {
                let stream = self.client.pull_blob_stream(reference, &of).await;
                stream.map(BlobResponse::Full)
            } else {
                self.client
                    .pull_blob_stream_partial(reference, &of, have, None)
                    .await
            };
            let mut stream = match response.map_err(|error| self.trouble(&error))? {
                BlobResponse::Partial(stream) => stream,
                BlobResponse::Full(stream) => {
                    (digest, have) = (Sha256::new(), 0);
                    file.set_len(0).await.map_err(at)?;
                    stream
                }
            };
            while let Some(chunk) = stream.next().await {
                let chunk = match chunk {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        file.flush().await.map_err(at)?;
                        return Err(self.cut_short(&error));
                    }
                };
                have += chunk.len() as u64;
                if have > descriptor.size {
                    return Err(self.lies(descriptor, "it is larger"));
                }
                digest.update(&chunk);
                file.write_all(&chunk).await.map_err(at)?;
                tell(have);
            }
            file.flush().await.map_err(at)?;
        }
        let digest = format!("sha256:{}", hex::encode(digest.finalize()));
        let checked = self.check(descriptor, have, &digest);
        if checked.is_err() && have == descriptor.size {
            // None of it is of use.
            file.set_len(0).await.map_err(at)?;
        }
        checked
    }

    fn check(&self, descriptor: &Descriptor, bytes: u64, digest: &str) -> Result<(), Trouble> {
        if bytes < descriptor.size {
            let mut trouble = self.lies(descriptor, &format!("it has {bytes} bytes"));
            trouble.may_pass = true;
            Err(trouble)
        } else if digest != descriptor.digest {
            // A proxy may have broken it; the next answer may be whole.
            let mut trouble = self.lies(descriptor, &format!("its digest is {digest}"));
            trouble.may_pass = true;
            Err(trouble)
        } else {
            Ok(())
        }
    }

    fn lies(&self, descriptor: &Descriptor, how: &str) -> Trouble {
        let (given, registry) = (self.name.given(), self.name.registry());
        let Descriptor { digest, size, .. } = descriptor;
        Trouble {
            error: ImageError::Rejected(format!(
                "image `{given}` can't be used: `{registry}` sends something else than its manifest names \
                 ({digest}, {size} bytes): {how}"
            )),
            may_pass: false,
        }
    }

    fn cut_short(&self, error: &io::Error) -> Trouble {
        if let Some(oci_client::errors::DigestError::VerificationError { expected, actual }) =
            error.get_ref().and_then(|inner| inner.downcast_ref())
        {
            let (given, registry) = (self.name.given(), self.name.registry());
            return Trouble {
                error: ImageError::Rejected(format!(
                    "image `{given}` can't be used: `{registry}` sends something else than its manifest \
                     names: its digest is {actual} instead of {expected}"
                )),
                may_pass: true,
            };
        }
        self.unavailable(chain(error))
    }

    fn unavailable(&self, cause: String) -> Trouble {
        let (given, registry) = (self.name.given(), self.name.registry());
        Trouble {
            error: ImageError::Unavailable {
                what: format!("could not pull image `{given}` from `{registry}`"),
                cause,
            },
            may_pass: true,
        }
    }

    fn trouble(&self, error: &OciDistributionError) -> Trouble {
        let (given, registry) = (self.name.given(), self.name.registry());
        let rejected = |why: &str| Trouble {
            error: ImageError::Rejected(format!(
                "image `{given}` can't be pulled from `{registry}`: {why}; check its name and tag, and if it \
                 is private, that this machine may read it"
            )),
            may_pass: false,
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not a registry's refusal is all alike"
        )]
        match error {
            OciDistributionError::UnauthorizedError { .. } => rejected("it is not for us"),
            // The library says this for each answer but a good one: it may be the account that is wrong, or the
            // server that is down for a moment.
            OciDistributionError::AuthenticationFailure(why) => {
                let why: String = why.trim().chars().take(200).collect();
                Trouble {
                    may_pass: true,
                    ..rejected(&format!("it gives us no access: {why}"))
                }
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let busy = envelope
                    .errors
                    .iter()
                    .any(|error| matches!(error.code, OciErrorCode::Toomanyrequests));
                let words = envelope.errors.iter().map(|error| {
                    let word = format!("{:?}", error.code).to_lowercase();
                    if error.message.is_empty() {
                        word
                    } else {
                        error.message.clone()
                    }
                });
                let words = words.collect::<Vec<_>>().join(", ");
                if busy {
                    self.unavailable(words)
                } else {
                    rejected(&words)
                }
            }
            OciDistributionError::ServerError { code, message, .. }
                if (400..500).contains(code) && ![408, 425, 429].contains(code) =>
            {
                let message: String = message.trim().chars().take(200).collect();
                rejected(&format!("{code} {message}"))
            }
            OciDistributionError::ServerError { code, .. } => {
                self.unavailable(format!("it answers {code}"))
            }
            OciDistributionError::DigestError(error) => {
                rejected(&format!("it sends something else than it says: {error}"))
            }
            OciDistributionError::IoError(error) => self.cut_short(error),
            error => self.unavailable(chain(error)),
        }
    }
}

/// How often something has been asked for.
#[derive(Debug, Default)]
struct Tries(u32);

impl Tries {
    /// Waits until it may go better; the trouble itself where it won't, or enough was waited.
    async fn pause(&mut self, trouble: Trouble) -> Result<(), ImageError> {
        self.0 += 1;
        if !trouble.may_pass || self.0 >= TRIES {
            return Err(trouble.error);
        }
        tracing::debug!(error = %trouble.error, "a registry is asked again");
        tokio::time::sleep(PAUSE * 2_u32.pow(self.0 - 1)).await;
        Ok(())
    }
}

/// A file with the beginning of a blob: its digest so far, and its size.
async fn begun(part: &Path) -> io::Result<(tokio::fs::File, Sha256, u64)> {
    let mut file = tokio::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(part)
        .await?;
    let (mut digest, mut have) = (Sha256::new(), 0);
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok((file, digest, have));
        }
        digest.update(&chunk[..read]);
        have += read as u64;
    }
}

fn oci_descriptor(descriptor: &Descriptor) -> OciDescriptor {
    OciDescriptor {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.clone(),
        size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// An error with all that caused it, and nothing twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
