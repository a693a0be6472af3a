//! `/secrets` and `/contexts`

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Ci};

impl Ci {
    async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body)).await
    }
}

#[tokio::test]
async fn a_projects_variables_are_set_listed_and_deleted_and_never_told() {
    let ci = Ci::start().await;
    let value = json!({"value": "hunter2-hunter2"});
    let set = ci.put("/secrets/TOKEN?repo=octo/repo", &value).await;
    assert_eq!(set.status, 201, "{}", set.text);
    assert_eq!(set.json()["hint"], "xxxxter2");
    let again = ci
        .put("/secrets/TOKEN?repo=octo/repo", &json!({"value": "short"}))
        .await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["hint"]),
        (200, &json!("xxxx"))
    );
    ci.put("/secrets/OTHER?repo=octo/repo", &value).await;

    let first = ci.get("/secrets?repo=octo/repo&limit=1").await;
    assert_eq!(first.json()[0]["name"], "TOKEN");
    assert_eq!(first.json().as_array().unwrap().len(), 1);
    assert!(first.header("link").contains("rel=\"next\""));
    let all = ci.get("/secrets?repo=octo/repo").await;
    assert!(!all.text.contains("hunter2"), "{}", all.text);
    assert_eq!(ci.get("/secrets?repo=octo/other").await.json(), json!([]));

    for (path, body, status, said) in [
        ("/secrets/1A?repo=octo/repo", &value, 404, "1A"),
        ("/secrets/A", &value, 400, "repo"),
        (
            "/secrets/A?repo=octo/repo",
            &json!({"value": ""}),
            400,
            "(hidden)",
        ),
        ("/secrets/A?repo=octo/repo", &json!({}), 400, "value"),
    ] {
        ci.put(path, body).await.refuses(status, said);
    }
    let path = "/secrets/TOKEN?repo=octo/repo";
    assert_eq!(ci.send(Method::DELETE, path).await.status, 204);
    ci.send(Method::DELETE, path).await.refuses(404, "TOKEN");
}

#[tokio::test]
async fn contexts_have_variables_and_projects() {
    let ci = Ci::start().await;
    let made = ci.post("/contexts", &json!({"name": "AWS (prod)"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["projects"], Value::Null);
    ci.post("/contexts", &json!({"name": "AWS (prod)"}))
        .await
        .refuses(409, "already");
    ci.post("/contexts", &json!({"name": "a/b"}))
        .await
        .refuses(400, "`name`");

    let path = "/contexts/AWS%20(prod)";
    let key = format!("{path}/variables/KEY");
    let value = json!({"value": "hunter2-hunter2"});
    assert_eq!(ci.put(&key, &value).await.status, 201);
    ci.put("/contexts/npm/variables/KEY", &value)
        .await
        .refuses(404, "`npm`");
    let listed = ci.get(&format!("{path}/variables")).await;
    assert_eq!(listed.json()[0]["name"], "KEY");
    assert!(!listed.text.contains("hunter2"), "{}", listed.text);

    let patch = async |body: Value| Answer::of(ci.request(Method::PATCH, path).json(&body)).await;
    let only = patch(json!({"projects": ["octo/repo", "octo/repo"]})).await;
    assert_eq!(only.json()["projects"], json!(["octo/repo"]));
    patch(json!({})).await.refuses(400, "projects");
    assert_eq!(ci.get(path).await.json()["projects"], json!(["octo/repo"]));
    assert_eq!(
        patch(json!({"projects": null})).await.json()["projects"],
        Value::Null
    );
    assert_eq!(ci.get("/contexts").await.json()[0]["variables"], 1);

    assert_eq!(ci.send(Method::DELETE, &key).await.status, 204);
    ci.send(Method::DELETE, &key).await.refuses(404, "`KEY`");
    assert_eq!(ci.send(Method::DELETE, path).await.status, 204);
    ci.get(path).await.refuses(404, "context");
}
