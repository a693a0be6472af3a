//! Service containers: in one network with the job, from before it to its end.

use executor::{Executor, ExecutorError, Exit, Place};
use model::ImageSpec;

use super::world::{Job, World, bounded, world};

/// A service of the world's image that runs that command.
fn service(world: &World, name: Option<&str>, command: &str) -> ImageSpec {
    ImageSpec {
        image: world.image.clone(),
        name: name.map(str::to_owned),
        entrypoint: ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
        command: vec![command.to_owned()],
        ..ImageSpec::default()
    }
}

fn job(world: &World, script: &str, services: Vec<ImageSpec>) -> Job {
    let mut job = world.job(script);
    job.launch.services = services;
    job
}

/// Answers one line to all who ask at that port.
fn answering(port: u16, line: &str) -> String {
    format!("echo serving; while :; do echo {line} | /bin/busybox nc -l -p {port}; done")
}

/// Asks until there is an answer.
fn ask(host: &str, port: u16) -> String {
    format!("until /bin/busybox nc {host} {port} </dev/null 2>/dev/null; do sleep 0.1; done\n")
}

#[tokio::test]
async fn services_are_reached_at_localhost_and_by_name_and_tell_what_they_wrote() {
    world(async |world| {
        let script = ask("localhost", 7001) + &ask("db", 7002) + "echo done";
        let mut second = service(world, Some("db"), "echo $COLOUR; exec sh -c \"$REST\"");
        second.environment = vec![
            ("COLOUR".to_owned(), "green".to_owned()),
            ("REST".to_owned(), answering(7002, "two")),
        ];
        let services = vec![service(world, None, &answering(7001, "one")), second];
        let job = job(world, &script, services);
        let executor = world.executor();
        job.launch(&executor).await.unwrap();
        assert_eq!(world.containers().await.len(), 4);
        assert_eq!(bounded(executor.held()).await.unwrap(), [job.dir.key()]);
        assert_eq!(job.wait(&executor).await.unwrap(), Exit::Code(0));
        // Once, however often it is asked, and by whom.
        let log = job.log();
        assert_eq!(job.wait(&world.executor()).await.unwrap(), Exit::Code(0));
        assert_eq!(job.log(), log);
        let image = &world.image;
        assert_eq!(
            log,
            format!(
                "Started service container {image}\nStarted service container {image} (db)\n\
                 one\ntwo\ndone\n\
                 \nService container {image} ran until the job's end. The end of its output:\nserving\n\
                 \nService container {image} (db) ran until the job's end. The end of its output:\ngreen\nserving\n"
            )
        );
        bounded(executor.remove(&job.dir)).await.unwrap();
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_service_that_ends_takes_nothing_with_it_and_is_told_of() {
    world(async |world| {
        let services = vec![
            service(world, None, "echo cannot >&2; exit 3"),
            service(world, None, &answering(7003, "alive")),
        ];
        let script = ask("localhost", 7003) + "echo done";
        let job = job(world, &script, services);
        let executor = world.executor();
        assert_eq!(job.run(&executor).await, Exit::Code(0));
        let told = format!(
            "alive\ndone\n\nService container {} exited with code 3 before the job's end. The end of its output:\ncannot\n",
            world.image
        );
        assert!(job.log().contains(&told), "{}", job.log());
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_service_that_can_not_be_had_is_the_jobs_fault_and_leaves_nothing() {
    world(async |world| {
        let mut unrunnable = service(world, Some("db"), "");
        unrunnable.entrypoint = vec!["/no/such/program".to_owned()];
        let unnamed = service(world, Some("a b"), "");
        let missing = ImageSpec {
            image: "Not A Name".to_owned(),
            ..ImageSpec::default()
        };
        for (services, word) in [
            (
                vec![service(world, None, "sleep 60"), unrunnable],
                "(db) can't be started",
            ),
            (vec![unnamed], "`a b`"),
            (vec![missing], "`Not A Name`"),
        ] {
            let job = job(world, "echo ran", services);
            let error = job.launch(&world.executor()).await.unwrap_err();
            assert!(matches!(error, ExecutorError::Rejected(_)), "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(!job.log().contains("ran"), "{}", job.log());
            assert!(world.containers().await.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn services_of_a_dead_server_are_found_without_the_jobs_folder() {
    world(async |world| {
        let services = vec![service(world, None, "sleep 600")];
        let job = job(world, "sleep 600", services);
        job.launch(&world.executor()).await.unwrap();
        job.dir.delete().unwrap();
        let next = world.executor();
        assert_eq!(bounded(next.held()).await.unwrap(), [job.dir.key()]);
        bounded(next.remove(&job.dir)).await.unwrap();
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_jobs_own_image_is_found_by_its_name_too() {
    world(async |world| {
        let mut job = world.job("/bin/busybox grep -c '^127.0.0.1[[:space:]]*main$' /etc/hosts");
        if let Place::Container(spec) = &mut job.launch.place {
            spec.name = Some("main".to_owned());
        }
        assert_eq!(job.run(&world.executor()).await, Exit::Code(0));
        assert_eq!(job.log(), "1\n");
    })
    .await;
}
