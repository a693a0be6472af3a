//! Control groups: what a job may use at most, and out of reach of whoever ends the server.
//!
//! A job gets groups for the limits it has and no others: each hierarchy of the old kind needs one of
//! its own, and each takes time to make. What can't be had (a read-only `/sys`, an
//! ordinary user without a delegated group) is left out and told by `popsicle doctor`; it never keeps
//! a job from running.
//!
//! Both kinds are known, also side by side: each controller is used where it is mounted. Docs of the
//! files written here: cgroup-v1/ and cgroup-v2.rst of the kernel's admin-guide.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::AttemptKey;
use rustix::fs::Access;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::mounts;
use super::process::Process;
use crate::Limits;

/// The folder of ours in each hierarchy.
const OURS: &str = "popsicle";

/// What a limit is for; also the name of its controller.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Where groups can be made on this machine.
#[derive(Debug, Default)]
pub(super) struct Hierarchies {
    /// Controller and folder, for the old kind.
    old: Vec<(&'static str, PathBuf)>,
    /// Folder and its controllers, for the new kind.
    new: Option<(PathBuf, Vec<&'static str>)>,
    /// Where shims have to move to, so that a service manager that ends everything in the server's
    /// group leaves them alone.
    shims: Vec<PathBuf>,
}

impl Hierarchies {
    /// Looks what this machine has and lets this process use.
    pub(super) fn find() -> Self {
        let mut found = Self::default();
        let (Ok(table), Ok(own)) = (mounts::table(), fs::read_to_string("/proc/self/cgroup"))
        else {
            return found;
        };
        for mounted in &table {
            let mut words = mounted.options.split(',');
            let name = match mounted.kind.as_str() {
                "cgroup" => words.next_back().unwrap_or_default(),
                "cgroup2" => "",
                _ => continue,
            };
            let Some(own) = own_group(&own, name) else {
                continue;
            };
            // The mount may show only a part of the hierarchy, as it does in a container.
            let below = own.strip_prefix(&mounted.root).unwrap_or(Path::new(""));
            let own = mounted.at.join(below);
            if name.is_empty() {
                found.add_new(&mounted.at, &own);
            } else if name == "name=systemd" {
                if own != mounted.at && writable(&mounted.at) {
                    found.shims.push(mounted.at.join(OURS).join("shims"));
                }
            } else if writable(&own) {
                let controllers = mounted.options.split(',');
                let wanted = CONTROLLERS
                    .into_iter()
                    .filter(|known| controllers.clone().any(|word| word == *known));
                found
                    .old
                    .extend(wanted.map(|controller| (controller, own.join(OURS))));
            }
        }
        found
    }

    /// The new kind forbids processes beside groups, so that ours can't be below the server's own:
    /// they are at the top (for root), or beside it where that is delegated (a user's services).
    fn add_new(&mut self, top: &Path, own: &Path) {
        let base = if writable(top) {
            top
        } else {
            own.parent().unwrap_or(top)
        };
        if !writable(base) {
            return;
        }
        let offered = fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
        let controllers = CONTROLLERS
            .into_iter()
            .filter(|known| offered.split_whitespace().any(|word| word == *known))
            .collect();
        self.new = Some((base.join(OURS), controllers));
        if own != top {
            self.shims.push(base.join(OURS).join("shims"));
        }
    }

    /// Which limits can't be set here.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        CONTROLLERS
            .into_iter()
            .filter(|controller| {
                let old = self.old.iter().any(|(name, _)| name == controller);
                let new = self
                    .new
                    .iter()
                    .any(|(_, offered)| offered.contains(controller));
                !old && !new
            })
            .collect()
    }

    /// The groups that job `key` needs for its limits.
    pub(super) fn plan(&self, key: AttemptKey, limits: &Limits) -> Groups {
        let mut groups = Vec::<Group>::new();
        let wanted = CONTROLLERS
            .into_iter()
            .filter(|controller| limit(limits, controller));
        for controller in wanted {
            let old = self.old.iter().find(|(name, _)| *name == controller);
            let new = self.new.as_ref();
            let new = new.filter(|(_, offered)| offered.contains(&controller));
            let (base, is_new) = match (old, new) {
                (Some((_, base)), _) => (base, false),
                (None, Some((base, _))) => (base, true),
                (None, None) => continue,
            };
            let path = base.join(key.to_string());
            let group = match groups.iter_mut().find(|group| group.path == path) {
                Some(group) => group,
                None => groups.push_mut(Group {
                    path,
                    ..Group::default()
                }),
            };
            group.add(controller, limits, is_new);
        }
        Groups {
            groups,
            shims: self.shims.clone(),
        }
    }
}

/// The groups of one job.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    groups: Vec<Group>,
    shims: Vec<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Group {
    path: PathBuf,
    /// Controllers that have to be switched on in the folders above.
    enable: Vec<String>,
    /// Files and what to write to them.
    settings: Vec<(String, String)>,
    /// The file that counts what was killed for want of memory.
    deaths: Option<String>,
}

impl Group {
    fn add(&mut self, controller: &str, limits: &Limits, is_new: bool) {
        let mut set = |file: &str, value: u64| {
            self.settings.push((file.to_owned(), value.to_string()));
        };
        match (controller, is_new) {
            ("memory", false) => {
                let bytes = limits.memory_bytes.unwrap_or(u64::MAX);
                set("memory.limit_in_bytes", bytes);
                // Together with swap; absent where swap isn't counted.
                set("memory.memsw.limit_in_bytes", bytes);
                self.deaths = Some("memory.oom_control".to_owned());
            }
            ("memory", true) => {
                set("memory.max", limits.memory_bytes.unwrap_or(u64::MAX));
                set("memory.swap.max", 0);
                self.deaths = Some("memory.events".to_owned());
            }
            ("cpu", false) => {
                set("cpu.cfs_period_us", CPU_PERIOD_US);
                set("cpu.cfs_quota_us", cpu_quota_us(limits));
            }
            ("cpu", true) => {
                let value = format!("{} {CPU_PERIOD_US}", cpu_quota_us(limits));
                self.settings.push(("cpu.max".to_owned(), value));
            }
            _ => set("pids.max", limits.pids.unwrap_or(u64::MAX)),
        }
        if is_new {
            self.enable.push(controller.to_owned());
        }
    }

