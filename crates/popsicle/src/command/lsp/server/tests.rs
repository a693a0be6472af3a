//! What needs an editor that has said all before the server listens, or orbs that are at hand.

use std::io::BufReader;
use std::sync::mpsc::sync_channel;

use config::OrbSource;
use serde_json::json;

use super::*;

/// One orb.
struct Greeter;

impl Orbs for Greeter {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        if reference != "acme/greeter@1.0" {
            return Err("is not at hand".to_owned());
        }
        Ok(OrbSource {
            name: "acme/greeter@1.0.0".to_owned(),
            text: b"version: 2.1\ncommands:\n  hello:\n    description: Says hello.\n    steps: [run: echo hello]\n".to_vec(),
        })
    }
}

/// All that a server says to an editor who says these things.
fn said(words: &[Value]) -> Vec<Value> {
    let (sender, receiver) = sync_channel(words.len());
    for word in words {
        let message = serde_json::from_value(word.clone()).unwrap();
        sender.send(Ok(message)).unwrap();
    }
    drop(sender);
    let mut output = Vec::new();
    let mut server = Server::new(Box::new(|_root| Some(Box::new(Greeter))));
    let exit = server.serve(Inbox::new(receiver), &mut output).unwrap();
    assert_eq!(exit, Exit::Success);
    let mut input = BufReader::new(output.as_slice());
    let mut said = Vec::new();
    while let Some(message) = Message::read(&mut input).unwrap() {
        said.push(serde_json::to_value(message).unwrap());
    }
    said
}

const URI: &str = "untitled:Untitled-1";

const CONFIG: &str = "version: 2.1
orbs:
  greeter: acme/greeter@1.0
jobs:
  build:
    machine: true
    steps: [greeter/hello]
";

fn talk(between: &[Value]) -> Vec<Value> {
    let document = json!({"uri": URI, "languageId": "yaml", "version": 1, "text": CONFIG});
    let mut words = vec![
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}),
        json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}),
    ];
    words.extend_from_slice(between);
    words.push(json!({"jsonrpc": "2.0", "id": 99, "method": "shutdown"}));
    words.push(json!({"jsonrpc": "2.0", "method": "exit"}));
    let said = said(&words);
    said[1..said.len() - 1].to_vec()
}

fn ask(id: i32, method: &str, line: u32, character: u32) -> Value {
    let params =
        json!({"textDocument": {"uri": URI}, "position": {"line": line, "character": character}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[test]
fn what_was_taken_back_is_not_answered() {
    let answers = talk(&[
        ask(2, "textDocument/hover", 6, 20),
        ask(3, "textDocument/hover", 6, 20),
        json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 2}}),
        json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": "3"}}),
    ]);
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers[0]["error"]["code"], -32800);
    assert!(answers[1]["result"].is_object(), "{answers:?}");
}

#[test]
fn orbs_that_are_at_hand_are_known() {
    let answers = talk(&[
        ask(2, "textDocument/hover", 6, 20),
        ask(3, "textDocument/definition", 6, 20),
        ask(4, "textDocument/completion", 6, 20),
    ]);
    let hover = answers[0]["result"]["contents"]["value"].as_str();
    assert_eq!(hover, Some("**`greeter/hello`** – command\n\nSays hello."));
    let defined = &answers[1]["result"]["range"];
    assert_eq!(defined["start"], json!({"line": 2, "character": 2}));
    let offered = answers[2]["result"]["items"].as_array().unwrap();
    assert!(offered.iter().any(|item| item["label"] == "greeter/hello"));

    let mut server = Server::new(Box::new(|_root| Some(Box::new(Greeter))));
    server.phase = Phase::Running;
    let document = json!({"uri": URI, "languageId": "yaml", "version": 1, "text": CONFIG});
    server.opened(json!({"textDocument": document}));
    let told = serde_json::to_value(server.diagnose_next()).unwrap();
    assert_eq!(told[0]["params"]["diagnostics"], json!([]), "{told}");
}
