//! The root file system of a job in an image: an overlay of the image's layers, with the job's changes in a
//! folder of its own above them.
//!
//! Whatever of the image is looked up is looked up after the root has been changed to it, so that its links
//! lead where they lead in the container.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::mount::MountFlags;

use super::confine::User;
use super::mounts::{self, Tree};
use super::order::{Files, ImageOrder, Inside};
use super::root::{self, View};
use super::shim::ShimError;
use crate::identity::{PASSWD_BYTES, from_passwd};
use crate::{CONTAINER_DIR, JobDir};

/// Where programs are found in an image that doesn't say: Docker's words.
pub(super) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Folders that the kernel's file systems and ours are shown at.
const MOUNT_POINTS: [&str; 4] = ["/proc", "/sys", "/dev", CONTAINER_DIR];

/// Keeps the layers where they are for as long as this process lives.
pub(super) fn hold(image: &ImageOrder) -> io::Result<Vec<File>> {
    image
        .layers
        .iter()
        .map(|layer| {
            let lock = image::share(&layer.lock)?;
            fs::metadata(&layer.tree)?;
            Ok(lock)
        })
        .collect()
}

/// Makes the root and changes this process's root to it; tells who the job is, and what paths mean to it. The
/// namespaces have been entered.
pub(super) fn enter(
    dir: &JobDir,
    image: &ImageOrder,
    working_directory: &str,
    hostname: &str,
) -> Result<(User, Inside), ShimError> {
    mounts::keep_apart().map_err(ShimError::step("keep the job's mounts apart"))?;
    let scratch = Files::of(dir).scratch();
    let (io, work) = (dir.io(), dir.work());
    let prepare = || -> io::Result<_> {
        fs::create_dir(&scratch)?;
        for name in ["root", "upper", "overlay", "layers"] {
            fs::create_dir(scratch.join(name))?;
        }
        let mut files = root::files(&scratch, hostname)?;
        let path = scratch.join("hostname");
        fs::write(&path, format!("{hostname}\n"))?;
        files.push(("/etc/hostname", Tree::of(&path)?));
        Ok((root::devices()?, files, Tree::of(&io)?, Tree::of(&work)?))
    };
    let (devices, files, io, work) =
        prepare().map_err(ShimError::step("prepare the job's folders"))?;
    lay_over(&scratch, image).map_err(ShimError::step("lay the image's layers over each other"))?;
    let top = scratch.join("root");
    mounts::change_root(&top).map_err(ShimError::step("change the root"))?;

    for path in MOUNT_POINTS {
        make_mount_point(image, Path::new(path))?;
    }
    let fill = || -> io::Result<()> {
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mounts::mount("sysfs", Path::new("/sys"), flags, "")?;
        fs::create_dir_all("/etc")?;
        for (place, tree) in &files {
            root::show_file(Path::new(place), tree)?;
        }
        io.show_at(Path::new(CONTAINER_DIR))
    };
    fill().map_err(ShimError::step("fill the job's root"))?;
    root::fill_dev(&devices, View::CopyOnWrite)
        .map_err(ShimError::step("fill the job's `/dev`"))?;
    if !Path::new("/bin/sh").exists() {
        return Err(ShimError::Rejected(format!(
            "image `{}` has no `/bin/sh`, which every job needs",
            image.name
        )));
    }
    let (user, home) = find_user(image)?;
    let at = root::resolve(working_directory, &home).map_err(ShimError::Rejected)?;
    root::show_work(&work, &at)?;
    let inside = Inside {
        home: home.into(),
        working_directory: at,
        uid: user.uid,
        gid: user.gid,
    };
    Ok((user, inside))
}

fn lay_over(scratch: &Path, image: &ImageOrder) -> io::Result<()> {
    // Relative and short: options end at a page, and some characters of a path would end one of them.
    std::env::set_current_dir(scratch)?;
    let mut lower = Vec::new();
    for (index, layer) in image.layers.iter().enumerate() {
        let short = format!("layers/{index}");
        symlink(&layer.tree, &short)?;
        lower.push(short);
    }
    // An image may have no layer at all, and an overlay needs one.
    fs::create_dir("layers/empty")?;
    lower.push("layers/empty".to_owned());
    let model = Path::new(&lower[0]);
    root::overlay_of(&lower.join(":"), model, Path::new("root"), "0")
}