    fn make(&self) -> io::Result<(File, Option<File>)> {
        make_folder(&self.path)?;
        for controller in &self.enable {
            for above in self.path.ancestors().skip(1).take(2).collect::<Vec<_>>() {
                // Fails where it is on already in ways we can't see; setting the limit tells.
                let _ = fs::write(
                    above.join("cgroup.subtree_control"),
                    format!("+{controller}"),
                );
            }
        }
        for (file, value) in &self.settings {
            if let Err(cause) = fs::write(self.path.join(file), value)
                && !file.contains("swap")
                && !file.contains("memsw")
            {
                eprintln!("`{file}` can't be set to {value}: {cause}");
            }
        }
        let open = |file: &String| File::open(self.path.join(file)).ok();
        let door = fs::OpenOptions::new()
            .write(true)
            .open(self.path.join("cgroup.procs"))?;
        Ok((door, self.deaths.as_ref().and_then(open)))
    }
}

impl Groups {
    /// Moves this process, a shim, out of the server's group where that is not safe.
    pub(super) fn move_shim(&self) {
        for path in &self.shims {
            let moved = make_folder(path).and_then(|()| fs::write(path.join("cgroup.procs"), "0"));
            if let Err(cause) = moved {
                eprintln!("the shim stays in the server's control group: {cause}");
            }
        }
    }

    /// Makes the groups with their limits.
    pub(super) fn make(&self) -> Doors {
        let mut doors = Doors::default();
        for group in &self.groups {
            match group.make() {
                Ok((door, deaths)) => {
                    doors.doors.push(door);
                    doors.deaths = doors.deaths.or(deaths);
                }
                Err(cause) => {
                    let path = group.path.display();
                    eprintln!("control group `{path}` can't be made: {cause}");
                }
            }
        }
        doors
    }

    /// Removes them with all that runs in them; blocks for some milliseconds at worst.
    pub(super) fn remove(&self) -> io::Result<()> {
        for group in &self.groups {
            remove_folder(&group.path)?;
        }
        let made = self.groups.iter().map(|group| &group.path);
        for path in made.chain(&self.shims) {
            // Other jobs may be there still; the last one succeeds.
            let _ = fs::remove_dir(path);
            let _ = path.parent().map(fs::remove_dir);
        }
        Ok(())
    }
}

/// Made groups, open to be entered: they can't be reached by path from a job's root.
#[derive(Debug, Default)]
pub(super) struct Doors {
    doors: Vec<File>,
    deaths: Option<File>,
}

impl Doors {
    /// Takes the process that calls this in.
    pub(super) fn enter(&self) -> io::Result<()> {
        self.doors
            .iter()
            .try_for_each(|mut door| door.write_all(b"0"))
    }

