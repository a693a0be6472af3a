//! An editor that speaks to `popsicle lsp`.

use std::fs;
use std::path::Path;
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

    /// Says several things in one go.
    async fn send(&mut self, messages: &[Value]) {
        let framed: String = messages.iter().map(framed).collect();
        let input = self.input.as_mut().expect("the editor has not hung up");
        input
            .write_all(framed.as_bytes())
            .await
            .expect("the server reads");
    }

    async fn tell(&mut self, method: &str, params: Value) {
        self.send(&[json!({"jsonrpc": "2.0", "method": method, "params": params})])
            .await;
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&[json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})])
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
        self.open_at(URI, text).await
    }

    async fn open_at(&mut self, uri: &str, text: &str) -> Value {
        let document = json!({"uri": uri, "languageId": "yaml", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}))
            .await;
        self.heard().await
    }

    async fn close(&mut self, uri: &str) -> Value {
        let params = json!({"textDocument": {"uri": uri}});
        self.tell("textDocument/didClose", params).await;
        self.heard().await
    }

    /// Replaces the whole text.
    async fn change(&mut self, version: i32, text: &str) -> Value {
        self.send(&[change(URI, version, text)]).await;
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

fn framed(message: &Value) -> String {
    let text = message.to_string();
    format!("Content-Length: {}\r\n\r\n{text}", text.len())
}

fn change(uri: &str, version: i32, text: &str) -> Value {
    let params = json!({
        "textDocument": {"uri": uri, "version": version},
        "contentChanges": [{"text": text}],
    });
    json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params})
}

/// What an editor is told is wrong, a line each with its place.
fn wrong(told: &Value) -> String {
    assert_eq!(told["method"], "textDocument/publishDiagnostics", "{told}");
    let found = told["params"]["diagnostics"].as_array();
    let lines: Vec<String> = found
        .expect("a list of diagnostics")
        .iter()
        .map(|found| {
            let message = found["message"].as_str().unwrap_or_default();
            format!("{} {message}", place(&found["range"]))
        })
        .collect();
    lines.join("\n")
}

fn uri_of(path: &Path) -> String {
    format!("file://{}", path.display())
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

    let twice = editor.ask("initialize", json!({})).await;
    assert_eq!(twice["error"]["code"], -32600);

    let told = editor.close(URI).await;
    assert_eq!(told["params"]["uri"], URI);
    assert_eq!(told["params"]["diagnostics"], json!([]));
    let closed = editor
        .ask(
            "textDocument/hover",
            json!({"textDocument": {"uri": URI}, "position": {"line": 0, "character": 0}}),
        )
        .await;
    assert_eq!(closed["error"]["code"], -32602);

    assert_eq!(
        editor.ask("shutdown", Value::Null).await["result"],
        Value::Null
    );
    let late = editor.ask("textDocument/hover", json!({})).await;
    assert_eq!(late["error"]["code"], -32600);
    editor.tell("exit", Value::Null).await;
    assert_eq!(editor.ended().await.code(), Some(0));
}

#[tokio::test]
async fn the_files_of_a_folder_are_one_config() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let root = temp.path().canonicalize().expect("it is there");
    let folder = root.join(".popsicle");
    fs::create_dir(&folder).expect("a folder can be made");
    let config = |workflow: &str| {
        format!(
            "version: 2.1\njobs:\n  a:\n    machine: true\n    steps: [checkout]\nworkflows:\n  {workflow}:\n    jobs: [a]\n"
        )
    };
    for name in ["one.yml", "two words.yml"] {
        fs::write(folder.join(name), config("main")).expect("a file can be written");
    }
    let one = uri_of(&folder.join("one.yml"));
    let two = uri_of(&folder).to_owned() + "/two%20words.yml";
    let mut editor = Editor::initialized().await;

    let told = editor.open_at(&two, &config("main")).await;
    assert_eq!(told["params"]["uri"], *two);
    assert_snapshot!(wrong(&told), @"6:2-6 there are two workflows named `main`");
    let related = &told["params"]["diagnostics"][0]["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], *one);
    assert_eq!(place(&related["location"]["range"]), "6:2-6");

    // What is in the editor counts, not what is on disk, and for the other file as well.
    let document = json!({"uri": one, "languageId": "yaml", "version": 1, "text": config("other")});
    editor
        .tell("textDocument/didOpen", json!({"textDocument": document}))
        .await;
    for told in [editor.heard().await, editor.heard().await] {
        assert_eq!(wrong(&told), "");
    }

    // Closed without having been saved.
    let told = editor.close(&one).await;
    assert_eq!(told["params"]["uri"], *one);
    let told = editor.heard().await;
    assert_eq!(told["params"]["uri"], *two);
    assert_snapshot!(wrong(&told), @"6:2-6 there are two workflows named `main`");

    // Changed on disk by another program.
    fs::write(folder.join("one.yml"), config("other")).expect("a file can be written");
    let changes = json!({"changes": [{"uri": one, "type": 2}]});
    editor
        .tell("workspace/didChangeWatchedFiles", changes)
        .await;
    assert_snapshot!(wrong(&editor.heard().await), @"");
}

