//! What the templates of cache keys stand for in a job; `config` reads them.

use std::collections::HashMap;

use config::KeyPart;

/// The longest key, in bytes, once it is filled in: CircleCI's limit.
pub(super) const LONGEST: usize = 900;

/// What a template is filled in with.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    pub(super) branch: String,
    pub(super) revision: String,
    pub(super) build_number: String,
    /// What the job's environment has; of two of a name, the later one.
    pub(super) variables: HashMap<String, String>,
    /// The digests of the files that templates name.
    pub(super) checksums: HashMap<String, String>,
    /// Milliseconds since 1970.
    pub(super) epoch_ms: i64,
}

impl Values {
    /// The key that a template stands for; what has no value is left out.
    ///
    /// # Errors
    /// Where it is too long.
    pub(super) fn fill(&self, parts: &[KeyPart]) -> Result<String, String> {
        let mut key = String::new();
        for part in parts {
            match part {
                KeyPart::Text(text) => key.push_str(text),
                KeyPart::Branch => key.push_str(&self.branch),
                KeyPart::Revision => key.push_str(&self.revision),
                KeyPart::BuildNumber => key.push_str(&self.build_number),
                // The server checks out, with credentials of its own.
                KeyPart::CheckoutKey => {}
                KeyPart::Environment(name) => {
                    key.push_str(self.variables.get(name).map_or("", |value| value));
                }
                KeyPart::Checksum(file) => {
                    key.push_str(self.checksums.get(file).map_or("", |sum| sum));
                }
                KeyPart::Epoch { rounded_to_ms } => key.push_str(&self.epoch_s(*rounded_to_ms)),
                KeyPart::Arch => key.push_str(&arch()),
            }
        }
        if key.len() > LONGEST {
            return Err(format!(
                "the key is longer than {LONGEST} bytes: `{}…`",
                &key[..key.floor_char_boundary(80)]
            ));
        }
        Ok(key)
    }

    fn epoch_s(&self, rounded_to_ms: Option<u64>) -> String {
        let step = rounded_to_ms.map_or(1, |step| i64::try_from(step).unwrap_or(i64::MAX).max(1));
        let rounded_ms = self.epoch_ms - self.epoch_ms.rem_euclid(step);
        (rounded_ms / 1000).to_string()
    }
}

/// The machine's kind, in CircleCI's words.
fn arch() -> String {
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("arch1-{}-{cpu}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(values: &Values, template: &str) -> Result<String, String> {
        values.fill(&config::key_parts(template).unwrap())
    }

    #[test]
    fn a_template_is_filled_in() {
        let values = Values {
            branch: "main".to_owned(),
            revision: "abc".to_owned(),
            build_number: "9".to_owned(),
            variables: HashMap::from([("X".to_owned(), "x".to_owned())]),
            checksums: HashMap::from([("a b/c.lock".to_owned(), "sum".to_owned())]),
            epoch_ms: 7_201_500,
        };
        let template = "v1-{{ .Branch }}-{{.Revision}}-{{ .BuildNum }}-{{ .Environment.X }}-\
                        {{ .Environment.Y }}{{ checksum \"a b/c.lock\" }}-{{ epoch }}{{ .CheckoutKey }}";
        assert_eq!(fill(&values, template).unwrap(), "v1-main-abc-9-x-sum-7201");
        let rounded = fill(&values, "{{ epoch | round \"1h\" }}");
        assert_eq!(rounded.unwrap(), "7200");
        let arch = fill(&values, "{{ arch }}").unwrap();
        assert!(arch.starts_with("arch1-linux-"), "{arch}");
    }

    #[test]
    fn a_key_that_is_too_long_is_told() {
        let values = Values::default();
        assert!(fill(&values, &"x".repeat(LONGEST)).is_ok());
        let why = fill(&values, &"x".repeat(LONGEST + 1)).unwrap_err();
        assert!(why.contains("900 bytes"), "{why}");
    }
}
