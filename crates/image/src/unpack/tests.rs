use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use tar::{Builder, Header};

use super::*;

const LIMITS: Limits = Limits {
    entries: 100,
    bytes: 1000,
};

/// A layer under construction.
struct Made(Builder<Vec<u8>>);

impl Made {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// As it is: the library would refuse some names.
    fn raw(mut self, name: &str, kind: EntryType, target: &str, text: &str) -> Self {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        header.set_size(text.len() as u64);
        if !target.is_empty() {
            header.set_link_name_literal(target).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, text.as_bytes()).unwrap();
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        self.raw(name, EntryType::Regular, "", text)
    }

    fn folder(self, name: &str) -> Self {
        self.raw(name, EntryType::Directory, "", "")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.raw(name, EntryType::Symlink, target, "")
    }

    fn same(self, name: &str, target: &str) -> Self {
        self.raw(name, EntryType::Link, target, "")
    }

    fn unpack_to(self, root: &Path) -> io::Result<u64> {
        let bytes = self.0.into_inner().unwrap();
        unpack(bytes.as_slice(), root, LIMITS)
    }

    fn unpack(self) -> io::Result<tempfile::TempDir> {
        let root = tempfile::tempdir().unwrap();
        self.unpack_to(root.path()).map(|_| root)
    }

