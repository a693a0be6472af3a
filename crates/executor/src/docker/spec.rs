//! A job's container, described: from a [`Launch`] to what the API wants. Knows no daemon.

use std::collections::HashMap;
use std::path::absolute;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
};
use model::{AttemptKey, ImageSpec};

use super::daemon::Maker;
use crate::identity::Identity;
use crate::{CONTAINER_DIR, ExecutorError, JobDir, Launch, Limits, Place, WORK_DIR_VARIABLE};

/// The label that says whose server's a container is.
pub(super) const NAMESPACE_LABEL: &str = "popsicle.namespace";
const JOB_LABEL: &str = "popsicle.job";
const ATTEMPT_LABEL: &str = "popsicle.attempt";

/// The name of an attempt's container.
///
/// What can't be in such a name is replaced in the namespace; the job's id still makes it unique,
/// and the label has the namespace as it is.
pub(super) fn container_name(namespace: &str, key: AttemptKey) -> String {
    let namespace: String = namespace
        .chars()
        .map(|char| match char {
            char if char.is_ascii_alphanumeric() || "_.-".contains(char) => char,
            _ => '-',
        })
        .collect();
    let namespace = namespace.trim_start_matches(['_', '.', '-']);
    let namespace = if namespace.is_empty() {
        "popsicle"
    } else {
        namespace
    };
    format!("{namespace}-{}-{}", key.job, key.attempt)
}

/// The name of the container whose network an attempt's others join.
pub(super) fn network_name(namespace: &str, key: AttemptKey) -> String {
    format!("{}-network", container_name(namespace, key))
}

/// The name of the container of an attempt's service.
pub(super) fn service_name(namespace: &str, key: AttemptKey, index: usize) -> String {
    format!("{}-service-{}", container_name(namespace, key), index + 1)
}

/// The labels of an attempt's container.
pub(super) fn labels(namespace: &str, key: AttemptKey) -> HashMap<String, String> {
    HashMap::from([
        (NAMESPACE_LABEL.to_owned(), namespace.to_owned()),
        (JOB_LABEL.to_owned(), key.job.to_string()),
        (ATTEMPT_LABEL.to_owned(), key.attempt.to_string()),
    ])
}

/// The attempt that labels name.
pub(super) fn attempt_of(labels: &HashMap<String, String>) -> Option<AttemptKey> {
    Some(AttemptKey {
        job: labels.get(JOB_LABEL)?.parse().ok()?,
        attempt: labels.get(ATTEMPT_LABEL)?.parse().ok()?,
    })
}

/// How the job's files get into the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// Its folders are mounted; the script writes the log itself.
    Mounted,
    /// They are copied in; the log is the daemon's.
    Copied,
}

/// The absolute path of the working directory that a job asks for.
pub(super) fn working_directory(asked: &str, home: &str) -> Result<String, ExecutorError> {
    let path = match asked.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(below) if below.starts_with('/') => format!("{home}{below}"),
        Some(_) | None => asked.to_owned(),
    };
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let reason = if !path.starts_with('/') {
        "it must start with `/` or `~`"
    } else if parts.contains(&"..") {
        "it must not contain `..`"
    } else if parts.is_empty() {
        "it must be a folder below `/`"
    } else if parts.first() == CONTAINER_DIR.strip_prefix('/').as_ref() {
        "that folder is Popsicle's own"
    } else if parts
        .first()
        .is_some_and(|first| ["proc", "sys", "dev"].contains(first))
    {
        "that folder is the kernel's"
    } else {
        return Ok(format!("/{}", parts.join("/")));
    };
    Err(ExecutorError::Rejected(format!(
        "working directory `{asked}` can't be used: {reason}"
    )))
}

/// The network of a job's container.
#[derive(Clone, Debug)]
pub(super) enum Network {
    /// Its own.
    Own,
    /// That of the container of this name.
    Of(String),
}

impl Network {
    fn mode(&self) -> Option<String> {
        match self {
            Self::Own => None,
            Self::Of(container) => Some(format!("container:{container}")),
        }
    }
}

