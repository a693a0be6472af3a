//! `save_cache` and `restore_cache`: files that later jobs of a project find by a key.
//!
//! What a pull request of a fork saves is anyone's work, so only that pull request reads it. It reads what
//! the project itself has saved, too, but can't change it: a cache never changes.

use std::collections::HashMap;
use std::time::Instant;

use config::KeyPart;
use executor::archive::Kind;
use model::{FaultKind, GitRef, Trigger};
use store::{Cache, CachePart, Digest, NewCache};

use super::super::{environment, given};
use super::files::{Amount, Put, count, pack, size, took};
use super::key::Values;
use super::{Asked, Problem, Said};
use crate::persist::{Patience, persist};

/// The scope of all that a project's own branches and tags save.
const PROJECT: &str = "";

impl Asked {
    pub(super) async fn save_cache(&self, key: &str, paths: &[String]) -> Result<Said, Problem> {
        let begun = Instant::now();
        let key = self.fill(key).await?;
        let repo = self.claim.pipeline.trigger.repo.clone();
        let scope = own_scope(&self.claim.pipeline.trigger);
        let has_cache = persist("a look for a cache", Patience::Endless, || {
            self.shared.store.has_cache(&repo, &scope, &key)
        });
        if has_cache.await? {
            return Ok(vec![format!(
                "There is a cache of the key `{key}` already, and a cache never changes: nothing is saved"
            )]);
        }
        let mut said = Vec::new();
        let mut parts = Vec::new();
        let mut amount = Amount::default();
        let mut room = self.room();
        for path in paths {
            let blobs = self.shared.blobs.clone();
            let packed = self.take_within(room, path, move |source| pack(source, &blobs));
            let Some(packed) = packed.await? else {
                said.push(format!("warning: there is nothing at `{path}`"));
                continue;
            };
            room = packed.room;
            amount.files += packed.amount.files;
            amount.bytes += packed.amount.bytes;
            parts.push(CachePart {
                path: path.clone(),
                blob: packed.blob,
            });
        }
        if parts.is_empty() {
            said.push("Nothing is saved".to_owned());
            return Ok(said);
        }
        let packed: u64 = parts.iter().map(|part| part.blob.bytes).sum();
        let limit = self.shared.settings.cache_limit_bytes;
        if packed > limit {
            said.push(format!(
                "warning: the cache `{key}` is {} packed, and all caches together may be {} on this server (`cache_limit`): nothing is saved",
                size(packed),
                size(limit)
            ));
            return Ok(said);
        }
        self.settle().await?;
        let cache = NewCache {
            repo,
            scope,
            key,
            parts,
        };
        let stored = persist("a cache", Patience::Endless, || {
            let now = self.shared.world.now();
            self.shared.store.add_cache(&cache, now)
        })
        .await?;
        let key = &cache.key;
        said.push(if stored {
            format!(
                "Saved the cache `{key}`: {}, {} ({} packed), in {}",
                count(amount.files, "file"),
                size(amount.bytes),
                size(packed),
                took(begun)
            )
        } else {
            format!("Another job has saved the cache `{key}` meanwhile: nothing is saved")
        });
        self.evict(&cache).await?;
        Ok(said)
    }

    pub(super) async fn restore_cache(&self, keys: &[String]) -> Result<Said, Problem> {
        let begun = Instant::now();
        let mut said = Vec::new();
        for template in keys {
            let key = self.fill(template).await?;
            let Some(cache) = self.find(&key).await? else {
                said.push(format!("No cache is found for the key `{key}`"));
                continue;
            };
            if !self.lay_out(&cache).await? {
                // Another job may save it anew.
                persist("the end of a cache", Patience::Endless, || {
                    self.shared.store.drop_cache(&cache)
                })
                .await?;
                said.push(format!(
                    "warning: the cache `{}` was evicted meanwhile, or this server's disk has damaged it: it is dropped",
                    cache.key
                ));
                continue;
            }
            let packed: u64 = cache.parts.iter().map(|part| part.blob.bytes).sum();
            said.push(format!(
                "Restored the cache `{}` of {}: {} packed, in {}",
                cache.key,
                cache.created,
                size(packed),
                took(begun)
            ));
            return Ok(said);
        }
        // A cache is no promise: the job goes on without it.
        Ok(said)
    }

