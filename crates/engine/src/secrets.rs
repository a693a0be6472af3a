//! Secrets: kept for people, and given to the jobs that may have them.

use std::fmt;
use std::sync::Arc;

use model::{ContextName, SecretOwner, SecretValue, Timestamp, VariableName};
use store::{Claim, Keyring, Nonce, Secret, Store, StoreError};

use crate::{EngineError, World};

/// How much the variables of one job may take together, in bytes: what Linux takes for a whole
/// environment is some times that.
const MOST_BYTES: usize = 256 << 10;

/// The secrets of projects and contexts. Clones are of the same.
#[derive(Clone, Debug)]
pub struct Secrets {
    store: Store,
    keys: Arc<Keyring>,
    world: Arc<dyn World>,
}

/// A variable as people see it, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its number, in the order in which they were first set.
    pub id: i64,
    /// Its name.
    pub name: VariableName,
    /// What tells its value from others, as CircleCI shows it: `xxxx1234`. None where it can't be
    /// decrypted any more.
    pub hint: Option<String>,
    /// When it was first set.
    pub created: Timestamp,
    /// When its value was last set.
    pub updated: Timestamp,
}

/// What a job is given.
#[derive(Clone, Default)]
pub(crate) struct Grant {
    /// The variables, later ones winning.
    pub(crate) variables: Vec<(String, String)>,
    /// What of it is kept from the job, and why: a line for its log.
    pub(crate) withheld: Option<String>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.variables.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// Why a job gets nothing, and must not run.
#[derive(Debug)]
pub(crate) enum NoGrant {
    /// It asks for what it may not have, or for more than it can; the words are for people.
    Refused(String),
    /// What it is to have can't be read.
    Unreadable(StoreError),
}

impl From<StoreError> for NoGrant {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

impl Secrets {
    pub(crate) fn new(store: Store, keys: Keyring, world: Arc<dyn World>) -> Self {
        Self {
            store,
            keys: Arc::new(keys),
            world,
        }
    }

    /// Sets a variable of a project or a context; whether it is new.
    ///
    /// # Errors
    /// Where there is no such context, no key, or too many variables.
    pub async fn set(
        &self,
        owner: &SecretOwner,
        name: &VariableName,
        value: &SecretValue,
    ) -> Result<bool, EngineError> {
        let now = self.world.now();
        let set = self
            .store
            .set_secret(owner, name, value, &self.keys, self.nonce(), now);
        Ok(set.await?)
    }

    /// The variables of a project or a context, in the order in which they were first set.
    ///
    /// # Errors
    /// Where there is no such context.
    pub async fn list(&self, owner: &SecretOwner) -> Result<Vec<SecretInfo>, EngineError> {
        let secrets = self.store.secrets(owner).await?;
        let info = |secret: Secret| SecretInfo {
            hint: secret.open(&self.keys).ok().map(|value| value.hint()),
            id: secret.id,
            name: secret.name,
            created: secret.created,
            updated: secret.updated,
        };
        Ok(secrets.into_iter().map(info).collect())
    }

    /// At start: encrypts with the newest key what is encrypted with an older one, and says what there is
    /// no key for.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let resealed = self
            .store
            .reseal_secrets(&self.keys, || self.nonce())
            .await?;
        if resealed > 0 {
            tracing::info!(secrets = resealed, "encrypted again with the newest key");
        }
        for (key, secrets) in self.store.secret_keys().await? {
            if !self.keys.ids().any(|known| known == key) {
                tracing::error!(
                    key,
                    secrets,
                    "these secrets are encrypted with a key that this server does not have, and jobs that need them fail; give it that key back beside its own, or set them again"
                );
            }
        }
        Ok(())
    }

    /// What a job is given: the project's variables, then those of its contexts.
    pub(crate) async fn grant(&self, claim: &Claim) -> Result<Grant, NoGrant> {
        let trigger = &claim.pipeline.trigger;
        let (project, contexts) = (&trigger.repo, &claim.spec.contexts);
        let withheld = |line: String| Grant {
            variables: Vec::new(),
            withheld: Some(line),
        };
        if self.keys.is_empty() {
            // Nobody can have set any: this is no server but one run of one folder.
            return Ok(match contexts.as_slice() {
                [] => Grant::default(),
                names => withheld(format!(
                    "warning: contexts are kept by a server; the job runs without the variables of {}",
                    quoted(names)
                )),
            });
        }
        let of_project = self
            .store
            .secrets(&SecretOwner::Project(project.clone()))
            .await?;
        if trigger.is_from_fork() {
            if of_project.is_empty() && contexts.is_empty() {
                return Ok(Grant::default());
            }
            return Ok(withheld(
                "this pull request comes from a fork: its jobs get no secrets of the project and of contexts"
                    .to_owned(),
            ));
        }
        let mut secrets = of_project;
        for name in contexts {
            secrets.extend(self.of_context(claim, name).await?);
        }
        let mut variables = Vec::with_capacity(secrets.len());
        for secret in secrets {
            let value = secret.open(&self.keys)?;
            variables.push((secret.name.to_string(), String::from(value)));
        }
        let bytes: usize = variables
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > MOST_BYTES {
            return Err(NoGrant::Refused(format!(
                "the variables of the project and of the job's contexts take {bytes} bytes together; a job can have {MOST_BYTES}"
            )));
        }
        Ok(Grant {
            variables,
            withheld: None,
        })
    }

    async fn of_context(&self, claim: &Claim, name: &str) -> Result<Vec<Secret>, NoGrant> {
        let project = &claim.pipeline.trigger.repo;
        let missing = || {
            NoGrant::Refused(format!(
                "unauthorized: there is no context `{name}`; `popsicle context create` makes one"
            ))
        };
        let name: ContextName = name.parse().map_err(|_| missing())?;
        let context = match self.store.context(&name).await {
            Ok(context) => context,
            Err(error) if error.is_not_found() => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        if !context.is_open_to(project) {
            return Err(NoGrant::Refused(format!(
                "unauthorized: `{project}` is none of the projects that may use the context `{name}`"
            )));
        }
        match self.store.secrets(&SecretOwner::Context(name)).await {
            Ok(secrets) => Ok(secrets),
            // Deleted in this very moment.
            Err(error) if error.is_not_found() => Err(missing()),
            Err(error) => Err(error.into()),
        }
    }

    /// What was given to an attempt, encrypted, for the server that may come after this one.
    pub(crate) fn seal(&self, values: &[u8], of: &str) -> Result<Vec<u8>, StoreError> {
        self.keys.seal(values, of, self.nonce())
    }

    /// What [`Secrets::seal`] gave for the same thing.
    pub(crate) fn open(&self, sealed: &[u8], of: &str) -> Result<Vec<u8>, store::CantOpen> {
        self.keys.open(sealed, of)
    }

    /// Bytes of two random UUIDs; six bits of each are no news.
    fn nonce(&self) -> Nonce {
        let mut nonce = Nonce::default();
        let (first, second) = (self.world.uuid(), self.world.uuid());
        nonce[..16].copy_from_slice(first.0.as_bytes());
        nonce[16..].copy_from_slice(&second.0.as_bytes()[8..]);
        nonce
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
