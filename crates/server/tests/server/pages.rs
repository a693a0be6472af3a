//! The pages that people are led to.

use model::Status;

use crate::world::{Ci, many_steps, one_job};

#[tokio::test]
async fn a_pipelines_page_leads_to_its_jobs_and_their_logs() {
    let ci = Ci::start().await;
    let config = many_steps(&["echo first", "echo '<script>alert(1)</script>' & exit 3"]);
    let pipeline = ci.push(&config).await;
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Failure);
    let job = ci.job(pipeline).await.id;

    let page = ci.get(&format!("/ui/pipelines/{pipeline}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for expected in [
        "octo/repo",
        " on main",
        "Say hello",
        "failure",
        "exit code 3",
        &format!("href=\"/ui/pipelines/{pipeline}/jobs/{job}\""),
        &format!("href=\"/pipelines/{pipeline}/jobs/{job}/log\""),
    ] {
        assert!(
            page.text.contains(expected),
            "no {expected:?} in {}",
            page.text
        );
    }
    assert!(!page.text.contains("http-equiv"), "it has ended");

    let page = ci
        .get(&format!("/ui/pipelines/{pipeline}/jobs/{job}"))
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    for expected in [
        "<td>echo first</td>",
        "<td>3</td>",
        "<pre>first\n&lt;script&gt;alert(1)&lt;/script&gt;\n</pre>",
        &format!("href=\"/pipelines/{pipeline}/jobs/{job}/log\""),
    ] {
        assert!(
            page.text.contains(expected),
            "no {expected:?} in {}",
            page.text
        );
    }
    assert!(!page.text.contains("<script"), "{}", page.text);
    ci.get("/ui/pipelines/99").await.refuses(404, "pipeline 99");
    ci.get(&format!("/ui/pipelines/{pipeline}/jobs/99"))
        .await
        .refuses(404, "job 99");
}

#[tokio::test]
async fn a_page_has_the_logs_last_lines_and_no_more() {
    let ci = Ci::start().await;
    let pipeline = ci.run(&one_job("seq 1 1000; seq -f %0100.0f 1 2000")).await;
    let job = ci.job(pipeline).await.id;
    let page = ci
        .get(&format!("/ui/pipelines/{pipeline}/jobs/{job}"))
        .await
        .text;
    let log = page.split("<pre>").last().unwrap();
    let log = log.split("</pre>").next().unwrap();
    assert_eq!(log.lines().count(), 200);
    assert!(log.ends_with("2000\n"), "{log}");
}

#[tokio::test]
async fn a_config_that_is_wrong_is_shown_with_its_place() {
    let ci = Ci::start().await;
    let config =
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [run: {comand: a}]\n";
    let pipeline = ci.push(config).await;
    ci.until(pipeline, Status::is_ended).await;
    let page = ci.get(&format!("/ui/pipelines/{pipeline}")).await.text;
    assert!(page.contains(".popsicle/ci.yml:5:"), "{page}");
    assert!(page.contains("It had none."), "{page}");
}

#[tokio::test]
async fn a_page_of_what_goes_on_is_loaded_again() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!("cat {}", gate.path.display())))
        .await;
    ci.until(pipeline, |status| status == Status::Running).await;
    let job = ci.job(pipeline).await.id;
    for path in [
        format!("/ui/pipelines/{pipeline}"),
        format!("/ui/pipelines/{pipeline}/jobs/{job}"),
    ] {
        let page = ci.get(&path).await.text;
        assert!(page.contains("http-equiv=\"refresh\""), "{page}");
    }
    gate.open().await;
    ci.until(pipeline, Status::is_ended).await;
}
