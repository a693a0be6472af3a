//! From flags, environment and file to [`Settings`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use forge::{Secret, Token};

use super::file::SettingsFile;
use super::flags::Given;
use super::table::{self, Default, Form, Row, Scope, Variable};
use super::value::{self, AuthChoice, Expected};
use super::{Settings, SettingsError, Source, Sourced};

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The settings file that is read if nobody names one.
const DEFAULT_FILE: &str = "popsicle.toml";

/// Reads all settings of that scope; the others get their defaults.
pub fn settings(
    flags: &Given,
    environment: Environment<'_>,
    scope: Scope,
) -> Result<Settings, SettingsError> {
    let mut sources = Sources {
        flags,
        environment,
        file: SettingsFile::default(),
        scope,
    };
    sources.file = match sources.find(&table::CONFIG)? {
        Some(named) => SettingsFile::read(Path::new(&named.value))?,
        // The folder may be any project's, which must not say where and how this machine runs jobs.
        None if matches!(scope, Scope::Jobs | Scope::Configs) => SettingsFile::default(),
        None => SettingsFile::read_if_there(Path::new(DEFAULT_FILE))?,
    };
    resolve(&sources)
}

/// What holds if nobody says anything.
pub fn defaults() -> Settings {
    resolve(&Sources {
        flags: &Given::default(),
        environment: &|_| None,
        file: SettingsFile::default(),
        scope: Scope::Serve,
    })
    .expect("the table's defaults make sense")
}