    fn refused(self) -> String {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        let error = self.unpack_to(&root).unwrap_err();
        let left = fs::read_dir(outside.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is outside");
        error.to_string()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root() || ::tests::skip("not root")
}

#[test]
fn what_a_header_says_is_so() {
    if !is_root() {
        return;
    }
    let mut made = Made::new();
    let mut header = Header::new_gnu();
    header.set_mode(0o4755);
    header.set_uid(1001);
    header.set_gid(1002);
    header.set_mtime(1_000_000_000);
    header.set_size(3);
    let attributes: [(&str, &[u8]); 4] = [
        ("SCHILY.xattr.user.note", b"kept"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("mtime", b"1100000000.5"),
    ];
    made.0.append_pax_extensions(attributes).unwrap();
    made.0
        .append_data(&mut header, "bin/sudo", &b"abc"[..])
        .unwrap();
    let root = made
        .folder("bin")
        .link("bin/sh", "/bin/sudo")
        .unpack()
        .unwrap();
    let sudo = root.path().join("bin/sudo");
    let found = fs::metadata(&sudo).unwrap();
    assert_eq!((found.uid(), found.gid()), (1001, 1002));
    assert_eq!(found.mode() & 0o7777, 0o4755);
    assert_eq!(found.mtime(), 1_100_000_000);
    let mut value = [0; 16];
    let read = rustix::fs::getxattr(&sudo, "user.note", &mut value).unwrap();
    assert_eq!(&value[..read], b"kept");
    for left_out in ["trusted.overlay.opaque", "user.overlay.opaque"] {
        assert!(rustix::fs::getxattr(&sudo, left_out, &mut value).is_err());
    }
    let bin = fs::metadata(root.path().join("bin")).unwrap();
    assert_eq!(bin.mtime(), 1_000_000_000, "in spite of what came into it");
    let link = fs::read_link(root.path().join("bin/sh")).unwrap();
    assert_eq!(link, Path::new("/bin/sudo"));
}

#[test]
fn what_is_taken_away_is_said_in_overlayfs_words() {
    if !is_root() {
        return;
    }
    let root = Made::new()
        .file("etc/.wh.passwd", "")
        .file("var/.wh..wh..opq", "")
        .file("var/new", "x")
        .folder("own")
        .file("own/file", "x")
        .file(".wh.own", "")
        .file(".wh..wh.plnk", "")
        .file(".wh.again", "")
        .folder("again")
        .unpack()
        .unwrap();
    let path = |name: &str| root.path().join(name);
    let gone = fs::symlink_metadata(path("etc/passwd")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let mut value = [0; 4];
    for opaque in ["var", "own", "again"] {
        let read = rustix::fs::getxattr(path(opaque), OPAQUE_ATTRIBUTE, &mut value);
        assert_eq!(&value[..read.unwrap()], b"y", "{opaque}");
    }
    assert!(path("own/file").exists() && path("var/new").exists());
    assert!(!path(".wh..wh.plnk").exists());
    for nothing in [".wh.", ".wh..", ".wh..."] {
        let why = Made::new().file(nothing, "").refused();
        assert!(why.contains("takes away nothing"), "{why}");
    }
}

#[test]
fn links_lead_where_they_would_in_the_container() {
    if !is_root() {
        return;
    }
    let root = Made::new()
        .folder("usr/lib")
        .link("lib", "/usr/lib")
        .file("lib/a", "through")
        .link("up", "../../../..")
        .file("up/b", "clamped")
        .same("usr/same", "lib/a")
        .same("link", "lib")
        .file("twice", "1")
        .file("twice", "2")
        .folder("folder/in")
        .file("folder", "now a file")
        .file("file", "x")
        .folder("file")
        .raw("fifo", EntryType::Fifo, "", "")
        .raw("dev/sda", EntryType::Block, "", "")
        .unpack()
        .unwrap();
    let text = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
    assert_eq!(text("usr/lib/a"), "through");
    assert_eq!(text("b"), "clamped");
    assert_eq!(text("usr/same"), "through");
    assert_eq!(text("twice"), "2");
    assert_eq!(text("folder"), "now a file");
    assert!(root.path().join("file").is_dir());
    let link = fs::read_link(root.path().join("link")).unwrap();
    assert_eq!(
        link,
        Path::new("/usr/lib"),
        "a second name of the link itself"
    );
    let fifo = fs::metadata(root.path().join("fifo")).unwrap();
    assert!(fifo.file_type().is_fifo() && fifo.permissions().mode() & 0o777 == 0o644);
    assert!(!root.path().join("dev/sda").exists());
}

#[test]
fn no_name_leads_out_of_its_layer() {
    for name in ["../x", "a/../../x", "/../x"] {
        let why = Made::new().file(name, "x").refused();
        assert!(why.contains(&format!("`{name}`: it leads out")), "{why}");
        let why = Made::new().same("x", name).refused();
        assert!(why.contains("leads out"), "{why}");
    }
    let why = Made::new().same("x", "/etc/passwd").refused();
    assert!(why.contains("which the layer doesn't have"), "{why}");
    let why = Made::new().same("x", "/").refused();
    assert!(why.contains("a link to the root"), "{why}");
    if !is_root() {
        return;
    }
    // An absolute name is the layer's, and so is what an absolute link leads to.
    let root = Made::new().file("/etc/x", "x").unpack().unwrap();
    assert!(root.path().join("etc/x").exists());
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().to_str().unwrap();
    let why = Made::new().link("out", path).file("out/x", "x").refused();
    assert!(why.contains("leads nowhere"), "{why}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let why = Made::new().file("f", "x").file("f/x", "x").refused();
    assert!(why.contains("`f/x`"), "{why}");
}

#[test]
fn a_layer_has_limits() {
    let much = "x".repeat(600);
    let why = Made::new().file("a", &much).file("b", &much).refused();
    assert!(why.contains("too large"), "{why}");
    let mut many = Made::new();
    for number in 0..=LIMITS.entries {
        many = many.file(&format!("{number}"), "");
    }
    let why = many.refused();
    assert!(why.contains("too many entries"), "{why}");
    let mut huge = Header::new_gnu();
    huge.set_path("huge").unwrap();
    huge.set_mode(0o644);
    huge.set_mtime(0);
    huge.set_size(u64::MAX / 2);
    huge.set_cksum();
    let mut made = Made::new();
    made.0.get_mut().extend_from_slice(huge.as_bytes());
    let why = made.refused();
    assert!(why.contains("too large"), "{why}");
}

#[test]
fn each_compression_is_known_by_its_first_bytes() {
    let text = b"hello ".repeat(100);
    let zstd = zstd::encode_all(text.as_slice(), 0).unwrap();
    let mut gzip = flate2::read::GzEncoder::new(text.as_slice(), flate2::Compression::fast());
    let mut gzipped = Vec::new();
    gzip.read_to_end(&mut gzipped).unwrap();
    for packed in [zstd, gzipped, text.clone()] {
        let mut read = Vec::new();
        let mut from = decompressed(packed.as_slice()).unwrap();
        from.read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
    }
}
