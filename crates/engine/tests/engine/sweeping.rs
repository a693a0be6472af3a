//! Files that nobody names.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::world::Ci;

#[tokio::test]
async fn a_blob_that_no_row_names_goes_once_it_is_old() {
    let mut ci = Ci::start().await;
    let blobs = ci.engine.blobs().clone();
    let [old, young] =
        ["old", "young"].map(|text| blobs.keep(&mut text.as_bytes()).unwrap().digest);
    let path = |digest: &store::Digest| {
        let name = digest.as_str();
        ci.dir.path().join("blobs").join(&name[..2]).join(name)
    };
    let (old, young) = (path(&old), path(&young));
    let file = File::options().write(true).open(&old).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    file.set_modified(yesterday).unwrap();
    ci.restart().await;
    ci.until_true(|| !old.exists()).await;
    assert_eq!(fs::read(&young).unwrap(), b"young");
}
