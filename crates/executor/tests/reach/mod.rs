//! What both executors must agree on when files are taken out of a job and put into one.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do; clippy knows only the tests themselves"
)]

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use executor::archive::{self, Kind};
use executor::{Archive, Executor, ExecutorError, JobDir};
use futures_util::StreamExt;

/// What a job that is reached into does: it makes these files, says so, and waits.
pub const SCRIPT: &str = r#"
cd "$POPSICLE_WORKING_DIRECTORY" || exit 1
mkdir -p out/sub && echo one >out/one && echo two >out/sub/two && chmod 600 out/one
ln -s /etc/passwd out/link; ln -s out short
mkdir -p ~/kept && echo home >~/kept/file
echo mine >mine; mkdir -p there/old && echo old >there/old/file
echo ready
read -r answer <"/.popsicle/answer"
cat put/one put/sub/two; readlink put/link
cat ~/deep/er/file there/new there/old/file
touch put/sub/more ~/deep/er/more && echo writable
"#;

/// What the job says once it is let go on.
pub const SAYS: &str = "one\ntwo\n/etc/passwd\nhome\nfresh\nold\nwritable\n";

/// What an archive holds: for each name below the thing `folder`, its text or `-> target`.
pub async fn listed(archive: Archive) -> io::Result<BTreeMap<PathBuf, String>> {
    let mut bytes = Vec::new();
    let mut archive = archive;
    while let Some(chunk) = archive.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries()? {
        let mut entry = entry?;
        let Some((name, kind)) = archive::look(&entry)? else {
            continue;
        };
        let text = match kind {
            Kind::File => {
                let mut text = String::new();
                entry.read_to_string(&mut text)?;
                text
            }
            Kind::Folder => "folder".to_owned(),
            Kind::Link(target) => format!("-> {}", target.display()),
            Kind::Same(target) => format!("= {}", target.display()),
        };
        found.insert(name, text);
    }
    Ok(found)
}

/// The same archive, read to its end: until then another of the same job may have to wait.
async fn whole(mut archive: Archive) -> Archive {
    let mut chunks = Vec::new();
    while let Some(chunk) = archive.next().await {
        chunks.push(Ok(chunk.unwrap()));
    }
    futures_util::stream::iter(chunks).boxed()
}

/// An archive of one file with that text, or of whatever `fill` makes.
pub fn made(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Archive {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    let bytes = builder.into_inner().unwrap();
    futures_util::stream::iter([Ok(bytes.into())]).boxed()
}

pub fn file(name: &str, text: &str) -> impl FnOnce(&mut tar::Builder<Vec<u8>>) {
    move |builder| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
}

/// Takes and puts, of a job that runs [`SCRIPT`] and has said that it is ready.
pub async fn agree(executor: &dyn Executor, dir: &JobDir) {
    let take = async |path: &str| executor.take(dir, path).await;
    let listing = async |path: &str| {
        let taken = take(path).await.unwrap();
        let listed = listed(taken.expect("it is there")).await.unwrap();
        let lines = listed.into_iter().map(|(name, text)| {
            let name = name.display();
            format!("{name}: {}", text.trim_end())
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let all = ": folder\nlink: -> /etc/passwd\none: one\nsub: folder\nsub/two: two";
    assert_eq!(listing("out").await, all);
    assert_eq!(listing("./out/").await, all);
    // A link at the path itself is followed.
    assert_eq!(listing("short").await, all);
    assert_eq!(listing("out/one").await, ": one");
    assert_eq!(listing("~/kept").await, ": folder\nfile: home");
    assert_eq!(listing("out/../mine").await, ": mine");
    for absent in ["nothing", "/no/such", "out/one/below", "short/nothing"] {
        assert!(take(absent).await.unwrap().is_none(), "{absent}");
    }

    let put = async |path: &str, archive: Archive| executor.put(dir, path, archive).await;
    for _ in 0..2 {
        put("put", whole(take("out").await.unwrap().unwrap()).await)
            .await
            .unwrap();
        put(
            "~/deep/er/file",
            whole(take("~/kept/file").await.unwrap().unwrap()).await,
        )
        .await
        .unwrap();
        put("there", made(file("any/new", "fresh\n")))
            .await
            .unwrap();
    }

    let refused = async |path: &str, archive: Archive| match put(path, archive).await {
        Err(ExecutorError::Rejected(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    let through = made(|builder| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        builder.append_link(&mut header, "a/up", "..").unwrap();
        file("a/up/escaped", "x")(builder);
    });
    let why = refused("escape", through).await;
    assert!(
        why.contains("`a/up/escaped`") || why.contains("`up/escaped`"),
        "{why}"
    );
    let why = refused("mine/below", made(file("a", "x"))).await;
    assert!(why.contains("mine"), "{why}");
    assert!(take("escaped").await.unwrap().is_none());
    assert!(take("../escaped").await.unwrap().is_none());
}

/// An archive of very many small files, and that it comes back as it went.
pub async fn many(executor: &dyn Executor, dir: &JobDir, count: usize) {
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..count {
        file(&format!("a/{}/{number}", number % 100), &number.to_string())(&mut builder);
    }
    let bytes = builder.into_inner().unwrap();
    let archive = futures_util::stream::iter(
        bytes
            .chunks(1 << 20)
            .map(|chunk| Ok(bytes::Bytes::copy_from_slice(chunk)))
            .collect::<Vec<io::Result<_>>>(),
    );
    executor.put(dir, "many", archive.boxed()).await.unwrap();
    let taken = executor.take(dir, "many").await.unwrap().unwrap();
    let listed = listed(taken).await.unwrap();
    let files = listed.values().filter(|text| *text != "folder").count();
    assert_eq!(files, count);
    assert_eq!(listed[Path::new("7/107")], "107");
}