    /// Puts all of a cache where it belongs; false if not all of it is there, or not as it was saved.
    async fn lay_out(&self, cache: &Cache) -> Result<bool, Problem> {
        // All of it before any: it may be evicted at any moment.
        let mut files = Vec::new();
        for part in &cache.parts {
            let Some(file) = self.open(&part.blob).await? else {
                return Ok(false);
            };
            if file.metadata()?.len() != part.blob.bytes {
                return Ok(false);
            }
            files.push(file);
        }
        for (part, file) in cache.parts.iter().zip(files) {
            if let Put::Damaged(why) = self.put(&part.path, file).await? {
                tracing::error!(digest = %part.blob.digest, why, "a blob is damaged");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The newest cache that the key finds: the pull request's own, else the project's.
    async fn find(&self, key: &str) -> Result<Option<Cache>, Problem> {
        let trigger = &self.claim.pipeline.trigger;
        let own = own_scope(trigger);
        for scope in [own.as_str(), PROJECT] {
            let found = persist("the use of a cache", Patience::Endless, || {
                let now = self.shared.world.now();
                let store = &self.shared.store;
                store.find_cache(&trigger.repo, scope, key, now)
            });
            let found = found.await?;
            if found.is_some() || own == PROJECT {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Makes room for what was saved, where there are too many caches.
    async fn evict(&self, saved: &NewCache) -> Result<(), Problem> {
        let limit = self.shared.settings.cache_limit_bytes;
        let unnamed = persist("an eviction of caches", Patience::Endless, || {
            self.shared.store.evict_caches(saved, limit)
        })
        .await?;
        let blobs = self.shared.blobs.clone();
        self.blocking(move || {
            for digest in unnamed {
                blobs.remove(&digest)?;
            }
            Ok(())
        })
        .await
    }

    /// The key that a template stands for in this job.
    async fn fill(&self, template: &str) -> Result<String, Problem> {
        let parts = config::key_parts(template).map_err(Problem::Users)?;
        let trigger = &self.claim.pipeline.trigger;
        let branch = trigger.git_ref.as_ref().map(GitRef::short);
        let commit = trigger.commit.as_ref().map(ToString::to_string);
        let mut values = Values {
            branch: branch.unwrap_or_default().to_owned(),
            revision: commit.unwrap_or_default(),
            build_number: self.claim.job.id.to_string(),
            variables: self.variables().await?,
            checksums: HashMap::new(),
            epoch_ms: self.shared.world.now().as_millis(),
        };
        for part in &parts {
            if let KeyPart::Checksum(file) = part {
                let sum = self.checksum(file).await?;
                values.checksums.insert(file.clone(), sum);
            }
        }
        values.fill(&parts).map_err(Problem::Users)
    }

    /// The job's environment, with what of it is secret.
    async fn variables(&self) -> Result<HashMap<String, String>, Problem> {
        let (secrets, dir) = (self.shared.secrets.clone(), self.dir.clone());
        let given = move || {
            given::variables(&secrets, &dir).map_err(|why| Problem::Ours(FaultKind::Storage, why))
        };
        let given = self.blocking(given).await?;
        let public_url = self.shared.settings.public_url.as_deref();
        let variables = environment::variables(&self.claim, public_url, given);
        Ok(variables.into_iter().collect())
    }

    /// The digest of a file in the job.
    async fn checksum(&self, file: &str) -> Result<String, Problem> {
        let digest = self.take(file, |source| {
            let mut digest = None;
            source.each(|name, kind, entry| {
                if kind == Kind::File && name.as_os_str().is_empty() {
                    let sum = Digest::of(entry);
                    let failed = |error: std::io::Error| {
                        Problem::Ours(FaultKind::Executor, error.to_string())
                    };
                    digest = Some(sum.map_err(failed)?);
                }
                Ok(())
            })?;
            Ok(digest)
        });
        match digest.await?.flatten() {
            Some(digest) => Ok(digest.to_string()),
            None => Err(Problem::Users(format!(
                "the key asks for the checksum of `{file}`, and there is no such file"
            ))),
        }
    }
}

/// Where what this pipeline saves can be read.
fn own_scope(trigger: &Trigger) -> String {
    match &trigger.pull_request {
        Some(pull_request) if pull_request.from_fork => format!("pull/{}", pull_request.number),
        Some(_) | None => PROJECT.to_owned(),
    }
}