/// The names by which a job and its services find each other, as the API wants them.
fn hosts(launch: &Launch) -> Result<Vec<String>, ExecutorError> {
    let primary = match &launch.place {
        Place::Container(spec) => Some(spec),
        Place::Machine => None,
    };
    let names = primary.into_iter().chain(&launch.services);
    let names = names.filter_map(|spec| spec.name.as_deref());
    let host = |name: &str| {
        let is_host = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        if name.is_empty() || !name.chars().all(is_host) {
            return Err(ExecutorError::Rejected(format!(
                "a container can't have the name `{name}`: write letters, digits, `.`, `_` and `-`"
            )));
        }
        Ok(format!("{name}:127.0.0.1"))
    };
    names.map(host).collect()
}

/// The container whose network the job and its services join, in the API's words. It only waits: for a
/// line on its standard input, which the daemon keeps open and nobody writes to.
pub(super) fn network(
    launch: &Launch,
    image: String,
    maker: Maker,
) -> Result<ContainerCreateBody, ExecutorError> {
    Ok(ContainerCreateBody {
        image: Some(image),
        user: Some("0".to_owned()),
        working_dir: Some("/".to_owned()),
        entrypoint: Some(["/bin/sh", "-c", "read -r _"].map(str::to_owned).to_vec()),
        cmd: Some(Vec::new()),
        open_stdin: Some(true),
        healthcheck: Some(no_check()),
        host_config: Some(HostConfig {
            extra_hosts: Some(hosts(launch)?),
            log_config: Some(log_config(Files::Mounted, maker)),
            init: Some(false),
            cap_drop: Some(vec!["ALL".to_owned()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    })
}

/// The container of a service, in the API's words. Its image's entry point and command stay where the job
/// has none of its own, as for `docker run`.
pub(super) fn service(
    spec: &ImageSpec,
    network: &Network,
    limits: Limits,
    maker: Maker,
) -> ContainerCreateBody {
    let given = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let variables = spec.environment.iter();
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: spec.user.clone(),
        entrypoint: given(&spec.entrypoint),
        cmd: given(&spec.command),
        env: Some(variables.collect()),
        // Nobody waits for a service's health but the job's own steps.
        healthcheck: Some(no_check()),
        host_config: Some(HostConfig {
            network_mode: network.mode(),
            log_config: Some(service_log(maker)),
            ..self::limits(limits)
        }),
        ..ContainerCreateBody::default()
    }
}

/// The container of `launch`, in the API's words.
pub(super) fn container(
    dir: &JobDir,
    spec: &ImageSpec,
    launch: &Launch,
    inside: (&Identity, &str),
    (files, network): (Files, &Network),
    maker: Maker,
) -> Result<ContainerCreateBody, ExecutorError> {
    let (identity, working_directory) = inside;
    // The first shell only arranges the output. It must be one stream: two would lose the order of
    // what is written to standard output and to standard error.
    let script = format!("{CONTAINER_DIR}/steps.sh");
    let command = match files {
        Files::Mounted => {
            format!("exec >>{CONTAINER_DIR}/log 2>&1 </dev/null; exec /bin/sh {script}")
        }
        Files::Copied => format!("exec 2>&1 </dev/null; exec /bin/sh {script}"),
    };
    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: spec.user.clone(),
        working_dir: Some("/".to_owned()),
        entrypoint: Some(["/bin/sh", "-c", &command].map(str::to_owned).to_vec()),
        cmd: Some(Vec::new()),
        env: Some(environment(spec, launch, &identity.home, working_directory)),
        // An image's own check says nothing of a job, and costs a process each time.
        healthcheck: Some(no_check()),
        host_config: Some(HostConfig {
            mounts: match files {
                Files::Mounted => Some(vec![
                    bind(&dir.io(), CONTAINER_DIR)?,
                    bind(&dir.work(), working_directory)?,
                ]),
                Files::Copied => None,
            },
            security_opt: match files {
                Files::Mounted => Some(unlabeled()),
                Files::Copied => None,
            },
            log_config: Some(log_config(files, maker)),
            network_mode: network.mode(),
            extra_hosts: match network {
                Network::Own => Some(hosts(launch)?),
                // It has the file of the one it joins.
                Network::Of(_) => None,
            },
            // The script is the first process, and answers to SIGTERM itself.
            init: Some(false),
            // Docker's default capabilities and seccomp profile stay as they are. No
            // `no-new-privileges`: in images made for CI the user is not root and becomes it by
            // `sudo`, which that would break.
            ..limits(launch.limits)
        }),
        ..ContainerCreateBody::default()
    })
}

/// A container that empties a job's folders as root, in the API's words.
pub(super) fn cleaner(dir: &JobDir, image: String) -> Result<ContainerCreateBody, ExecutorError> {
    // A pattern that nothing matches stands for itself, which `rm` takes for done.
    let script = format!(
        "for left in {CONTAINER_DIR}/* {CONTAINER_DIR}/.[!.]* {CONTAINER_DIR}/..?* \
         /work/* /work/.[!.]* /work/..?*; do rm -rf \"$left\" || code=1; done; \
         chmod 0777 {CONTAINER_DIR} /work; [ -z \"$code\" ]"
    );
    Ok(ContainerCreateBody {
        image: Some(image),
        user: Some("0".to_owned()),
        working_dir: Some("/".to_owned()),
        entrypoint: Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec()),
        cmd: Some(Vec::new()),
        healthcheck: Some(no_check()),
        host_config: Some(HostConfig {
            mounts: Some(vec![
                bind(&dir.io(), CONTAINER_DIR)?,
                bind(&dir.work(), "/work")?,
            ]),
            security_opt: Some(unlabeled()),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    })
}

fn no_check() -> HealthConfig {
    HealthConfig {
        test: Some(vec!["NONE".to_owned()]),
        ..HealthConfig::default()
    }
}

/// Where SELinux is on, a container may use files of its own label only, and a folder of ours has
/// another. Giving it that label would keep this server out in turn.
fn unlabeled() -> Vec<String> {
    vec!["label=disable".to_owned()]
}

/// Variables as the API wants them, each once: of two, the C library would find the first.
fn environment(
    spec: &ImageSpec,
    launch: &Launch,
    home: &str,
    working_directory: &str,
) -> Vec<String> {
    let theirs = spec.environment.iter().chain(&launch.environment);
    let theirs = theirs.map(|(name, value)| (name.as_str(), value.as_str()));
    let all = [("HOME", home)]
        .into_iter()
        .chain(theirs)
        .chain([(WORK_DIR_VARIABLE, working_directory)]);
    let mut variables: Vec<(&str, &str)> = Vec::new();
    for (name, value) in all {
        match variables.iter_mut().find(|(known, _)| *known == name) {
            Some(variable) => variable.1 = value,
            None => variables.push((name, value)),
        }
    }
    variables
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// A mount and not a `bind`: of a folder that it can't see, the daemon then says so, where it would
/// else make an empty one.
fn bind(from: &std::path::Path, to: &str) -> Result<Mount, ExecutorError> {
    let source = absolute(from).map_err(|cause| ExecutorError::Io {
        path: from.to_owned(),
        cause,
    })?;
    let source = source.to_str().ok_or_else(|| ExecutorError::Unavailable {
        what: format!("could not mount `{}`", source.display()),
        cause: "Docker takes paths in UTF-8 only; keep the workspace elsewhere".to_owned(),
    })?;
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(to.to_owned()),
        ..Mount::default()
    })
}

fn log_config(files: Files, maker: Maker) -> HostConfigLogConfig {
    let (driver, options) = match (files, maker) {
        (Files::Mounted, Maker::Docker | Maker::Podman) => ("none", vec![]),
        // `json-file` would replace all that is not UTF-8. By default `local` keeps 100 MB. (Of
        // Docker 20.10 it loses the end of a line that is longer than 16 KiB.)
        (Files::Copied, Maker::Docker) => (
            "local",
            vec![("max-size", "1g"), ("max-file", "4"), ("compress", "false")],
        ),
        (Files::Copied, Maker::Podman) => ("k8s-file", vec![]),
    };
    driver_of(driver, &options)
}

/// Where the daemon keeps what a service writes, for its end to be read later.
fn service_log(maker: Maker) -> HostConfigLogConfig {
    match maker {
        Maker::Docker => driver_of("local", &[("max-size", "4m"), ("max-file", "2")]),
        Maker::Podman => driver_of("k8s-file", &[("max-size", "8m")]),
    }
}

fn driver_of(driver: &str, options: &[(&str, &str)]) -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some(driver.to_owned()),
        config: Some(
            options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        ),
    }
}

