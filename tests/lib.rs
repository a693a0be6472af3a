//! What the tests of all packages share: how they say that something can't be tested here, and the
//! busybox that their images are made of. The stories of the whole live in `stories.rs`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says why a test, or a part of one, is not run on this machine. It answers `false`, for
/// `works || skip("why")`.
///
/// # Panics
/// Where `CI` is set: there everything has to be tested.
pub fn skip(why: &str) -> bool {
    let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!is_ci, "it can't be tested here, and CI is set: {why}");
    let thread = std::thread::current();
    // Not `eprintln!`: what that says of a test that passes, nobody sees. A closed stderr has no reader.
    let _ = writeln!(
        std::io::stderr(),
        "skipped {}: {why}",
        thread.name().unwrap_or("a test")
    );
    false
}

/// A busybox that needs no libraries: all that an image has to hold.
pub fn busybox() -> Option<PathBuf> {
    // `ldd` fails for what no library is loaded into.
    let is_static = |path: &&Path| {
        let asked = Command::new("ldd").arg(path).output();
        path.exists() && asked.is_ok_and(|output| !output.status.success())
    };
    let places = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];
    places
        .into_iter()
        .map(Path::new)
        .find(is_static)
        .map(Path::to_owned)
}
