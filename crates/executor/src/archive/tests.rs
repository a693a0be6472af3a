use super::*;

/// An archive of (name, kind, content or target).
fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, text) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(0);
        // The library refuses such names; who makes bad archives doesn't use it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        } else {
            header.set_size(text.len() as u64);
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

#[test]
fn nothing_is_laid_out_outside_its_place() {
    let hostile: &[&[(&str, EntryType, &str)]] = &[
        &[("files/../../out", FILE, "x")],
        &[("/out", FILE, "x")],
        &[("../out", FILE, "x")],
        &[("files/link", LINK, ".."), ("files/link/out", FILE, "x")],
        &[("files/hard", HARD, "../secret")],
        &[("files/hard", HARD, "/secret")],
        &[
            ("files/link", LINK, ".."),
            ("files/hard", HARD, "files/link/secret"),
        ],
    ];
    for entries in hostile {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("place");
        fs::write(root.path().join("secret"), "secret").unwrap();
        let bytes = archive(entries);
        let error = unpack(bytes.as_slice(), &place).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{entries:?}");
        assert!(!root.path().join("out").exists(), "{entries:?}");
        assert!(!place.join("hard").exists(), "{entries:?}");
        let owner = Owner { uid: 1, gid: 1 };
        let rebased = rebase(
            bytes.as_slice(),
            io::sink(),
            (Path::new("a"), &[], false),
            owner,
        );
        assert!(rebased.is_err(), "{entries:?}");
    }
}

#[test]
fn a_link_of_the_jobs_below_the_place_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let (place, outside) = (root.path().join("place"), root.path().join("outside"));
    fs::create_dir_all(&place).unwrap();
    fs::create_dir(&outside).unwrap();
    symlink(&outside, place.join("sub")).unwrap();
    let bytes = archive(&[("files/sub/file", FILE, "x")]);
    let error = unpack(bytes.as_slice(), &place).unwrap_err();
    assert!(error.to_string().contains("place/sub"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn what_was_packed_is_unpacked_over_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    let long = "n".repeat(180);
    fs::create_dir_all(from.join("sub")).unwrap();
    fs::write(from.join("sub").join(&long), "text").unwrap();
    fs::set_permissions(from.join("sub").join(&long), Permissions::from_mode(0o751)).unwrap();
    symlink("/etc/passwd", from.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        from.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let mut bytes = Vec::new();
    pack(&from, &mut bytes).unwrap();

    fs::create_dir_all(to.join("sub")).unwrap();
    fs::create_dir_all(to.join("link/folder")).unwrap();
    fs::write(to.join("sub/kept"), "mine").unwrap();
    fs::write(to.join("sub").join(&long), "old").unwrap();
    for _ in 0..2 {
        unpack(bytes.as_slice(), &to).unwrap();
        let file = to.join("sub").join(&long);
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o751);
        assert_eq!(fs::read_to_string(to.join("sub/kept")).unwrap(), "mine");
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("/etc/passwd")
        );
        assert!(!to.join("fifo").exists());
    }

    // One file, put under another name where nothing is.
    let mut bytes = Vec::new();
    pack(&from.join("sub").join(&long), &mut bytes).unwrap();
    unpack(bytes.as_slice(), &root.path().join("deep/er/name")).unwrap();
    let put = fs::read_to_string(root.path().join("deep/er/name")).unwrap();
    assert_eq!(put, "text");
}

#[test]
fn a_path_is_absolute_or_from_home_or_from_the_working_directory() {
    let at = |path: &str| {
        let (home, work) = (Path::new("/home/me"), Path::new("/work/x"));
        inside(path, home, work).display().to_string()
    };
    assert_eq!(at("~"), "/home/me");
    assert_eq!(at("~/a/./b/"), "/home/me/a/b");
    assert_eq!(at("a"), "/work/x/a");
    assert_eq!(at("."), "/work/x");
    assert_eq!(at("../y"), "/work/y");
    assert_eq!(at("../../../../etc"), "/etc");
    assert_eq!(at("/tmp//a"), "/tmp/a");
    assert_eq!(at("~x"), "/work/x/~x");
}
