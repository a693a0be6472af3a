//! An editor that speaks to `popsicle lsp`.

use std::process::{ExitStatus, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::world::{PATIENCE, popsicle};

const URI: &str = "file:///project/.circleci/config.yml";

/// An editor, and the server that it started.
struct Editor {
    server: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    asked: i64,
}

impl Editor {
    fn start() -> Self {
        let mut server = Command::new(popsicle())
            .args(["lsp", "--stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        Self {
            input: server.stdin.take(),
            output: BufReader::new(server.stdout.take().expect("stdout is a pipe")),
            server,
            asked: 0,
        }
    }

    async fn initialized() -> Self {
        let mut editor = Self::start();
        let hello = json!({"processId": null, "rootUri": null, "capabilities": {}});
        let answer = editor.ask("initialize", hello).await;
        assert_eq!(answer["result"]["capabilities"]["hoverProvider"], true);
        editor.tell("initialized", json!({})).await;
        editor
    }

    async fn send(&mut self, message: Value) {
        let text = message.to_string();
        let framed = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        let input = self.input.as_mut().expect("the editor has not hung up");
        input
            .write_all(framed.as_bytes())
            .await
            .expect("the server reads");
    }

    async fn tell(&mut self, method: &str, params: Value) {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await;
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let answer = self.heard().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The next message of the server.
    async fn heard(&mut self) -> Value {
        let message = async {
            let mut length = 0;
            loop {
                let mut header = String::new();
                let read = self.output.read_line(&mut header).await;
                assert_ne!(read.expect("the server writes"), 0, "the server has gone");
                match header.trim().split_once(": ") {
                    Some(("Content-Length", bytes)) => length = bytes.parse().expect("a number"),
                    Some(_) => {}
                    None => break,
                }
            }
            let mut text = vec![0; length];
            self.output.read_exact(&mut text).await.expect("all of it");
            serde_json::from_slice(&text).expect("JSON")
        };
        timeout(PATIENCE, message)
            .await
            .expect("the server says something")
    }

    async fn open(&mut self, text: &str) -> Value {
        let document = json!({"uri": URI, "languageId": "yaml", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}))
            .await;
        self.heard().await
    }

    /// Replaces the whole text.
    async fn change(&mut self, version: i32, text: &str) -> Value {
        let params = json!({
            "textDocument": {"uri": URI, "version": version},
            "contentChanges": [{"text": text}],
        });
        self.tell("textDocument/didChange", params).await;
        self.heard().await
    }

    async fn ask_at(&mut self, method: &str, line: u32, character: u32) -> Value {
        let params = json!({
            "textDocument": {"uri": URI},
            "position": {"line": line, "character": character},
        });
        let mut answer = self.ask(&format!("textDocument/{method}"), params).await;
        answer["result"].take()
    }

    async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.server.wait()).await;
        ended
            .expect("the server ends")
            .expect("it can be waited for")
    }
}

/// `line:character-character` of a range in one line, as the protocol counts.
fn place(range: &Value) -> String {
    let (start, end) = (&range["start"], &range["end"]);
    assert_eq!(start["line"], end["line"]);
    format!(
        "{}:{}-{}",
        start["line"], start["character"], end["character"]
    )
}

const CONFIG: &str = "version: 2.1
commands:
  greet:
    description: Says hello.
    steps: [run: echo hello]
jobs:
  build:
    machine: true
    steps: [greet]
  test:
    machine: true
    steps: [greet]
workflows:
  main:
    jobs:
      - build: {name: '🧊'}
      - test: {name: '🧊🧊', requires: [biuld]}
";

#[tokio::test]
async fn an_editor_is_helped_with_a_config() {
    let mut editor = Editor::initialized().await;

    let told = editor.open(CONFIG).await;
    assert_eq!(told["method"], "textDocument/publishDiagnostics");
    assert_eq!(told["params"]["uri"], URI);
    let found = &told["params"]["diagnostics"];
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{told}");
    let (severity, source) = (&found[0]["severity"], &found[0]["source"]);
    assert_eq!((severity, source), (&json!(1), &json!("popsicle")));
    // Each ice cube is one character, and two units of UTF-16.
    assert_eq!(place(&found[0]["range"]), "16:40-45");
    assert_snapshot!(found[0]["message"].as_str().unwrap_or_default(), @"job `🧊🧊` requires `biuld`, which is not in this workflow");

    let offered = editor.ask_at("completion", 16, 42).await;
    let items = offered["items"].as_array().expect("a list of completions");
    let edits: Vec<String> = items
        .iter()
        .map(|item| {
            let edit = &item["textEdit"];
            format!("{} at {}", edit["newText"], place(&edit["range"]))
        })
        .collect();
    assert_snapshot!(edits.join("\n"), @r#""🧊" at 16:40-42"#);

    let mended = CONFIG.replace("biuld", "🧊");
    let told = editor.change(2, &mended).await;
    assert_eq!(told["params"]["version"], 2);
    assert_eq!(told["params"]["diagnostics"], json!([]));

    let hover = editor.ask_at("hover", 8, 14).await;
    assert_eq!(place(&hover["range"]), "8:12-17");
    assert_snapshot!(hover["contents"]["value"].as_str().unwrap_or_default(), @"
    **`greet`** – command

    Says hello.
    ");

    let defined = editor.ask_at("definition", 8, 14).await;
    assert_eq!(defined["uri"], URI);
    assert_eq!(place(&defined["range"]), "2:2-7");
    let required = editor.ask_at("definition", 16, 40).await;
    assert_eq!(place(&required["range"]), "15:23-25");

    // What is related is told with its place.
    let inside = mended.replace("run: echo hello", "chekout");
    let told = editor.change(3, &inside).await;
    let found = &told["params"]["diagnostics"][0];
    assert_eq!(place(&found["range"]), "4:12-19", "{told}");
    let related = &found["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], URI);
    assert_eq!(place(&related["location"]["range"]), "8:12-17");

    let unknown = editor.ask("textDocument/rename", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601);
    let wrong = editor
        .ask("textDocument/hover", json!({"position": 7}))
        .await;
    assert_eq!(wrong["error"]["code"], -32602);

    editor
        .tell(
            "textDocument/didClose",
            json!({"textDocument": {"uri": URI}}),
        )
        .await;
    let told = editor.heard().await;
    assert_eq!(told["params"]["diagnostics"], json!([]));

    assert_eq!(
        editor.ask("shutdown", Value::Null).await["result"],
        Value::Null
    );
    editor.tell("exit", Value::Null).await;
    assert_eq!(editor.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_end_without_goodbye_is_a_failure() {
    let mut hasty = Editor::initialized().await;
    hasty.tell("exit", Value::Null).await;
    assert_eq!(hasty.ended().await.code(), Some(1));

    let mut gone = Editor::initialized().await;
    drop(gone.input.take());
    assert_eq!(gone.ended().await.code(), Some(1));

    let mut early = Editor::start();
    let answer = early.ask("textDocument/hover", json!({})).await;
    assert_eq!(answer["error"]["code"], -32002);
    drop(early.input.take());
    assert_eq!(early.ended().await.code(), Some(1));
}