fn resolve(sources: &Sources<'_>) -> Result<Settings, SettingsError> {
    let data_dir = sources.value(&table::DATA_DIR, value::path)?;
    let settings = Settings {
        file: sources.file.path.as_ref().map(|path| {
            // Refused only where the current folder is gone, and then it was not read from there.
            std::path::absolute(path).unwrap_or_else(|_| path.clone())
        }),
        server_url: sources.value(&table::SERVER_URL, |text| Ok(text.to_owned()))?,
        token: sources.maybe(&table::TOKEN, |text| value::word(text).map(Token::new))?,
        token_file: sources.maybe(&table::TOKEN_FILE, value::path)?,
        log_format: sources.value(&table::LOG_FORMAT, str::parse)?,
        log: sources.or(&table::LOG, value::word, || match sources.scope {
            Scope::Serve => "info".into(),
            Scope::Jobs | Scope::Configs | Scope::Everywhere => "warn".into(),
        })?,
        listen: sources.value(&table::LISTEN, value::listen)?,
        auth: sources.value(&table::AUTH, str::parse)?,
        allow_unauthenticated: sources.value(&table::ALLOW_UNAUTHENTICATED, value::switch)?,
        public_url: sources.maybe(&table::PUBLIC_URL, value::http_url)?,
        database_url: sources.or(&table::DATABASE_URL, value::database_url, || {
            format!("sqlite:{}", data_dir.join("popsicle.db").display())
        })?,
        workspace_root: sources.or(&table::WORKSPACE_ROOT, value::path, || {
            data_dir.join("jobs")
        })?,
        repos: sources.or(&table::REPOS, value::path, || data_dir.join("repos"))?,
        github_token: sources.maybe(&table::GITHUB_TOKEN, |text| {
            value::word(text).map(Token::new)
        })?,
        github_api_url: sources.value(&table::GITHUB_API_URL, value::http_url)?,
        webhook_secret: sources.maybe(&table::WEBHOOK_SECRET, |text| {
            value::word(text).map(Secret::new)
        })?,
        secrets_key: sources.maybe(&table::SECRETS_KEY, value::secrets_key)?,
        status_context: sources.value(&table::STATUS_CONTEXT, value::word)?,
        namespace: sources.maybe(&table::NAMESPACE, value::namespace)?,
        executor: sources.value(&table::EXECUTOR, str::parse)?,
        docker_host: sources.maybe(&table::DOCKER_HOST, value::word)?,
        max_jobs: sources.or(&table::MAX_JOBS, value::at_least_one, || {
            std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
        })?,
        max_jobs_per_project: sources.value(&table::MAX_JOBS_PER_PROJECT, |text| {
            value::limit(text, value::jobs)
        })?,
        cancel_redundant: sources.value(&table::CANCEL_REDUNDANT, value::redundant_branches)?,
        max_preparations: sources.value(&table::MAX_PREPARATIONS, value::at_least_one)?,
        max_retries: sources.value(&table::MAX_RETRIES, value::count)?,
        reconcile_interval: sources.value(&table::RECONCILE_INTERVAL, value::duration)?,
        log_limit_bytes: sources.value(&table::LOG_LIMIT, value::size)?,
        step_storage_limit_bytes: sources.value(&table::STEP_STORAGE_LIMIT, value::size)?,
        cache_limit_bytes: sources.value(&table::CACHE_LIMIT, value::size)?,
        artifact_retention: sources.value(&table::ARTIFACT_RETENTION, value::duration)?,
        workspace_retention: sources.value(&table::WORKSPACE_RETENTION, value::duration)?,
        cache_retention: sources.value(&table::CACHE_RETENTION, value::duration)?,
        job_timeout: sources.value(&table::JOB_TIMEOUT, value::duration)?,
        job_memory_bytes: sources
            .value(&table::JOB_MEMORY, |text| value::limit(text, value::memory))?,
        job_millicpus: sources.value(&table::JOB_CPUS, |text| value::limit(text, value::cpus))?,
        job_pids: sources.value(&table::JOB_PIDS, |text| value::limit(text, value::pids))?,
        stop_grace: sources.value(&table::STOP_GRACE, value::duration)?,
        fetch_timeout: sources.value(&table::FETCH_TIMEOUT, value::duration)?,
        orb_store: sources.or(&table::ORB_STORE, value::path, || {
            users_data(sources, &data_dir).join("orbs")
        })?,
        orb_registry_url: sources.value(&table::ORB_REGISTRY_URL, value::http_url)?,
        images: sources.or(&table::IMAGES, value::path, || {
            users_data(sources, &data_dir).join("images")
        })?,
        image_limit_bytes: sources.value(&table::IMAGE_LIMIT, value::size)?,
        plain_http_registries: sources.maybe(&table::PLAIN_HTTP_REGISTRIES, value::word)?,
        data_dir,
    };
    let Sourced {
        value: listen,
        source,
    } = &settings.listen;
    let is_guarded = match *settings.auth {
        AuthChoice::Token => true,
        AuthChoice::None => listen.ip().is_loopback(),
    };
    if !is_guarded && !*settings.allow_unauthenticated {
        return Err(SettingsError::Open {
            listen: *listen,
            origin: source.clone(),
        });
    }
    Ok(settings)
}

/// Where what is kept belongs: the data folder; for a command that has no server, and was not told of a
/// data folder, what the user keeps for all projects.
fn users_data(sources: &Sources<'_>, data_dir: &Sourced<PathBuf>) -> PathBuf {
    let is_users = sources.scope != Scope::Serve && data_dir.source == Source::Default;
    let folder = |name| {
        let found = (sources.environment)(name).map(PathBuf::from);
        found.filter(|path| path.is_absolute())
    };
    let home = || folder("HOME").map(|home| home.join(".local/share"));
    match folder("XDG_DATA_HOME").or_else(home) {
        Some(users) if is_users => users.join("popsicle"),
        Some(_) | None => data_dir.value.clone(),
    }
}

/// Where settings come from.
struct Sources<'a> {
    flags: &'a Given,
    environment: Environment<'a>,
    file: SettingsFile,
    scope: Scope,
}

