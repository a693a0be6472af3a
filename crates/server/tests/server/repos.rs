//! `/repos`

use reqwest::Method;
use serde_json::json;

use crate::world::Ci;

#[tokio::test]
async fn repositories_are_made_shown_and_deleted() {
    let ci = Ci::start_with(|settings| {
        settings.public_url = Some("https://ci.example.com/x/".parse().unwrap());
    })
    .await;
    let body = json!({"name": "demo", "description": "A demo"});
    let made = ci.post("/api/repos", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), "/repos/demo");
    let repo = made.json();
    let path = ci.folder.path().join("repos/demo.git");
    assert_eq!(repo["path"], json!(path));
    assert_eq!(repo["clone_url"], "https://ci.example.com/x/git/demo.git");
    assert_eq!(repo["description"], "A demo");
    assert!(repo["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(path.join("HEAD").exists());

    assert_eq!(ci.get("/repos/demo").await.json(), repo);
    assert_eq!(ci.get("/repos/DEMO").await.json(), repo);
    ci.post("/repos", &json!({"name": "second"})).await;
    let first = ci.get("/repos?limit=1").await;
    assert_eq!(first.json()[0]["name"], "second");
    let next = first.header("link").split(['<', '>']).nth(1).unwrap();
    assert_eq!(ci.get(next).await.json(), json!([repo]));

    assert_eq!(ci.send(Method::DELETE, "/repos/demo").await.status, 204);
    assert!(!path.exists());
    ci.get("/repos/demo").await.refuses(404, "demo");
    ci.send(Method::DELETE, "/repos/demo")
        .await
        .refuses(404, "demo");
    // Nothing is left in its way.
    assert_eq!(ci.post("/repos", &body).await.status, 201);
}

#[tokio::test]
async fn a_name_that_can_not_be_one_is_refused() {
    let ci = Ci::start().await;
    ci.post("/repos", &json!({"name": "Demo"})).await;
    for name in ["Demo", "demo"] {
        ci.post("/repos", &json!({"name": name}))
            .await
            .refuses(409, "already");
    }
    for (name, why) in [
        ("", "1 to 100"),
        ("../demo", "only letters"),
        ("a/b", "only letters"),
        (".hidden", "start with"),
        ("-x", "start with"),
        ("x.git", "`.git`"),
        ("x.lock", "`.lock`"),
    ] {
        ci.post("/repos", &json!({"name": name}))
            .await
            .refuses(400, why);
    }
    let two = json!({"name": "x", "description": "two\nlines"});
    ci.post("/repos", &two).await.refuses(400, "`description`");
    ci.post("/repos", &json!({"nam": "x"}))
        .await
        .refuses(400, "nam");
    for path in ["/repos/..%2fdemo", "/repos/.trash", "/repos/x.git"] {
        ci.get(path).await.refuses(404, "");
    }
    assert_eq!(ci.get("/repos").await.json().as_array().unwrap().len(), 1);
}
