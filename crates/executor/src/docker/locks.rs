//! A lock per key, there only while somebody holds it or waits for it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

type Lock = tokio::sync::Mutex<()>;

/// The locks, by key.
pub(super) struct Locks<K>(Mutex<HashMap<K, Weak<Lock>>>);

impl<K: Eq + Hash + Clone> Locks<K> {
    /// Waits for the lock of `key`, in order of asking.
    pub(super) async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        self.get(key).lock_owned().await
    }

    /// Whether somebody holds the lock of `key`.
    pub(super) fn is_locked(&self, key: &K) -> bool {
        self.get(key).try_lock().is_err()
    }

    fn get(&self, key: &K) -> Arc<Lock> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(Lock::default());
        locks.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> fmt::Debug for Locks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holder_a_key_and_nothing_kept() {
        let locks = Locks::default();
        let held = locks.lock(&1).await;
        assert!(locks.is_locked(&1));
        assert!(!locks.is_locked(&2));
        drop(held);
        assert!(!locks.is_locked(&1));
        let _two = locks.lock(&2).await;
        let _three = locks.lock(&3).await;
        assert_eq!(locks.0.lock().unwrap().len(), 2);
    }
}
