//! The root file system of a job on this machine: what is there, but for what is nobody's business,
//! and nothing that the job does to it lasts.
//!
//! Root gets a copy-on-write view: an overlay with the machine's `/` below and a folder of the job
//! directory above. An ordinary user gets the machine's folders read-only. The kernel would give one an
//! overlay too, in a user namespace, but most files would belong to no one there, and so be as
//! unchangeable.
//!
//! It is all made in the shim's own mount namespace, so that the machine's mount table never shows it
//! and it is gone with the last process that uses it, however that ended.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Mode;
use rustix::mount::MountFlags;

use super::mounts::{self, Tree};
use super::order::Files;
use super::shim::ShimError;
use crate::{CONTAINER_DIR, JobDir};

/// The home of the job's user, as on CircleCI's machines.
pub(super) const HOME: &str = "/home/circleci";

/// Folders of the job's own, thrown away with it: place, name in the scratch folder, mode.
const OWN: [(&str, &str, u32); 5] = [
    ("/home", "home", 0o755),
    ("/root", "root-home", 0o700),
    ("/run", "run", 0o755),
    ("/tmp", "tmp", 0o1777),
    ("/var/tmp", "var-tmp", 0o1777),
];

/// Folders that a machine may keep on file systems of their own, and that jobs can't do without.
const SEPARATE: [&str; 11] = [
    "/bin",
    "/etc",
    "/lib",
    "/lib64",
    "/nix",
    "/opt",
    "/sbin",
    "/srv",
    "/usr",
    "/usr/local",
    "/var",
];

/// What a read-only view leaves out of `/`: what the job has its own of, and what is other machines'.
const LEFT_OUT: [&str; 10] = [
    "dev",
    "home",
    "lost+found",
    "media",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
];

/// Device files that every program may count on.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// How the machine's own files are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Changeable, with the changes thrown away.
    CopyOnWrite,
    /// As they are.
    ReadOnly,
}

