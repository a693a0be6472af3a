//! `/tokens`, and who may ask what where tokens are asked for.

use model::TokenScope;
use reqwest::Method;
use serde_json::{Value, json};
use server::Auth;

use crate::world::{Answer, Ci, one_job};

async fn asking() -> Ci {
    Ci::start_with(|settings| settings.auth = Auth::Token).await
}

async fn token(ci: &Ci, scope: TokenScope) -> String {
    let new = store::NewToken {
        name: scope.to_string(),
        scope,
        expires: None,
    };
    let secret = [scope as u8 + 1; 32];
    let store = ci.engine.store();
    let made = store.create_token(&new, secret, model::Timestamp::default());
    made.await.unwrap().1.expose().to_owned()
}

async fn ask(ci: &Ci, method: Method, path: &str, token: &str) -> Answer {
    Answer::of(ci.request(method, path).bearer_auth(token)).await
}

#[tokio::test]
async fn each_scope_opens_what_it_says() {
    let ci = asking().await;
    // Forges prove who they are, and health is nobody's secret.
    let pipeline = ci.push(&one_job("true")).await;
    for open in ["/healthz", "/api/readyz", "/assets/style.css"] {
        assert_eq!(ci.get(open).await.status, 200, "{open}");
    }
    let pipelines = format!("/api/pipelines/{pipeline}");
    let rerun = format!("/pipelines/{pipeline}/rerun");
    for path in [pipelines.as_str(), "/events", "/metrics", "/runners"] {
        let answer = ci.get(path).await;
        answer.refuses(401, "popsicle token create");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"Popsicle\""
        );
    }
    let scopes = [TokenScope::Read, TokenScope::Write, TokenScope::Admin];
    let mut tokens = Vec::new();
    for scope in scopes {
        tokens.push(token(&ci, scope).await);
    }
    let statuses = async |method: Method, path: &str| {
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(ask(&ci, method.clone(), path, token).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses(Method::GET, &pipelines).await, [200, 200, 200]);
    ci.until(pipeline, model::Status::is_ended).await;
    assert_eq!(statuses(Method::POST, &rerun).await, [403, 201, 201]);
    assert_eq!(statuses(Method::GET, "/tokens").await, [403, 403, 200]);
    assert_eq!(
        statuses(Method::DELETE, "/runners/77").await,
        [403, 403, 404]
    );
    ask(&ci, Method::POST, &rerun, &tokens[0]).await.refuses(
        403,
        "needs a token of the scope `write`, and yours has `read`",
    );
    for wrong in ["pop_1_00", "nonsense", "pop_77_00"] {
        ask(&ci, Method::GET, &pipelines, wrong)
            .await
            .refuses(401, "opens nothing");
    }
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_by_who_administers() {
    let ci = asking().await;
    let admin = token(&ci, TokenScope::Admin).await;
    let new = json!({"name": "ada", "scope": "read", "expires_at": "2999-01-01T00:00:00Z"});
    let request = ci.request(Method::POST, "/tokens").bearer_auth(&admin);
    let made = Answer::of(request.json(&new)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let text = made["token"].as_str().unwrap();
    assert_eq!(made["expires_at"], "2999-01-01T00:00:00Z");
    assert_eq!(ask(&ci, Method::GET, "/pipelines", text).await.status, 200);

    let listed = ask(&ci, Method::GET, "/api/tokens", &admin).await;
    assert!(!listed.text.contains(text), "{}", listed.text);
    let listed = listed.json();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["scope"]),
        (&json!("ada"), &json!("read"))
    );
    assert!(listed[0]["last_used_at"].is_string(), "{listed}");

    let path = format!("/tokens/{}", made["id"]);
    let revoked = ask(&ci, Method::DELETE, &path, &admin).await.json();
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    ask(&ci, Method::GET, "/pipelines", text)
        .await
        .refuses(401, "was revoked");
    let request = ci.request(Method::POST, "/tokens").bearer_auth(&admin);
    Answer::of(request.json(&json!({"name": "", "scope": "read"})))
        .await
        .refuses(400, "name of a token");
}

#[tokio::test]
async fn pages_ask_a_browser_for_the_token() {
    let ci = asking().await;
    let read = token(&ci, TokenScope::Read).await;
    let answer = ci.get("/").await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").starts_with("Basic "));
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(
        answer.text.contains("popsicle token create"),
        "{}",
        answer.text
    );
    for path in ["/", "/pipelines"] {
        let request = ci.request(Method::GET, path).basic_auth("ada", Some(&read));
        assert_eq!(Answer::of(request).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_asks_nobody_refuses_a_wrong_token_and_makes_none() {
    let ci = Ci::start().await;
    assert_eq!(ci.get("/pipelines").await.status, 200);
    ask(&ci, Method::GET, "/pipelines", "pop_1_00")
        .await
        .refuses(401, "opens nothing");
    ci.post("/tokens", &json!({"name": "x", "scope": "admin"}))
        .await
        .refuses(401, "`admin`");
    let read = token(&ci, TokenScope::Read).await;
    ask(&ci, Method::POST, "/pipelines", &read)
        .await
        .refuses(403, "`write`");
}

#[tokio::test]
async fn a_runner_s_token_is_shown_once_and_can_be_changed() {
    let ci = Ci::start().await;
    let made = ci
        .post("/runners", &json!({"host": "build-1"}))
        .await
        .json();
    let first = made["token"].as_str().unwrap();
    let path = format!("/runners/{}", made["id"]);
    assert!(!ci.get("/runners").await.text.contains("pop_"));
    let change =
        async |change: Value| Answer::of(ci.request(Method::PATCH, &path).json(&change)).await;
    assert_eq!(
        change(json!({"capacity": 2})).await.json()["token"],
        Value::Null
    );
    let changed = change(json!({"rotate_token": true})).await.json();
    let second = changed["token"].as_str().unwrap();
    assert_ne!(first, second);
    ask(&ci, Method::GET, "/pipelines", first)
        .await
        .refuses(401, "opens nothing");
    ask(&ci, Method::GET, "/pipelines", second)
        .await
        .refuses(403, "yours has `runner`");
}