/// The kernel's file systems go to folders of the image: a link there could lead what hides parts of them astray.
fn make_mount_point(image: &ImageOrder, path: &Path) -> Result<(), ShimError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(ShimError::Rejected(format!(
            "image `{}` can't be run: its `{}` is no folder",
            image.name,
            path.display()
        ))),
        Err(_) => fs::create_dir(path).map_err(ShimError::step("fill the job's root")),
    }
}

/// Who the job is, and its home.
fn find_user(image: &ImageOrder) -> Result<(User, String), ShimError> {
    let read = |path| {
        let mut text = Vec::new();
        // What is not there or is no file says nothing.
        if let Ok(file) = File::open(path)
            && file.metadata().is_ok_and(|found| found.is_file())
        {
            let _ = file.take(PASSWD_BYTES as u64).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
    user_of(&image.user, image.home.as_deref(), &passwd, &group).map_err(|missing| {
        let (name, user) = (&image.name, &image.user);
        ShimError::Rejected(format!("image `{name}` has no {missing} (user `{user}`)"))
    })
}

/// By passwd(5) and group(5). An error names what is missing.
fn user_of(
    user: &str,
    image_home: Option<&str>,
    passwd: &str,
    group: &str,
) -> Result<(User, String), String> {
    let (name, wanted) = user.split_once(':').unwrap_or((user, ""));
    let is_known = |line: &str| line.split(':').next() == Some(name);
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| number != u32::MAX);
    if !matches!(name, "" | "root") && !is_number(name) && !passwd.lines().any(is_known) {
        return Err(format!("user `{name}`"));
    }
    let identity = from_passwd(image_home.filter(|home| !home.is_empty()), user, passwd);
    let mut home = identity.home;
    // An image without a `passwd` has a root nevertheless.
    if identity.uid == 0 && image_home.is_none() && home == "/" {
        home = "/root".to_owned();
    }
    let entries = group.lines().filter_map(|line| {
        let fields = line.split(':').collect::<Vec<_>>();
        let number: u32 = fields.get(2)?.parse().ok()?;
        Some((
            fields[0].to_owned(),
            number,
            fields.get(3).copied().unwrap_or_default().to_owned(),
        ))
    });
    let entries = entries.collect::<Vec<_>>();
    let gid = match wanted {
        "" => identity.gid,
        "root" => 0,
        number if is_number(number) => number.parse().unwrap_or_default(),
        wanted => entries
            .iter()
            .find(|(name, ..)| name == wanted)
            .map(|(_, number, _)| *number)
            .ok_or_else(|| format!("group `{wanted}`"))?,
    };
    let login = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).and_then(|uid| uid.parse().ok()) == Some(identity.uid))
        .map(|fields| fields[0]);
    // Whoever names a group has that one alone, as with Docker.
    let groups = entries
        .iter()
        .filter(|(.., members)| {
            wanted.is_empty() && login.is_some_and(|login| members.split(',').any(|m| m == login))
        })
        .map(|(_, number, _)| *number)
        .filter(|number| *number != u32::MAX)
        .collect();
    let uid = identity.uid;
    Ok((User { uid, gid, groups }, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          circleci:x:1001:1002:,,,:/home/circleci:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:\ncircleci:x:1002:\nsudo:x:27:circleci\ndocker:x:999:x,circleci\n";

    fn found(user: &str, home: Option<&str>) -> Result<(u32, u32, Vec<u32>, String), String> {
        let (user, home) = user_of(user, home, PASSWD, GROUP)?;
        Ok((user.uid, user.gid, user.groups, home))
    }

    #[test]
    fn a_user_is_who_the_image_says() {
        let home = "/home/circleci".to_owned();
        let circleci = Ok((1001, 1002, vec![27, 999], home.clone()));
        assert_eq!(found("circleci", None), circleci);
        assert_eq!(found("1001", None), circleci);
        assert_eq!(found("circleci:sudo", None), Ok((1001, 27, vec![], home)));
        assert_eq!(found("", None), Ok((0, 0, vec![], "/root".to_owned())));
        assert_eq!(
            found("7:8", Some("/h")),
            Ok((7, 8, vec![], "/h".to_owned()))
        );
        assert_eq!(found("nobody", None), Err("user `nobody`".to_owned()));
        assert_eq!(
            found("4294967295", None),
            Err("user `4294967295`".to_owned())
        );
        assert_eq!(found("root:wheel", None), Err("group `wheel`".to_owned()));
        let (user, home) = user_of("", None, "", "").unwrap();
        assert_eq!((user.uid, home.as_str()), (0, "/root"));
    }
}