impl Sources<'_> {
    /// A setting whose default is a text.
    fn value<T>(
        &self,
        row: &'static Row,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Result<Sourced<T>, SettingsError> {
        let found = match (self.find(row)?, row.default) {
            (Some(found), _) => found,
            (None, Default::Text(text)) => Sourced {
                value: text.to_owned(),
                source: Source::Default,
            },
            (None, Default::Derived(_) | Default::Unset) => {
                unreachable!("`{}` is read with a default that the table lacks", row.name)
            }
        };
        read(row, found, parse)
    }

    /// A setting whose default is computed.
    fn or<T>(
        &self,
        row: &'static Row,
        parse: impl Fn(&str) -> Result<T, Expected>,
        default: impl FnOnce() -> T,
    ) -> Result<Sourced<T>, SettingsError> {
        let found = self.maybe(row, parse)?;
        Ok(found.unwrap_or_else(|| Sourced {
            value: default(),
            source: Source::Default,
        }))
    }

    /// A setting that may be unset.
    fn maybe<T>(
        &self,
        row: &'static Row,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Result<Option<Sourced<T>>, SettingsError> {
        self.find(row)?
            .map(|found| read(row, found, parse))
            .transpose()
    }

    /// The setting's text, from the first source that has it.
    fn find(&self, row: &'static Row) -> Result<Option<Sourced<String>>, SettingsError> {
        if !self.scope.reads(row.scope) {
            return Ok(None);
        }
        if let (Some(text), Some(flag)) = (self.flags.get(row), row.flag) {
            return Ok(Some(Sourced {
                value: text.to_owned(),
                source: Source::Flag(flag),
            }));
        }
        for variable in row.env {
            if let Some(text) = self.variable(variable)? {
                return Ok(Some(Sourced {
                    value: self.canonical(row, variable, text)?,
                    source: Source::Environment(variable.name),
                }));
            }
        }
        Ok(self.file.path.as_ref().and_then(|path| {
            self.file.get(row.name).map(|text| Sourced {
                value: text.to_owned(),
                source: Source::File {
                    path: path.clone(),
                    key: row.name,
                },
            })
        }))
    }

    /// An environment variable's text; an empty one counts as unset.
    fn variable(&self, variable: &'static Variable) -> Result<Option<String>, SettingsError> {
        match (self.environment)(variable.name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) if text.is_empty() => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(SettingsError::NotText {
                name: variable.name,
            }),
        }
    }

    /// The text as the canonical variable would have it.
    fn canonical(
        &self,
        row: &'static Row,
        variable: &'static Variable,
        text: String,
    ) -> Result<String, SettingsError> {
        let wrong = |expected| SettingsError::Value {
            setting: row.name,
            origin: Source::Environment(variable.name),
            value: format!("{text:?}"),
            expected,
        };
        match variable.form {
            Form::Same => Ok(text),
            Form::Milliseconds => value::milliseconds(&text).map_err(wrong),
            Form::Port => {
                let port = value::port(&text).map_err(wrong)?;
                let mut address = default_address(row);
                address.set_port(port);
                Ok(address.to_string())
            }
            Form::Address => {
                let Some(host) = value::host(&text) else {
                    return Ok(text);
                };
                let mut address = default_address(row);
                address.set_ip(host);
                let ports = row.env.iter().filter(|other| other.form == Form::Port);
                for other in ports {
                    if let Some(port) = self.variable(other)? {
                        let port = value::port(&port).map_err(|expected| SettingsError::Value {
                            setting: row.name,
                            origin: Source::Environment(other.name),
                            value: format!("{port:?}"),
                            expected,
                        })?;
                        address.set_port(port);
                    }
                }
                Ok(address.to_string())
            }
        }
    }
}

fn default_address(row: &Row) -> SocketAddr {
    match row.default {
        Default::Text(text) => text.parse().expect("the table's default is an address"),
        Default::Derived(_) | Default::Unset => {
            unreachable!("`{}` has an alias that fills in its default", row.name)
        }
    }
}

