//! What a job finds in its container, and what is learned of it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use executor::{Executor, ExecutorError, Exit, Place};

use super::world::world;

#[tokio::test]
async fn output_arrives_byte_for_byte_and_in_order() {
    world(async |world| {
        let job = world.job("echo out; echo err >&2; printf '\\377\\0end'; exit 3");
        job.dir.note("before").unwrap();
        assert_eq!(job.run(&world.executor()).await, Exit::Code(3));
        let log = fs::read(job.dir.log()).unwrap();
        assert_eq!(log, b"before\nout\nerr\n\xff\0end");
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn much_output_arrives_whole() {
    world(async |world| {
        let job = world.job("head -c 50000000 /dev/zero");
        assert_eq!(job.run(&world.executor()).await, Exit::Code(0));
        assert_eq!(fs::metadata(job.dir.log()).unwrap().len(), 50_000_000);
    })
    .await;
}

#[tokio::test]
async fn root_finds_its_folder_below_its_home() {
    world(async |world| {
        let mut job = world.job(
            "pwd; echo $HOME $POPSICLE_WORKING_DIRECTORY $ONE; cd ~/project; cat file; echo x >made",
        );
        job.launch.environment = [("ONE", "1"), ("ONE", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        fs::write(job.dir.work().join("file"), "content\n").unwrap();
        assert_eq!(job.run(&world.executor()).await, Exit::Code(0));
        assert_eq!(job.log(), "/\n/root /root/project 2\ncontent\n");
        let made = job.dir.work().join("made");
        assert_eq!(fs::read_to_string(made).unwrap(), "x\n");
    })
    .await;
}

const WHO: &str = "echo $(id -u):$(id -g) $HOME $POPSICLE_WORKING_DIRECTORY; touch ~/project/made";

#[tokio::test]
async fn a_user_has_the_home_of_the_images_passwd() {
    world(async |world| {
        let executor = world.executor();
        let theirs = world.changed("circleci", &["USER circleci"]).await;
        let expected = "1001:1002 /home/circleci /home/circleci/project\n";
        for job in [
            world.job(WHO).of(&theirs),
            world.job(WHO).user("circleci"),
            world.job(WHO).user("1001"),
        ] {
            assert_eq!(job.run(&executor).await, Exit::Code(0));
            assert_eq!(job.log(), expected);
            assert_eq!(
                fs::metadata(job.dir.work().join("made")).unwrap().uid(),
                1001
            );
        }
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_images_own_home_goes_before_passwd() {
    world(async |world| {
        let image = world.changed("home", &["ENV HOME=/tmp/home"]).await;
        let job = world
            .job("echo $HOME $POPSICLE_WORKING_DIRECTORY")
            .of(&image)
            .user("circleci");
        assert_eq!(job.run(&world.executor()).await, Exit::Code(0));
        assert_eq!(job.log(), "/tmp/home /tmp/home/project\n");
    })
    .await;
}

#[tokio::test]
async fn an_images_own_way_to_start_does_not_matter() {
    world(async |world| {
        let changes = [
            "ENTRYPOINT [\"/bin/false\"]",
            "CMD [\"wrong\"]",
            "WORKDIR /tmp",
            "VOLUME /data",
        ];
        let image = world.changed("stubborn", &changes).await;
        let job = world.job("pwd; cat; echo $#").of(&image);
        assert_eq!(job.run(&world.executor()).await, Exit::Code(0));
        assert_eq!(job.log(), "/\n0\n");
    })
    .await;
}

#[tokio::test]
async fn a_forked_process_does_not_delay_the_end() {
    world(async |world| {
        let job = world.job("sleep 1000 & echo done");
        assert_eq!(job.run(&world.executor()).await, Exit::Code(0));
        assert_eq!(job.log(), "done\n");
    })
    .await;
}

#[tokio::test]
async fn what_the_image_lacks_is_named() {
    world(async |world| {
        let executor = world.executor();
        let error = rejected(world.job("").user("nobody-here").launch(&executor).await);
        assert!(
            error.contains("nobody-here") && error.contains(&world.image),
            "{error}"
        );

        let empty = world.image_name("empty");
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, "file", std::io::empty())
            .unwrap();
        world
            .import(&empty, archive.into_inner().unwrap(), &[])
            .await;
        let error = rejected(world.job("").of(&empty).launch(&executor).await);
        assert!(error.contains("has no `/bin/sh`"), "{error}");

        let mut job = world.job("");
        job.launch.working_directory = "project".to_owned();
        let error = rejected(job.launch(&executor).await);
        assert!(error.contains("`project`"), "{error}");
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn machines_are_for_another_executor() {
    world(async |world| {
        let executor = world.executor();
        let reason = executor.accepts(&Place::Machine, &[]).unwrap_err();
        assert!(reason.contains("native"), "{reason}");
        let mut job = world.job("");
        assert_eq!(executor.accepts(&job.launch.place, &[]), Ok(()));
        job.launch.place = Place::Machine;
        assert_eq!(rejected(job.launch(&executor).await), reason);
    })
    .await;
}

#[tokio::test]
async fn a_working_executor_says_what_it_found() {
    world(async |world| {
        let check = world.executor().check().await;
        assert!(check.works && check.mend.is_none(), "{check:?}");
        assert!(check.finding.contains("API 1."), "{check:?}");
    })
    .await;
}

fn rejected(launched: Result<(), ExecutorError>) -> String {
    match launched {
        Err(ExecutorError::Rejected(reason)) => reason,
        other => panic!("not rejected: {other:?}"),
    }
}
