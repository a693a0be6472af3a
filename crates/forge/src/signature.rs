//! Signatures of deliveries: HMAC-SHA256 over the raw body, in hexadecimal.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Secret;

/// Signs a body: 64 lower-case hexadecimal digits.
pub(crate) fn sign(secret: &Secret, body: &[u8]) -> String {
    hex::encode(mac(secret, body).finalize().into_bytes())
}

/// Whether `signature` is that of `body`, in a time that does not tell how much of it is right.
pub(crate) fn is_right(secret: &Secret, body: &[u8], signature: &[u8]) -> bool {
    mac(secret, body).verify_slice(signature).is_ok()
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair in GitHub's documentation, "Validating webhook deliveries".
    #[test]
    fn signs_as_githubs_documentation_does() {
        let secret = Secret::new("It's a Secret to Everybody");
        let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign(&secret, b"Hello, World!"), signature);
        let signature = hex::decode(signature).unwrap();
        assert!(is_right(&secret, b"Hello, World!", &signature));
        assert!(!is_right(&secret, b"Hello, World?", &signature));
        assert!(!is_right(&secret, b"Hello, World!", &signature[..31]));
        assert!(!is_right(&secret, b"Hello, World!", b""));
    }
}