fn read<T>(
    row: &'static Row,
    found: Sourced<String>,
    parse: impl Fn(&str) -> Result<T, Expected>,
) -> Result<Sourced<T>, SettingsError> {
    let Sourced {
        value: text,
        source,
    } = found;
    match parse(&text) {
        Ok(value) => Ok(Sourced { value, source }),
        Err(expected) => Err(SettingsError::Value {
            setting: row.name,
            origin: source,
            value: if row.may_hold_secret() {
                "something else (not shown)".into()
            } else {
                format!("{text:?}")
            },
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ExecutorChoice, LogFormat};
    use std::time::Duration;

    fn load(
        flags: &[(&'static str, &str)],
        environment: &[(&str, &str)],
        scope: Scope,
    ) -> Result<Settings, SettingsError> {
        let look = |name: &str| {
            environment
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, text)| OsString::from(text))
        };
        settings(&Given::of(flags), &look, scope)
    }

    fn serve(environment: &[(&str, &str)]) -> Settings {
        load(&[], environment, Scope::Serve).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let settings = serve(&[]);
        let data = std::path::absolute("data").unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:5000");
        assert_eq!(*settings.server_url, "http://localhost:5000");
        assert_eq!(*settings.data_dir, data);
        let database = format!("sqlite:{}/popsicle.db", data.display());
        assert_eq!(*settings.database_url, database);
        assert_eq!(*settings.workspace_root, data.join("jobs"));
        assert_eq!(*settings.repos, data.join("repos"));
        assert_eq!(*settings.status_context, "ci/popsicle");
        assert!(settings.namespace.is_none());
        assert_eq!(*settings.executor, ExecutorChoice::Auto);
        assert_eq!(*settings.max_retries, 3);
        assert_eq!(*settings.reconcile_interval, Duration::from_secs(2));
        assert_eq!(*settings.log_limit_bytes, 512 << 20);
        assert_eq!(*settings.job_memory_bytes, None);
        assert_eq!(*settings.job_millicpus, None);
        assert_eq!(*settings.job_pids, None);
        assert_eq!(*settings.log_format, LogFormat::Text);
        assert_eq!(*settings.log, "info");
        assert_eq!(settings.listen.source, Source::Default);
        assert!(settings.github_token.is_none());
        for shown in settings.shown() {
            assert_eq!(shown.source, Source::Default, "{}", shown.name);
        }
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        let text = "max_retries = 7\nnamespace = 'file'\nlisten = '127.0.0.1:7'\njob_cpus = 0.5\n";
        std::fs::write(&path, text).unwrap();
        let environment = [
            ("POPSICLE_CONFIG", path.to_str().unwrap()),
            ("POPSICLE_NAMESPACE", "environment"),
            ("PORT", "8"),
        ];
        let flags = [("listen", "127.0.0.1:9")];
        let settings = load(&flags, &environment, Scope::Serve).unwrap();
        assert_eq!(settings.listen.port(), 9);
        assert_eq!(settings.listen.source, Source::Flag("listen"));
        let namespace = settings.namespace.unwrap();
        assert_eq!(*namespace, "environment");
        assert_eq!(namespace.source, Source::Environment("POPSICLE_NAMESPACE"));
        assert_eq!(*settings.max_retries, 7);
        assert_eq!(*settings.job_millicpus, Some(500));
        assert_eq!(settings.file.as_deref(), Some(path.as_path()));
        let key = "max_retries";
        assert_eq!(settings.max_retries.source, Source::File { path, key });
        assert_eq!(settings.stop_grace.source, Source::Default);
    }

    #[test]
    fn the_names_of_the_seeds_are_aliases_and_the_canonical_one_comes_first() {
        for (name, text) in [
            ("popsicle_WORKSPACE_ROOT", "/w"),
            ("FMG_WORKSPACE_ROOT", "/w"),
        ] {
            let settings = serve(&[(name, text)]);
            assert_eq!(*settings.workspace_root, PathBuf::from("/w"));
            assert_eq!(settings.workspace_root.source, Source::Environment(name));
        }
        for name in ["popsicle_SERVER_URL", "FMG_SERVER_URL"] {
            assert_eq!(*serve(&[(name, "http://ci")]).server_url, "http://ci");
        }
        for name in ["GITHUB_TOKEN", "popsicle_GITHUB_TOKEN"] {
            let token = serve(&[(name, "t")]).github_token.unwrap();
            assert_eq!(token.expose(), "t");
        }
        let both = [
            ("GITHUB_TOKEN", "alias"),
            ("POPSICLE_GITHUB_TOKEN", "canonical"),
        ];
        let token = serve(&both).github_token.unwrap();
        assert_eq!(token.expose(), "canonical");
        let secret = serve(&[("WEBHOOK_SECRET", "s")]).webhook_secret.unwrap();
        assert_eq!(secret.expose(), "s");
        for name in ["DATABASE_URL", "CI_DB_PATH"] {
            let settings = serve(&[(name, "../ci.db")]);
            assert_eq!(*settings.database_url, "sqlite:../ci.db");
        }
        assert_eq!(*serve(&[("MAX_RETRIES", "5")]).max_retries, 5);
        let settings = serve(&[("REPOS_BASE_PATH", "/srv/repos")]);
        assert_eq!(*settings.repos, PathBuf::from("/srv/repos"));
        let settings = serve(&[("WORKER_POLL_INTERVAL_MS", "1500")]);
        assert_eq!(*settings.reconcile_interval, Duration::from_millis(1500));
        assert_eq!(
            *serve(&[("CI_CONTAINER_PREFIX", "test1_")])
                .namespace
                .unwrap(),
            "test1_"
        );
        assert_eq!(*serve(&[("RUST_LOG", "debug")]).log, "debug");
        assert_eq!(*serve(&[("RUST_LOG", "")]).log, "info");
    }

    #[test]
    fn port_and_bind_address_fill_each_other_in() {
        let listen = |environment: &[(&str, &str)]| {
            let mut all = environment.to_vec();
            all.push(("POPSICLE_ALLOW_UNAUTHENTICATED", "1"));
            serve(&all).listen.to_string()
        };
        assert_eq!(listen(&[("PORT", "8000")]), "127.0.0.1:8000");
        assert_eq!(listen(&[("BIND_ADDRESS", "0.0.0.0:3000")]), "0.0.0.0:3000");
        assert_eq!(listen(&[("BIND_ADDRESS", "::")]), "[::]:5000");
        let both = [("PORT", "8000"), ("BIND_ADDRESS", "0.0.0.0")];
        assert_eq!(listen(&both), "0.0.0.0:8000");
        let canonical = [("PORT", "8000"), ("POPSICLE_LISTEN", "127.0.0.1:1")];
        assert_eq!(listen(&canonical), "127.0.0.1:1");
    }

    #[test]
    fn an_open_server_has_to_be_asked_for() {
        let open = [("BIND_ADDRESS", "0.0.0.0:3000")];
        let error = load(&[], &open, Scope::Serve).unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("BIND_ADDRESS") && told.contains("0.0.0.0:3000"),
            "{told}"
        );
        assert!(error.hint().unwrap().contains("--allow-unauthenticated"));
        let flags = [("allow_unauthenticated", "true")];
        assert!(load(&flags, &open, Scope::Serve).is_ok());
        assert!(load(&[("auth", "token")], &open, Scope::Serve).is_ok());
        assert!(load(&[("auth", "none")], &open, Scope::Serve).is_err());
        assert!(load(&[("auth", "maybe")], &[], Scope::Serve).is_err());
    }

    #[test]
    fn an_error_names_setting_originvalue_and_what_is_expected() {
        let told = |name, text| {
            load(&[], &[(name, text)], Scope::Serve)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            told("PORT", "http"),
            "the environment variable PORT says listen is \"http\", expected a port from 0 to 65535"
        );
        let error = load(&[("log_limit", "lots")], &[], Scope::Jobs).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--log-limit says log_limit is \"lots\", expected a size such as 512MiB or 1GB"
        );
        for (name, text) in [
            ("GITHUB_TOKEN", "hunter2\n\x1b"),
            ("DATABASE_URL", "postgres://me:hunter2@host/db"),
        ] {
            let told = told(name, text);
            assert!(told.contains(name) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_command_reads_only_the_settings_that_concern_it() {
        let foreign = [
            ("DATABASE_URL", "postgres://somewhere/else"),
            ("PORT", "none"),
            ("MAX_RETRIES", "some"),
        ];
        assert!(load(&[], &foreign, Scope::Everywhere).is_ok());
        assert!(load(&[], &foreign[..2], Scope::Jobs).is_ok());
        assert!(load(&[], &foreign, Scope::Jobs).is_err());
        let settings = load(&[], &[], Scope::Jobs).unwrap();
        assert_eq!(*settings.log, "warn");
        assert!(load(&[], &foreign, Scope::Configs).is_ok());
    }

    #[test]
    fn orbs_are_kept_with_the_data_or_with_the_user() {
        let home = ("HOME", "/home/me");
        let of = |environment: &[(&str, &str)], scope| {
            let settings = load(&[], environment, scope).unwrap();
            settings.orb_store.value.display().to_string()
        };
        let users = "/home/me/.local/share/popsicle/orbs";
        assert_eq!(of(&[home], Scope::Configs), users);
        assert_eq!(of(&[home], Scope::Jobs), users);
        let xdg = [home, ("XDG_DATA_HOME", "/x")];
        assert_eq!(of(&xdg, Scope::Configs), "/x/popsicle/orbs");
        let data = [home, ("POPSICLE_DATA_DIR", "/d")];
        assert_eq!(of(&data, Scope::Configs), "/d/orbs");
        assert_eq!(of(&data, Scope::Serve), "/d/orbs");
        let set = [home, ("POPSICLE_ORB_STORE", "/o")];
        assert_eq!(of(&set, Scope::Serve), "/o");
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let settings = serve(&[
            ("GITHUB_TOKEN", "hunter2"),
            ("POPSICLE_TOKEN", "hunter2"),
            ("WEBHOOK_SECRET", "hunter2"),
            (
                "POPSICLE_SECRETS_KEY",
                "hunter2-hunter2-hunter2-hunter2-hunter2",
            ),
            ("POPSICLE_SERVER_URL", "http://me:hunter2@ci"),
        ]);
        let tokens = (&settings.github_token, &settings.token);
        let shown = format!("{:?} {tokens:?}", settings.shown());
        assert!(!shown.contains("hunter2"), "{shown}");
        let shown = format!("{:?}", settings.secrets_key);
        assert!(!shown.contains("hunter2"), "{shown}");
        let short = [("POPSICLE_SECRETS_KEY", "hunter2")];
        let error = load(&[], &short, Scope::Serve).unwrap_err().to_string();
        assert!(
            error.contains("32 characters") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = load(&[("config", "/no/such.toml")], &[], Scope::Everywhere).unwrap_err();
        assert!(error.to_string().contains("/no/such.toml"), "{error}");
    }

    #[test]
    fn every_setting_but_the_file_itself_is_shown() {
        let shown = serve(&[]).shown();
        let names: Vec<_> = shown.iter().map(|shown| shown.name).collect();
        let table: Vec<_> = table::TABLE.iter().skip(1).map(|row| row.name).collect();
        assert_eq!(names, table);
    }

    #[test]
    fn links_lead_to_where_people_reach_the_server() {
        let at = |bound: &str| serve(&[]).public_url(bound.parse().unwrap()).to_string();
        assert_eq!(at("127.0.0.1:5000"), "http://localhost:5000/");
        assert_eq!(at("192.0.2.7:80"), "http://192.0.2.7/");
        assert!(at("0.0.0.0:5000").ends_with(":5000/"));
        assert!(!at("0.0.0.0:5000").contains("0.0.0.0"));
        let set = serve(&[("POPSICLE_PUBLIC_URL", "https://ci.example.com/x")]);
        let url = set.public_url("127.0.0.1:1".parse().unwrap());
        assert_eq!(url.as_str(), "https://ci.example.com/x");
    }
}
