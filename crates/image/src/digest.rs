//! Digests: `sha256:` and 64 digits, by which blobs and layers are known.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// The digits of a digest, which may be a file's name; none if it is no SHA-256.
pub(crate) fn digits(digest: &str) -> Option<&str> {
    digest.strip_prefix("sha256:").filter(|digits| {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.len() == 64 && digits.bytes().all(is_digit)
    })
}

/// The digest of these bytes.
pub(crate) fn of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// What is read, counted and digested on the way; an error once it is more than allowed.
#[derive(Debug)]
pub(crate) struct Digesting<R> {
    from: R,
    digest: Sha256,
    left: u64,
}

impl<R: Read> Digesting<R> {
    pub(crate) fn new(from: R, limit: u64) -> Self {
        let digest = Sha256::new();
        Self {
            from,
            digest,
            left: limit,
        }
    }

    /// Reads what is left, and tells the digest of all.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(format!("sha256:{}", hex::encode(self.digest.finalize())))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.digest.update(&into[..read]);
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is too large"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_digests_are_names() {
        let digest = of(b"");
        assert!(digest.starts_with("sha256:e3b0c44298fc1c14"));
        assert_eq!(digits(&digest).map(str::len), Some(64));
        for bad in ["", "sha256:", "sha256:../x", &digest[..70], "sha512:00"] {
            assert_eq!(digits(bad), None, "{bad}");
        }
        assert_eq!(digits(&digest.to_uppercase()), None);
    }

    #[test]
    fn what_is_read_is_digested_to_its_end_and_no_further_than_allowed() {
        let mut reading = Digesting::new(&b"hello"[..], 5);
        let mut two = [0; 2];
        reading.read_exact(&mut two).unwrap();
        assert_eq!(reading.finish().unwrap(), of(b"hello"));
        let error = Digesting::new(&b"hello"[..], 4).finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