#[tokio::test]
async fn what_imported_orbs_bring_is_known() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let root = temp.path().canonicalize().expect("it is there");
    let orbs = root.join(".popsicle/orbs/acme");
    fs::create_dir_all(&orbs).expect("a folder can be made");
    fs::create_dir(root.join(".circleci")).expect("a folder can be made");
    let uri = uri_of(&root.join(".circleci/config.yml"));
    let config = |step: &str| {
        format!(
            "version: 2.1\norbs:\n  hello: acme/hello@1\njobs:\n  build:\n    machine: true\n    steps: [{step}]\n"
        )
    };
    let mut editor = Editor::initialized().await;
    let told = editor.open_at(&uri, &config("hello/greet")).await;
    assert_snapshot!(wrong(&told), @"
    2:9-21 the orb `acme/hello@1` is not at hand
    `popsicle orb add acme/hello@1` fetches it, and `popsicle orb vendor` then brings it along with the project
    ");

    let orb = "version: 2.1\ncommands:\n  greet:\n    description: Says hello.\n    steps: [run: echo hello]\n";
    fs::write(orbs.join("hello@1.0.0.yml"), orb).expect("a file can be written");
    let changes = json!({"changes": [{"uri": uri_of(&orbs.join("hello@1.0.0.yml")), "type": 1}]});
    editor
        .tell("workspace/didChangeWatchedFiles", changes)
        .await;
    assert_snapshot!(wrong(&editor.heard().await), @"");

    let document = json!({"uri": uri, "version": 2});
    let text = json!([{"text": config("hello/great")}]);
    let changed = json!({"textDocument": document, "contentChanges": text});
    editor.tell("textDocument/didChange", changed).await;
    assert_snapshot!(wrong(&editor.heard().await), @"
    6:12-23 the orb `hello` has no command `great`
    did you mean `hello/greet`?
    ");
}

#[tokio::test]
async fn ends_of_lines_and_byte_order_marks_move_no_place() {
    for (mark, end) in [
        ("", "\r\n"),
        ("\u{feff}", "\n"),
        ("\u{feff}", "\r\n"),
        ("", "\r"),
    ] {
        let mut editor = Editor::initialized().await;
        let text = format!("{mark}{}", CONFIG.replace('\n', end));
        let told = editor.open(&text).await;
        let expected = "16:40-45 job `🧊🧊` requires `biuld`, which is not in this workflow";
        assert_eq!(wrong(&told), expected, "{mark:?} {end:?}");
        let defined = editor.ask_at("definition", 8, 14).await;
        assert_eq!(place(&defined["range"]), "2:2-7");
        let lead = u32::from(!mark.is_empty());
        let hover = editor.ask_at("hover", 0, 2 + lead).await;
        let place = place(&hover["range"]);
        assert_eq!(place, format!("0:{lead}-{}", 7 + lead));
    }
}

#[tokio::test]
async fn of_a_burst_of_changes_the_last_is_told_of() {
    let mut editor = Editor::initialized().await;
    assert_ne!(wrong(&editor.open(CONFIG).await), "");
    let changes: Vec<Value> = (2..=100)
        .map(|version| {
            let text = match version {
                100 => CONFIG.replace("biuld", "🧊"),
                _ => format!("{CONFIG}# {version}"),
            };
            change(URI, version, &text)
        })
        .collect();
    editor.send(&changes).await;
    let mut count = 0;
    loop {
        let told = editor.heard().await;
        count += 1;
        if told["params"]["version"] == 100 {
            assert_eq!(wrong(&told), "");
            break;
        }
    }
    assert!(count < changes.len() / 2, "told {count} times");
}

#[tokio::test]
async fn what_is_taken_back_gets_one_answer_all_the_same() {
    let mut editor = Editor::initialized().await;
    editor.open(CONFIG).await;
    let at = json!({"textDocument": {"uri": URI}, "position": {"line": 8, "character": 14}});
    let request = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "textDocument/hover", "params": at});
    let cancel =
        |id: Value| json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}});
    let words = [
        request(json!("a")),
        cancel(json!("a")),
        cancel(json!("never asked")),
        request(json!("b")),
    ];
    editor.send(&words).await;
    let answer = editor.heard().await;
    assert_eq!(answer["id"], "a");
    // It may have been answered before it was taken back.
    let is_canceled = answer["error"]["code"] == -32800;
    assert!(is_canceled || answer["result"].is_object(), "{answer}");
    let answer = editor.heard().await;
    assert_eq!(answer["id"], "b");
    assert!(answer["result"].is_object(), "{answer}");
}

#[tokio::test]
async fn a_text_that_is_no_yaml_yet_is_completed() {
    let mut editor = Editor::initialized().await;
    let text = CONFIG.replace("requires: [biuld]}", "requires: [") + "  nightly\n  :\n\t";
    assert_ne!(wrong(&editor.open(&text).await), "");
    let offered = editor.ask_at("completion", 16, 40).await;
    assert_eq!(offered["items"][0]["label"], "🧊", "{offered}");
    let hover = editor.ask_at("hover", 8, 14).await;
    assert_eq!(place(&hover["range"]), "8:12-17");
}

#[tokio::test]
async fn a_text_that_is_too_large_is_refused_and_nothing_more() {
    let mut editor = Editor::initialized().await;
    let large = "# a comment that fills the file\n".repeat(200_000);
    let told = editor.open(&large).await;
    assert_snapshot!(wrong(&told), @"
    0:0-0 the file is too large: 6250 KiB, at most 1024 KiB are read
    split it into several files under `.popsicle/`
    ");
    let hover = editor.ask_at("hover", 100_000, 3).await;
    assert_eq!(hover, Value::Null);
    let told = editor.change(2, CONFIG).await;
    assert_eq!(
        told["params"]["diagnostics"].as_array().map(Vec::len),
        Some(1)
    );
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
