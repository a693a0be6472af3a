//! One value that is neither list nor map, and what YAML 1.1 takes it for.
//!
//! CircleCI reads YAML 1.1 (snakeyaml), where unquoted `yes`, `on` and their like are booleans. Here
//! a scalar keeps its text, so that `3.10` stays `3.10` where a text is wanted, and is asked for what
//! it is where something else is wanted.

/// A scalar as it is written, escapes and folding resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Not quoted, no block, not tagged `!!str`: may be more than text.
    pub(crate) plain: bool,
}

impl Scalar {
    /// YAML 1.1's null: nothing at all, `~`, `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// YAML 1.1's booleans, of which snakeyaml leaves out `y` and `n`
    /// (<https://yaml.org/type/bool.html>).
    pub(crate) fn as_bool(&self) -> Option<bool> {
        if !self.plain {
            return None;
        }
        match self.text.as_str() {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        }
    }

    /// Whether YAML takes it for a number.
    pub(crate) fn is_number(&self) -> bool {
        self.plain && self.text.parse::<f64>().is_ok()
    }

    /// What it is, for a message that wanted something else.
    pub(crate) fn describe(&self) -> &'static str {
        if self.is_null() {
            "nothing"
        } else if self.as_bool().is_some() {
            "a boolean"
        } else if self.is_number() {
            "a number"
        } else {
            "a string"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.into(),
            plain: true,
        }
    }

    #[test]
    fn yaml_1_1_words_are_booleans_only_unquoted() {
        for word in ["yes", "On", "TRUE"] {
            assert_eq!(plain(word).as_bool(), Some(true), "{word}");
        }
        for word in ["no", "Off", "FALSE"] {
            assert_eq!(plain(word).as_bool(), Some(false), "{word}");
        }
        for word in ["y", "n", "yEs", "1", "", "truex"] {
            assert_eq!(plain(word).as_bool(), None, "{word}");
        }
        let quoted = Scalar {
            text: "yes".into(),
            plain: false,
        };
        assert_eq!(quoted.as_bool(), None);
        assert_eq!(quoted.describe(), "a string");
    }

    #[test]
    fn nothing_is_null_but_an_empty_string_is_not() {
        assert!(plain("").is_null() && plain("~").is_null());
        let quoted = Scalar {
            text: String::new(),
            plain: false,
        };
        assert!(!quoted.is_null());
        assert_eq!(plain("1.10").describe(), "a number");
    }
}