/// All that has to be taken hold of before the root is changed.
struct Inside {
    own: Vec<(&'static str, Tree)>,
    devices: Vec<(&'static str, Tree)>,
    hidden: Vec<(PathBuf, Tree)>,
    files: Vec<(&'static str, Tree)>,
    io: Tree,
    work: Tree,
}

/// Makes the view and changes this process's root to it. The namespaces have been entered.
pub(super) fn enter(
    dir: &JobDir,
    view: View,
    working_directory: &Path,
    hidden: &[PathBuf],
    hostname: &str,
) -> Result<(), ShimError> {
    mounts::keep_apart().map_err(ShimError::step("keep the job's mounts apart"))?;
    let scratch = Files::of(dir).scratch();
    let inside = prepare(dir, &scratch, hidden, hostname)?;
    let view = match view {
        View::CopyOnWrite => match lay_over(&scratch) {
            Ok(()) => View::CopyOnWrite,
            Err(cause) => {
                eprintln!("no copy-on-write view of this machine can be made: {cause}");
                // The job's own log has to tell: what it would otherwise see is odd.
                dir.note(&format!(
                    "Files of this machine are read-only in this job: no overlay can be mounted ({cause})"
                ))
                .map_err(ShimError::step("write to the job's log"))?;
                View::ReadOnly
            }
        },
        View::ReadOnly => View::ReadOnly,
    };
    if view == View::ReadOnly {
        bind_all(&scratch).map_err(ShimError::step("show the machine's folders"))?;
    }
    let root = scratch.join("root");
    bind_kernel(&root).map_err(ShimError::step("show the kernel's file systems"))?;
    mounts::change_root(&root).map_err(ShimError::step("change the root"))?;
    fill(&inside, view)?;
    show_work(&inside.work, working_directory)
}

/// Turns what a configuration says into a path: `~` is the home.
pub(super) fn resolve(working_directory: &str, home: &str) -> Result<PathBuf, String> {
    let path = match working_directory.strip_prefix('~') {
        Some("") => PathBuf::from(home),
        Some(rest) if rest.starts_with('/') => PathBuf::from(format!("{home}{rest}")),
        Some(_) | None => PathBuf::from(working_directory),
    };
    // What is ours or the kernel's, with all below it.
    let taken = ["/dev", "/proc", "/sys", CONTAINER_DIR];
    if !path.is_absolute() {
        Err(format!(
            "the working directory `{working_directory}` must be absolute or begin with `~/`"
        ))
    } else if path.components().any(|part| part == Component::ParentDir) {
        Err(format!(
            "the working directory `{working_directory}` must not contain `..`"
        ))
    } else if path.parent().is_none() || taken.iter().any(|taken| path.starts_with(taken)) {
        Err(format!(
            "the working directory can't be `{working_directory}`"
        ))
    } else {
        Ok(path)
    }
}

fn prepare(
    dir: &JobDir,
    scratch: &Path,
    hidden: &[PathBuf],
    hostname: &str,
) -> Result<Inside, ShimError> {
    let make = || -> io::Result<Inside> {
        fs::create_dir(scratch)?;
        for name in ["root", "upper", "overlay"] {
            fs::create_dir(scratch.join(name))?;
        }
        let mut own = Vec::new();
        for (place, name, mode) in OWN {
            let path = scratch.join(name);
            fs::create_dir(&path)?;
            rustix::fs::chmod(&path, Mode::from_raw_mode(mode))?;
            own.push((place, Tree::of(&path)?));
        }
        fs::create_dir(scratch.join("home/circleci"))?;
        keep_system(Path::new("/run"), &scratch.join("run"))?;
        let lock = scratch.join("run/lock");
        fs::create_dir(&lock)?;
        rustix::fs::chmod(&lock, Mode::from_raw_mode(0o1777))?;
        Ok(Inside {
            own,
            devices: devices()?,
            hidden: hide(scratch, hidden)?,
            files: files(scratch, hostname)?,
            io: Tree::of(&dir.io())?,
            work: Tree::of(&dir.work())?,
        })
    };
    make().map_err(ShimError::step("prepare the job's folders"))
}

/// What `/run` holds of the machine's software: on NixOS the link to it is there, and in every `PATH`.
fn keep_system(from: &Path, to: &Path) -> io::Result<()> {
    let link = "current-system";
    match fs::read_link(from.join(link)) {
        Ok(system) => symlink(system, to.join(link)),
        Err(_) => Ok(()),
    }
}

pub(super) fn devices() -> io::Result<Vec<(&'static str, Tree)>> {
    let mut devices = Vec::new();
    for name in DEVICES {
        match Tree::of(&Path::new("/dev").join(name)) {
            Ok(tree) => devices.push((name, tree)),
            // A server without a terminal may have no `tty`.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(devices)
}

/// Something empty for each hidden path that is there.
fn hide(scratch: &Path, hidden: &[PathBuf]) -> io::Result<Vec<(PathBuf, Tree)>> {
    let mut paths = hidden
        .iter()
        .filter_map(|path| fs::canonicalize(path).ok())
        .filter(|path| path != Path::new("/"))
        .collect::<Vec<_>>();
    // Sorted, a folder comes before what is inside it, which is then gone already.
    paths.sort();
    paths.dedup();
    // As the hidden ones: some machines have links in these places.
    let own = OWN.map(|(place, _, _)| fs::canonicalize(place).unwrap_or(place.into()));
    let mut trees = Vec::new();
    for (index, path) in paths.into_iter().enumerate() {
        let covered = trees.iter().any(|(above, _)| path.starts_with(above));
        if covered || own.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        let empty = scratch.join(format!("hidden-{index}"));
        if path.is_dir() {
            fs::create_dir(&empty)?;
        } else {
            fs::write(&empty, "")?;
        }
        trees.push((path, Tree::of(&empty)?));
    }
    Ok(trees)
}

/// Copies of the files by which names are found. The machine's own may lie where the job can't see
/// them (`/run/systemd/resolve`), and the job must be free to change them.
pub(super) fn files(scratch: &Path, hostname: &str) -> io::Result<Vec<(&'static str, Tree)>> {
    let mut files = Vec::new();
    let mut add = |place, name, text: String| {
        let path = scratch.join(name);
        fs::write(&path, text)?;
        files.push((place, Tree::of(&path)?));
        io::Result::Ok(())
    };
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let newline = if hosts.is_empty() || hosts.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    // Java and others want the host's own name to be found.
    let hosts = format!("{hosts}{newline}127.0.1.1\t{hostname}\n");
    add("/etc/hosts", "hosts", hosts)?;
    if let Ok(text) = fs::read_to_string("/etc/resolv.conf") {
        add("/etc/resolv.conf", "resolv.conf", text)?;
    }
    Ok(files)
}

/// Mounts the copy-on-write view at `<scratch>/root`.
fn lay_over(scratch: &Path) -> io::Result<()> {
    // Relative paths, so that no character in them can end an option.
    std::env::set_current_dir(scratch)?;
    let separate = mounts::table()?
        .into_iter()
        .filter(|mounted| SEPARATE.iter().any(|path| mounted.at == Path::new(path)))
        .map(|mounted| mounted.at)
        .collect::<Vec<_>>();
    overlay(Path::new("/"), "0")?;
    for (index, path) in separate.iter().enumerate() {
        if !path.is_dir() {
            continue;
        }
        if let Err(cause) = overlay(path, &(index + 1).to_string()) {
            eprintln!("`{}` is read-only in the job: {cause}", path.display());
            let at = Path::new("root").join(path.strip_prefix("/").unwrap_or(path));
            mounts::bind_read_only(path, &at)?;
        }
    }
    Ok(())
}

/// Mounts an overlay of the machine's `path` at the same place in `root`.
fn overlay(path: &Path, name: &str) -> io::Result<()> {
    let below = path.strip_prefix("/").unwrap_or(path);
    let at = Path::new("root").join(below);
    overlay_of(&path.to_string_lossy(), path, &at, name)
}

/// Mounts an overlay over `lower`, as the option has it, with the mode of `model`. The job's changes go to a
/// folder of that name. The current directory is the scratch folder.
pub(super) fn overlay_of(lower: &str, model: &Path, at: &Path, name: &str) -> io::Result<()> {
    // No device files: those of the machine's other roots would open its disks to the job.
    let flags = MountFlags::NODEV;
    let attempt = |upper: &str, more: &str| {
        let (above, work) = (format!("{upper}/{name}"), format!("overlay/{name}"));
        let work = if upper == "upper" {
            work
        } else {
            format!("{upper}/overlay-{name}")
        };
        fs::create_dir_all(&above)?;
        fs::create_dir_all(&work)?;
        // The upper folder's mode is the one that is seen.
        fs::set_permissions(&above, fs::metadata(model)?.permissions())?;
        let options = format!("lowerdir={lower},upperdir={above},workdir={work}{more}");
        mounts::mount("overlay", at, flags, &options)
    };
    // `volatile` spares the disk every sync of what is thrown away anyway; kernels before 5.10 don't
    // know it. `index` would forbid two jobs over one machine.
    let first = attempt("upper", ",index=off,volatile");
    let Err(first) = first.or_else(|_| attempt("upper", ",index=off")) else {
        return Ok(());
    };
    // Some file systems can't be the upper one: another overlay, or one of the network. Memory can.
    eprintln!("the job's changes are kept in memory: the disk of its folder refuses them: {first}");
    let memory = Path::new("memory");
    if !memory.exists() {
        fs::create_dir(memory)?;
        mounts::mount("tmpfs", memory, MountFlags::NODEV, "mode=0755")?;
    }
    attempt("memory", ",index=off")
}

/// Shows the machine's folders read-only in `<scratch>/root`.
fn bind_all(scratch: &Path) -> io::Result<()> {
    let root = scratch.join("root");
    // A root has to be a mount of its own.
    rustix::mount::mount_bind(&root, &root)?;
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        let name = entry.file_name();
        let to = root.join(&name);
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &to)?;
        } else if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            fs::create_dir(&to)?;
        } else if kind.is_dir() {
            fs::create_dir(&to)?;
            mounts::bind_read_only(&entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Shows `/sys` read-only, and the machine's `/proc` for the time being where that is needed: in a user
/// namespace the kernel makes a new one only for who can see an old one, and it has to be made in the
/// new PID namespace ([`super::confine`]).
fn bind_kernel(root: &Path) -> io::Result<()> {
    let (proc, sys) = (root.join("proc"), root.join("sys"));
    for path in [&proc, &sys] {
        match fs::create_dir(path) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
            Ok(()) | Err(_) => {}
        }
    }
    // user_namespaces(7): outside of all, every number stands for itself.
    if !fs::read_to_string("/proc/self/uid_map")?.contains("4294967295") {
        rustix::mount::mount_bind_recursive("/proc", &proc)?;
    }
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mounts::mount("sysfs", &sys, flags, "") {
        // A user namespace without a network of its own gets none; then the machine's will do.
        Err(_) => mounts::bind_read_only(Path::new("/sys"), &sys),
        made => made,
    }
}

/// Puts everything in its place in the new root.
fn fill(inside: &Inside, view: View) -> Result<(), ShimError> {
    let fill = || -> io::Result<()> {
        for (path, tree) in &inside.hidden {
            if path.symlink_metadata().is_ok() {
                tree.show_at(path)?;
            }
        }
        for (place, tree) in &inside.own {
            tree.show_at(&settle(Path::new(place))?)?;
        }
        for (place, tree) in &inside.files {
            show_file(Path::new(place), tree)?;
        }
        fs::create_dir_all(CONTAINER_DIR)?;
        inside.io.show_at(Path::new(CONTAINER_DIR))
    };
    fill().map_err(ShimError::step("fill the job's root"))?;
    fill_dev(&inside.devices, view).map_err(ShimError::step("fill the job's `/dev`"))
}

/// Where a folder of the job's own really goes: where the machine has a link in its place (`/home` to
/// `/var/home`), that is what the link leads to, so that the machine's own can't be seen there.
fn settle(place: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(place) {
        Ok(real) if real.is_dir() => return Ok(real),
        // A link that leads nowhere.
        Ok(_) | Err(_) if place.is_symlink() => fs::remove_file(place)?,
        Ok(_) | Err(_) => {}
    }
    fs::create_dir_all(place)?;
    Ok(place.to_owned())
}

/// As in the OCI runtime specification's default file systems and devices.
pub(super) fn fill_dev(devices: &[(&str, Tree)], view: View) -> io::Result<()> {
    let dev = Path::new("/dev");
    fs::create_dir_all(dev)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mounts::mount("tmpfs", dev, flags, "mode=0755,size=64k")?;
    for (name, tree) in devices {
        let path = dev.join(name);
        fs::write(&path, "")?;
        tree.show_at(&path)?;
    }
    for name in ["mqueue", "pts", "shm"] {
        fs::create_dir(dev.join(name))?;
    }
    // The group `tty`, which a single user's namespace doesn't have.
    let group = match view {
        View::CopyOnWrite => ",gid=5",
        View::ReadOnly => "",
    };
    let options = format!("newinstance,ptmxmode=0666,mode=0620{group}");
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mounts::mount("devpts", &dev.join("pts"), flags, &options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mounts::mount("tmpfs", &dev.join("shm"), flags, "mode=1777")?;
    let flags = flags | MountFlags::NOEXEC;
    // A kernel may be built without it.
    let _ = mounts::mount("mqueue", &dev.join("mqueue"), flags, "");
    symlink("pts/ptmx", dev.join("ptmx"))?;
    symlink("/proc/self/fd", dev.join("fd"))?;
    symlink("/proc/self/fd/0", dev.join("stdin"))?;
    symlink("/proc/self/fd/1", dev.join("stdout"))?;
    symlink("/proc/self/fd/2", dev.join("stderr"))
}

/// Shows a file where the machine has one, or a link to where one could be.
pub(super) fn show_file(place: &Path, tree: &Tree) -> io::Result<()> {
    if !place.exists() {
        if let (Ok(link), Some(parent)) = (fs::read_link(place), place.parent())
            && let Some(folder) = parent.join(link).parent()
        {
            fs::create_dir_all(folder)?;
        }
        if let Err(cause) = fs::write(place, "") {
            // Read-only, and not there on the machine either: the job can do without.
            eprintln!("`{}` is missing in the job: {cause}", place.display());
            return Ok(());
        }
    }
    tree.show_at(place)
}

pub(super) fn show_work(work: &Tree, at: &Path) -> Result<(), ShimError> {
    fs::create_dir_all(at)
        .and_then(|()| fs::canonicalize(at))
        .and_then(|real| work.show_at(&real))
        .map_err(|cause| {
            let at = at.display();
            ShimError::Rejected(format!(
                "the working directory `{at}` can't be made: {cause}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_is_absolute_or_at_home() {
        let resolved = |text| resolve(text, HOME).map(|path| path.display().to_string());
        assert_eq!(resolved("~").unwrap(), "/home/circleci");
        assert_eq!(resolved("~/project").unwrap(), "/home/circleci/project");
        assert_eq!(resolved("/opt/x").unwrap(), "/opt/x");
        assert_eq!(resolved("/process").unwrap(), "/process");
        for refused in [
            "project",
            "~other/x",
            "",
            "/",
            "//",
            "/proc",
            "/sys/kernel",
            "/dev/shm/x",
            "/.popsicle",
            "/.popsicle/x",
            "/x/../.popsicle",
            "~/../..",
        ] {
            assert!(resolved(refused).unwrap_err().contains(refused));
        }
    }

    #[test]
    fn the_machines_software_stays_in_reach() {
        let machine = tempfile::tempdir().unwrap();
        let (from, to) = (machine.path().join("from"), machine.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        keep_system(&from, &to).unwrap();
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
        symlink("/nix/store/x", from.join("current-system")).unwrap();
        fs::write(from.join("docker.sock"), "").unwrap();
        keep_system(&from, &to).unwrap();
        let kept = fs::read_link(to.join("current-system")).unwrap();
        assert_eq!(kept, Path::new("/nix/store/x"));
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    }
}