    /// Whether the kernel killed something in there for want of memory.
    pub(super) fn had_deaths(&self) -> bool {
        let Some(mut file) = self.deaths.as_ref() else {
            return false;
        };
        let mut text = String::new();
        file.rewind().is_ok() && file.read_to_string(&mut text).is_ok() && counts_deaths(&text)
    }
}

fn counts_deaths(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .any(|count| count.trim() != "0")
}

/// How often a job's processor time is reckoned up: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

fn cpu_quota_us(limits: &Limits) -> u64 {
    let millicpus = limits.millicpus.unwrap_or(u64::MAX / CPU_PERIOD_US);
    // The kernel takes no less than a millisecond.
    (millicpus * CPU_PERIOD_US / 1000).max(1000)
}

fn limit(limits: &Limits, controller: &str) -> bool {
    match controller {
        "memory" => limits.memory_bytes.is_some(),
        "cpu" => limits.millicpus.is_some(),
        _ => limits.pids.is_some(),
    }
}

/// The group of this process in the hierarchy that has `controller`; the new kind's has none.
/// See cgroups(7) for `/proc/self/cgroup`.
fn own_group<'a>(text: &'a str, controller: &str) -> Option<&'a Path> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = controllers.split(',').any(|name| name == controller);
        is_it.then_some(Path::new(path))
    })
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

/// Makes a group and ours above it, which the end of another job may remove at that moment.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut made = fs::create_dir_all(path);
    for _ in 0..3 {
        match &made {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                made = fs::create_dir_all(path);
            }
            Ok(()) | Err(_) => break,
        }
    }
    made
}

fn remove_folder(path: &Path) -> io::Result<()> {
    // A group stays busy for a moment after its last process has ended.
    let mut patience = 100;
    loop {
        match fs::remove_dir(path) {
            Err(cause) if cause.kind() == io::ErrorKind::ResourceBusy && patience > 0 => {
                patience -= 1;
                let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
                for process in inside
                    .lines()
                    .filter_map(|pid| Process::open(pid.parse().ok()?))
                {
                    process.signal(Signal::KILL);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> AttemptKey {
        "550e8400-e29b-41d4-a716-446655440000.1".parse().unwrap()
    }

    const LIMITS: Limits = Limits {
        memory_bytes: Some(64 << 20),
        millicpus: Some(1500),
        pids: Some(7),
    };

    fn settings(groups: &Groups) -> Vec<String> {
        let line = |group: &Group| {
            let path = group.path.display().to_string();
            let lines = group.settings.iter();
            lines
                .map(|(file, value)| format!("{path}/{file} = {value}"))
                .collect::<Vec<_>>()
        };
        groups.groups.iter().flat_map(line).collect()
    }

    #[test]
    fn the_new_kind_has_one_group_for_all() {
        let machine = Hierarchies {
            new: Some(("/c/popsicle".into(), CONTROLLERS.to_vec())),
            ..Hierarchies::default()
        };
        let path = format!("/c/popsicle/{}", key());
        assert_eq!(
            settings(&machine.plan(key(), &LIMITS)),
            [
                format!("{path}/memory.max = 67108864"),
                format!("{path}/memory.swap.max = 0"),
                format!("{path}/cpu.max = 150000 100000"),
                format!("{path}/pids.max = 7"),
            ]
        );
        assert!(machine.missing().is_empty());
    }

    #[test]
    fn side_by_side_each_controller_is_used_where_it_is() {
        let machine = Hierarchies {
            old: vec![("pids", "/c/pids/own/popsicle".into())],
            new: Some(("/c/unified/popsicle".into(), vec!["cpu"])),
            ..Hierarchies::default()
        };
        let key = key();
        assert_eq!(
            settings(&machine.plan(key, &LIMITS)),
            [
                format!("/c/unified/popsicle/{key}/cpu.max = 150000 100000"),
                format!("/c/pids/own/popsicle/{key}/pids.max = 7"),
            ]
        );
        assert_eq!(machine.missing(), ["memory"]);
        assert!(machine.plan(key, &Limits::default()).groups.is_empty());
    }

    #[test]
    fn the_own_group_is_found_by_controller() {
        let text = "9:name=systemd:/a\n4:cpu,cpuacct:/b:c\n0::/d\n";
        assert_eq!(own_group(text, "name=systemd"), Some(Path::new("/a")));
        assert_eq!(own_group(text, "cpu"), Some(Path::new("/b:c")));
        assert_eq!(own_group(text, ""), Some(Path::new("/d")));
        assert_eq!(own_group(text, "memory"), None);
    }

    #[test]
    fn deaths_are_counted_in_both_kinds() {
        assert!(counts_deaths(
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
        ));
        assert!(!counts_deaths("low 0\nmax 5\noom 1\noom_kill 0\n"));
    }
}
