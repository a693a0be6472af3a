//! A job's images as an executor is to run them: the job's own, its services, and with what they are
//! pulled.

use model::{BuildSpec, ImageAuth, ImageSpec, RunsIn};

/// The images of a job.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// The one that its steps run in.
    pub(super) own: Option<ImageSpec>,
    /// The others.
    pub(super) services: Vec<ImageSpec>,
    /// What its author should know of them: lines for its log.
    pub(super) warnings: Vec<String>,
}

impl Images {
    /// The images of `build`, given the secret variables of the job. In what is left of `auth` no variable
    /// is named any more.
    pub(super) fn of(build: &BuildSpec, secret: &[(String, String)]) -> Self {
        let RunsIn::Containers(images) = &build.runs_in else {
            return Self::default();
        };
        let mut images = images.clone();
        let mut warnings = Vec::new();
        for spec in &mut images {
            spec.auth = match account(spec, secret) {
                Ok(account) => account,
                Err(why) => {
                    let image = &spec.image;
                    warnings.push(format!(
                        "warning: image {image} is pulled without the credentials of its `auth`: {why}"
                    ));
                    None
                }
            };
        }
        let mut images = images.into_iter();
        let own = images.next().map(|own| ImageSpec {
            // Its variables have their turn among the job's others.
            environment: Vec::new(),
            ..own
        });
        Self {
            own,
            services: images.collect(),
            warnings,
        }
    }
}

/// The account that an image is pulled with, if it names one.
fn account(spec: &ImageSpec, secret: &[(String, String)]) -> Result<Option<ImageAuth>, String> {
    match &spec.auth {
        None => Ok(None),
        Some(ImageAuth::Registry { username, password }) => Ok(Some(ImageAuth::Registry {
            username: filled(username, secret)?,
            password: filled(password, secret)?,
        })),
        // Said when the config is read.
        Some(ImageAuth::AwsKey { .. } | ImageAuth::AwsRole { .. }) => Ok(None),
    }
}

/// A text, or the value of the variable that it names as a whole: `$NAME`, `${NAME}`.
fn filled(text: &str, secret: &[(String, String)]) -> Result<String, String> {
    let name = text.strip_prefix('$').map(|name| {
        name.strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
            .unwrap_or(name)
    });
    let is_name = |name: &&str| {
        !name.is_empty()
            && !name.starts_with(|char: char| char.is_ascii_digit())
            && name
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    let Some(name) = name.filter(is_name) else {
        return Ok(text.to_owned());
    };
    let value = secret.iter().rev().find(|(known, _)| known == name);
    value.map(|(_, value)| value.clone()).ok_or_else(|| {
        format!("the job is not given the variable `{name}`, by its project or by a context")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(username: &str, password: &str) -> ImageSpec {
        ImageSpec {
            image: "acme/x".into(),
            environment: vec![("A".into(), "1".into())],
            auth: Some(ImageAuth::Registry {
                username: username.into(),
                password: password.into(),
            }),
            ..ImageSpec::default()
        }
    }

    fn account_of(spec: &ImageSpec) -> (&str, &str) {
        match &spec.auth {
            Some(ImageAuth::Registry { username, password }) => (username, password),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn accounts_are_filled_in_with_secrets_and_nothing_else() {
        let images = vec![image("me", "${WORD}"), image("$NAME", "a$WORD")];
        let build = BuildSpec::new(RunsIn::Containers(images), Vec::new());
        let secret = [("WORD", "old"), ("NAME", "you"), ("WORD", "new")];
        let secret = secret.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let images = Images::of(&build, &secret);
        assert_eq!(images.warnings, [""; 0]);
        let own = images.own.unwrap();
        assert_eq!(account_of(&own), ("me", "new"));
        assert_eq!(own.environment, []);
        assert_eq!(account_of(&images.services[0]), ("you", "a$WORD"));
        assert_eq!(images.services[0].environment.len(), 1);
    }

    #[test]
    fn without_its_variables_an_image_is_pulled_without_an_account() {
        let images = vec![image("me", "$WORD")];
        let build = BuildSpec::new(RunsIn::Containers(images), Vec::new());
        let images = Images::of(&build, &[]);
        assert_eq!(images.own.unwrap().auth, None);
        assert_eq!(
            images.warnings,
            [
                "warning: image acme/x is pulled without the credentials of its `auth`: the job is not given the variable `WORD`, by its project or by a context"
            ]
        );
    }
}
