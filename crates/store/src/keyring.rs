//! Encryption of what must not lie on the disk in clear.
//!
//! What is sealed is encrypted with XChaCha20-Poly1305, and bound to what it is of: a value that somebody
//! moves to another row can't be opened there. The bytes are the key's id, the nonce and the ciphertext.
//!
//! A keyring has one key that seals and any number that open, so that a key can be replaced: put the new
//! one first, and let the older ones follow until nothing is sealed with them any more.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{Result, StoreError};

/// The shortest text that a key can be made of, in characters.
const LEAST: usize = 32;
/// How long a key's id is, in bytes.
const ID: usize = 8;
/// How long a nonce is, in bytes: long enough that random ones never meet.
const NONCE: usize = 24;

/// A number that is used once; random.
pub type Nonce = [u8; NONCE];

/// A text that no key can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key for secrets must have at least {LEAST} characters without white space; `openssl rand -hex 32` makes one"
)]
pub struct InvalidKey;

/// Why something that was sealed can't be opened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CantOpen(String);

/// The keys that secrets are sealed and opened with.
#[derive(Clone, Default)]
pub struct Keyring(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: [u8; ID],
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// The keys of that text, with white space between them. The first one seals. Each is a random text;
    /// what is made of it is not harder to guess than the text is.
    ///
    /// # Errors
    /// Where there is no key, or one that is too short.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let keys: Vec<Key> = text
            .split_whitespace()
            .map(Key::new)
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(InvalidKey);
        }
        Ok(Self(keys))
    }

    /// Whether it has no key: nothing is kept secret here then.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of the keys, as people and tables have them; the one that seals comes first.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|key| hex::encode(key.id))
    }

    /// Encrypts bytes for what they are of. `nonce` must be random: no two may ever be the same.
    ///
    /// # Errors
    /// Where there is no key.
    pub fn seal(&self, bytes: &[u8], of: &str, nonce: Nonce) -> Result<Vec<u8>> {
        let key = self.0.first().ok_or(StoreError::NoKey)?;
        let payload = Payload {
            msg: bytes,
            aad: of.as_bytes(),
        };
        let encrypted = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::corrupt("value", of, "it is too long to be encrypted"))?;
        Ok([&key.id[..], &nonce, &encrypted].concat())
    }

    /// Decrypts what [`Keyring::seal`] gave for the same thing.
    ///
    /// # Errors
    /// Where its key is not here, or where it is not what was sealed for this.
    pub fn open(&self, sealed: &[u8], of: &str) -> Result<Vec<u8>, CantOpen> {
        let parts = sealed
            .split_first_chunk::<ID>()
            .and_then(|(id, rest)| Some((id, rest.split_first_chunk::<NONCE>()?)));
        let Some((id, (nonce, encrypted))) = parts else {
            return Err(CantOpen("what is stored of it is cut off".to_owned()));
        };
        let Some(key) = self.0.iter().find(|key| &key.id == id) else {
            return Err(CantOpen(format!(
                "it is encrypted with the key {}, which this server does not have: give it that key back beside its own, or set the value again",
                hex::encode(id)
            )));
        };
        let payload = Payload {
            msg: encrypted,
            aad: of.as_bytes(),
        };
        key.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| {
                CantOpen(
                    "what is stored is not what was encrypted for it; set the value again"
                        .to_owned(),
                )
            })
    }
}

/// The id of the key that something was sealed with.
pub(crate) fn key_id(sealed: &[u8]) -> String {
    hex::encode(&sealed[..sealed.len().min(ID)])
}

impl Key {
    fn new(text: &str) -> Result<Self, InvalidKey> {
        if text.chars().count() < LEAST {
            return Err(InvalidKey);
        }
        let derived = |purpose: &str| -> [u8; 32] {
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(text.as_bytes())
                .expect("HMAC takes keys of any length");
            mac.update(purpose.as_bytes());
            mac.finalize().into_bytes().into()
        };
        let mut id = [0; ID];
        id.copy_from_slice(&derived("popsicle secrets 1: id")[..ID]);
        Ok(Self {
            id,
            cipher: XChaCha20Poly1305::new(&derived("popsicle secrets 1: key").into()),
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn keyring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_by_its_key_for_its_own_thing_alone() {
        let sealed = keyring(OLD).seal(b"hunter2", "A", [7; NONCE]).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(keyring(OLD).open(&sealed, "A").unwrap(), b"hunter2");
        for (keys, bytes, of) in [
            (OLD, &sealed[..], "B"),
            (NEW, &sealed[..], "A"),
            (OLD, &sealed[..sealed.len() - 1], "A"),
            (OLD, &sealed[..10], "A"),
        ] {
            assert!(keyring(keys).open(bytes, of).is_err());
        }
    }

    #[test]
    fn a_key_is_replaced_by_putting_another_before_it() {
        let sealed = keyring(OLD).seal(b"x", "A", [1; NONCE]).unwrap();
        let both = keyring(&format!("{NEW}\n{OLD}\n"));
        assert_eq!(both.open(&sealed, "A").unwrap(), b"x");
        let again = both.seal(b"x", "A", [2; NONCE]).unwrap();
        assert_eq!(key_id(&again), keyring(NEW).ids().next().unwrap());
        assert_eq!(keyring(NEW).open(&again, "A").unwrap(), b"x");
    }

    #[test]
    fn keys_are_long_and_never_shown() {
        for bad in ["", " \n", "short", &format!("{OLD} short")] {
            assert_eq!(Keyring::parse(bad).unwrap_err(), InvalidKey, "{bad:?}");
        }
        assert!(!format!("{:?}", keyring(OLD)).contains("0123"));
        let nothing = Keyring::default().seal(b"x", "A", [0; NONCE]);
        assert!(matches!(nothing, Err(StoreError::NoKey)));
    }
}
