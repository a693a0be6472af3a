//! Who a job is inside its container: where its home is, and by which numbers files are its own.

/// A user of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its home directory.
    pub(crate) home: String,
    /// Its number.
    pub(crate) uid: u32,
    /// The number of its group.
    pub(crate) gid: u32,
}

/// The bytes of `/etc/passwd` that are read at most.
pub(crate) const PASSWD_BYTES: usize = 1 << 20;

/// Who `user` is, if that can be told without looking into the image.
pub(crate) fn without_passwd(image_home: Option<&str>, user: &str) -> Option<Identity> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let root = matches!(name, "" | "root" | "0");
    let uid = if root { 0 } else { name.parse().ok()? };
    let gid = match group {
        "" | "root" => Some(0).filter(|_| root),
        group => group.parse().ok(),
    }?;
    let home = image_home.or(root.then_some("/root"))?;
    Some(Identity {
        home: home.to_owned(),
        uid,
        gid,
    })
}

/// Who `user` is, by `passwd` (see passwd(5)). One who is not there is left to the daemon, which
/// runs numbers that have no name and refuses names that have no number.
pub(crate) fn from_passwd(image_home: Option<&str>, user: &str, passwd: &str) -> Identity {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let number = match name {
        "" => Some(0),
        name => name.parse::<u32>().ok(),
    };
    let entry = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let login = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?;
        (login == name || Some(uid) == number).then_some((uid, gid, home))
    });
    let home = image_home.or(entry.map(|(_, _, home)| home));
    Identity {
        home: home
            .filter(|home| home.starts_with('/'))
            .unwrap_or("/")
            .to_owned(),
        uid: entry.map(|(uid, _, _)| uid).or(number).unwrap_or(0),
        gid: group
            .parse()
            .ok()
            .or(entry.map(|(_, gid, _)| gid))
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          broken line\n\
                          circleci:x:1001:1002:,,,:/home/circleci:/bin/sh\n";

    fn identity(home: &str, uid: u32, gid: u32) -> Identity {
        Identity {
            home: home.to_owned(),
            uid,
            gid,
        }
    }

    #[test]
    fn root_and_numbers_with_a_home_need_no_look() {
        for root in ["", "root", "0", "0:0", "root:root"] {
            assert_eq!(
                without_passwd(None, root),
                Some(identity("/root", 0, 0)),
                "{root}"
            );
        }
        assert_eq!(without_passwd(Some("/h"), ""), Some(identity("/h", 0, 0)));
        assert_eq!(
            without_passwd(Some("/h"), "7:8"),
            Some(identity("/h", 7, 8))
        );
        for unknown in [(None, "7:8"), (Some("/h"), "7"), (Some("/h"), "circleci")] {
            assert_eq!(without_passwd(unknown.0, unknown.1), None, "{unknown:?}");
        }
    }

    #[test]
    fn others_are_looked_up_by_name_or_number() {
        let circleci = identity("/home/circleci", 1001, 1002);
        assert_eq!(from_passwd(None, "circleci", PASSWD), circleci);
        assert_eq!(from_passwd(None, "1001", PASSWD), circleci);
        assert_eq!(
            from_passwd(None, "circleci:5", PASSWD),
            identity("/home/circleci", 1001, 5)
        );
        assert_eq!(
            from_passwd(Some("/h"), "circleci", PASSWD),
            identity("/h", 1001, 1002)
        );
        assert_eq!(from_passwd(None, "4242", PASSWD), identity("/", 4242, 0));
        assert_eq!(from_passwd(None, "nobody", ""), identity("/", 0, 0));
    }
}
