//! `/projects`

use model::Status;
use serde_json::json;

use crate::world::{Answer, Ci, REPO, nowhere, one_job};

#[tokio::test]
async fn a_project_is_the_sum_of_its_pipelines() {
    let ci = Ci::start().await;
    ci.run(&one_job("true")).await;
    let failed = ci.push(&one_job("false")).await;
    ci.until(failed, Status::is_ended).await;
    let project = ci.get(&format!("/projects/{REPO}")).await.json();
    assert_eq!(project["repo"], REPO);
    assert_eq!(project["pipelines"], 2);
    assert_eq!(project["last_pipeline"], failed.0);
    assert_eq!(project["last_status"], "failure");
    assert_eq!(project["success_rate"], 0.5);
    let trend = project["trend"].as_array().unwrap();
    assert_eq!(trend.len(), 2);
    assert_eq!(
        (&trend[0]["status"], &trend[1]["status"]),
        (&json!("success"), &json!("failure"))
    );
    assert!(trend[0]["duration_ms"].is_u64());
    assert_eq!(ci.get("/projects").await.json(), json!([project]));

    ci.get("/projects/octo/other")
        .await
        .refuses(404, "octo/other");
    ci.get("/projects/octo/a%20b")
        .await
        .refuses(404, "not valid");
}

#[tokio::test]
async fn lists_of_projects_come_in_pages() {
    let ci = Ci::start().await;
    for name in ["octo/one", "octo/two", "octo/three"] {
        let mut push = Ci::push_of(&nowhere());
        push["repository"]["full_name"] = name.into();
        Answer::of(ci.delivery("push", push.to_string().as_bytes())).await;
    }
    let first = ci.get("/projects?limit=2").await;
    let next = first
        .header("link")
        .trim_end_matches("; rel=\"next\"")
        .trim_matches(['<', '>']);
    let second = ci.get(next).await;
    let repos = |answer: &Answer| -> Vec<String> {
        let list = answer.json();
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["repo"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(repos(&first), ["octo/three", "octo/two"]);
    assert_eq!(repos(&second), ["octo/one"]);
}