fn limits(limits: Limits) -> HostConfig {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let memory = limits.memory_bytes.map(signed);
    HostConfig {
        memory,
        // Memory and swap together: the same, so that there is no swap beyond the limit.
        memory_swap: memory,
        nano_cpus: limits
            .millicpus
            .map(|count| signed(count.saturating_mul(1_000_000))),
        pids_limit: limits.pids.map(signed),
        ..HostConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn key() -> AttemptKey {
        "550e8400-e29b-41d4-a716-446655440000.2".parse().unwrap()
    }

    fn describe(spec: &ImageSpec, launch: &Launch, files: Files) -> ContainerCreateBody {
        let dir = JobDir::new(Path::new("/jobs"), key());
        let identity = Identity {
            home: "/root".to_owned(),
            uid: 0,
            gid: 0,
        };
        container(
            &dir,
            spec,
            launch,
            (&identity, "/root/project"),
            (files, &Network::Own),
            Maker::Docker,
        )
        .unwrap()
    }

    fn launch(environment: &[(&str, &str)]) -> (ImageSpec, Launch) {
        let spec = ImageSpec {
            image: "x".to_owned(),
            environment: vec![("A".to_owned(), "image".to_owned())],
            ..ImageSpec::default()
        };
        let launch = Launch {
            place: Place::Container(spec.clone()),
            anonymous: false,
            services: Vec::new(),
            working_directory: "~/project".to_owned(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            limits: Limits {
                memory_bytes: Some(1 << 30),
                millicpus: Some(1500),
                pids: None,
            },
        };
        (spec, launch)
    }

    #[test]
    fn a_name_and_labels_say_whose_a_container_is() {
        let name = "a-550e8400-e29b-41d4-a716-446655440000-2";
        assert_eq!(container_name("a", key()), name);
        assert_eq!(container_name("a/ü b", key()).replace("a---b", "a"), name);
        assert!(container_name("..", key()).starts_with("popsicle-"));
        assert_eq!(attempt_of(&labels("a/b", key())), Some(key()));
        assert_eq!(labels("a/b", key())[NAMESPACE_LABEL], "a/b");
        assert_eq!(attempt_of(&HashMap::new()), None);
    }

    #[test]
    fn a_working_directory_is_absolute_or_from_home() {
        for (asked, path) in [
            ("~", "/home/me"),
            ("~/project", "/home/me/project"),
            ("/a//b/./c/", "/a/b/c"),
        ] {
            assert_eq!(
                working_directory(asked, "/home/me").unwrap(),
                path,
                "{asked}"
            );
        }
        assert_eq!(working_directory("~/project", "/").unwrap(), "/project");
        for bad in [
            "",
            "project",
            "~me/x",
            "/",
            "/a/../..",
            "/.popsicle",
            "/.popsicle/x",
            "/proc",
            "/dev/./x",
        ] {
            let error = working_directory(bad, "/home/me").unwrap_err().to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
        }
    }

    #[test]
    fn later_variables_win_and_each_is_there_once() {
        let pairs = [
            ("B", "1"),
            ("A", "job"),
            ("B", "2=3"),
            (WORK_DIR_VARIABLE, "x"),
        ];
        let (spec, launch) = launch(&pairs);
        let env = describe(&spec, &launch, Files::Mounted).env.unwrap();
        let ours = format!("{WORK_DIR_VARIABLE}=/root/project");
        assert_eq!(env, ["HOME=/root", "A=job", "B=2=3", &ours]);
        let (spec, launch) = self::launch(&[("HOME", "/elsewhere")]);
        let env = describe(&spec, &launch, Files::Mounted).env.unwrap();
        assert!(env.contains(&"HOME=/elsewhere".to_owned()));
    }

    #[test]
    fn folders_are_mounted_only_where_they_are_shared() {
        let (spec, launch) = launch(&[]);
        let host = describe(&spec, &launch, Files::Mounted)
            .host_config
            .unwrap();
        let mounts = host.mounts.unwrap();
        let folder = format!("/jobs/{}", key());
        assert_eq!(mounts[0].source.as_deref(), Some(&*format!("{folder}/io")));
        assert_eq!(mounts[0].target.as_deref(), Some(CONTAINER_DIR));
        assert_eq!(mounts[1].target.as_deref(), Some("/root/project"));
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("none"));
        assert_eq!(host.security_opt.unwrap(), ["label=disable"]);
        assert_eq!(host.memory, Some(1 << 30));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
        assert_eq!(host.pids_limit, None);
        let host = describe(&spec, &launch, Files::Copied).host_config.unwrap();
        assert_eq!(host.mounts, None);
        assert_eq!(host.security_opt, None);
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("local"));
    }
}
