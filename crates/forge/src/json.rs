//! Reads a payload into a type, and says where in it something is missing or wrong.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::WebhookError;
use crate::text::shortened;

/// How much is said about what is wrong, in characters: it may quote the payload.
const LONGEST_REASON: usize = 200;

/// Reads the fields that `T` has from an object and skips all others.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, WebhookError> {
    // Serde would take an array for a struct whose fields come in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(WebhookError::MalformedJson {
            why: "it does not start with `{`".to_owned(),
        });
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let payload = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| explain(ROOT, &error))?;
    Ok(payload)
}

/// The path of the payload itself.
const ROOT: &str = ".";

fn explain(path: &str, error: &serde_json::Error) -> WebhookError {
    let text = error.to_string();
    let why = shortened(&text, LONGEST_REASON);
    match (error.classify(), missing_field(&text)) {
        (Category::Data, Some(field)) if path == ROOT => WebhookError::MissingField {
            path: field.to_owned(),
        },
        (Category::Data, Some(field)) => WebhookError::MissingField {
            path: format!("{path}.{field}"),
        },
        (Category::Data, None) if path != ROOT => WebhookError::InvalidField {
            path: path.to_owned(),
            why,
        },
        // At the root that leaves a field that is there twice.
        (Category::Data | Category::Syntax | Category::Eof | Category::Io, _) => {
            WebhookError::MalformedJson { why }
        }
    }
}

/// The field that serde misses. Its path is that of the object around it, so the name has to come
/// from the text, which `serde::de::Error::missing_field` fixes.
fn missing_field(why: &str) -> Option<&str> {
    let (field, _) = why.strip_prefix("missing field `")?.split_once('`')?;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its presence matters")]
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its presence matters")]
        name: String,
    }

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let error = read::<Outer>(body.as_bytes()).expect_err("a body that is wrong");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_error_names_the_place() {
        assert!(read::<Outer>(br#" {"other": [1], "inner": {"name": "x"}} "#).is_ok());
        check("{}", "the field `inner` is missing");
        check(r#"{"inner": {}}"#, "the field `inner.name` is missing");
        check(
            r#"{"inner": {"name": 5}}"#,
            "the field `inner.name` is not valid: invalid type: integer `5`, expected a string \
             at line 1 column 20",
        );
        for body in ["[]", r#"[{"name": "x"}]"#, "", "null", "nonsense"] {
            check(
                body,
                "the body is not valid JSON: it does not start with `{`",
            );
        }
        check(
            r#"{"inner": {"name": "x"}, "inner": {"name": "y"}}"#,
            "the body is not valid JSON: duplicate field `inner` at line 1 column 32",
        );
        check(
            r#"{"inner": {"name": "x"}} x"#,
            "the body is not valid JSON: trailing characters at line 1 column 26",
        );
        check(
            r#"{"inner": "#,
            "the body is not valid JSON: EOF while parsing a value at line 1 column 10",
        );
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let body = format!(r#"{{"inner": "{}"}}"#, "x\\ny".repeat(100_000));
        let error = read::<Outer>(body.as_bytes()).expect_err("no object");
        let text = error.to_string();
        assert!(text.starts_with("the field `inner` is not valid: invalid type: string"));
        assert!(text.chars().count() < 300 && !text.contains('\n'), "{text}");
    }
}
