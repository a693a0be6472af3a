//! `popsicle lsp`: a language server for configs, over stdin and stdout.
//!
//! One thread reads a message, answers it, and reads the next: every answer takes a few milliseconds, so
//! nothing is worth doing beside it, and an answer is always about the newest text.

mod convert;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

use clap::Args;
use config::ide::Document;
use config::{Inputs, Orbs, SourceFile, compile};
use gen_lsp_types::{
    CompletionOptions, CompletionParams, DefinitionParams, DidChangeTextDocumentParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, HoverParams, InitializeResult, Location,
    PublishDiagnosticsParams, ServerCapabilities, ServerInfo, TextDocumentContentChangeEvent,
    TextDocumentPositionParams, TextDocumentSyncKind, TextDocumentSyncOptions, Uri,
};
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Exit, Failure};

use convert::Lines;

/// How many documents are kept open; more are not answered for.
const MAX_DOCUMENTS: usize = 1_000;

/// The arguments of `lsp`.
#[derive(Debug, Args)]
pub struct LspArgs {
    /// Speak over stdin and stdout, as is done in any case; many editors say so
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Carries out the command.
pub fn run(_args: &LspArgs) -> Result<Exit, Failure> {
    Server::new(None).serve(&mut io::stdin().lock(), &mut io::stdout().lock())
}

/// How far the talk with the client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing but `initialize` is answered.
    New,
    Running,
    /// Nothing but `exit` is expected.
    ShutDown,
}

/// A document that is open in the editor.
struct Open {
    text: String,
    version: i32,
}

struct Server<'o> {
    /// Where the orbs that documents import come from.
    orbs: Option<&'o dyn Orbs>,
    phase: Phase,
    documents: HashMap<Uri, Open>,
}

/// Why a request is not answered.
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl<'o> Server<'o> {
    fn new(orbs: Option<&'o dyn Orbs>) -> Self {
        Self {
            orbs,
            phase: Phase::New,
            documents: HashMap::new(),
        }
    }

    /// Serves a client until it says `exit`, or goes away.
    fn serve(
        &mut self,
        input: &mut impl BufRead,
        output: &mut impl Write,
    ) -> Result<Exit, Failure> {
        loop {
            let message = Message::read(input).map_err(|error| {
                Failure::unable(format_args!("could not understand the editor: {error}"))
            })?;
            let answers = match message {
                Some(Message::Request(request)) => vec![self.answer(request).into()],
                Some(Message::Notification(told)) if told.method == "exit" => {
                    return Ok(self.ended());
                }
                Some(Message::Notification(told)) => self.hear(told),
                // Nothing is ever asked of the client.
                Some(Message::Response(_)) => Vec::new(),
                None => return Ok(self.ended()),
            };
            for answer in answers {
                Message::write(&answer, output).map_err(|error| Failure::output(&error))?;
            }
        }
    }

    /// Without `shutdown` the end is a failure, as the protocol has it.
    fn ended(&self) -> Exit {
        match self.phase {
            Phase::ShutDown => Exit::Success,
            Phase::New | Phase::Running => Exit::Failed,
        }
    }

    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let result = match (self.phase, method.as_str()) {
            (Phase::New, "initialize") => {
                self.phase = Phase::Running;
                value(&capabilities())
            }
            (Phase::New, _) => Err(Refusal {
                code: ErrorCode::ServerNotInitialized,
                message: format!("`{method}` came before `initialize`"),
            }),
            (Phase::ShutDown, _) => Err(Refusal {
                code: ErrorCode::InvalidRequest,
                message: format!("`{method}` came after `shutdown`"),
            }),
            (Phase::Running, "shutdown") => {
                self.phase = Phase::ShutDown;
                Ok(Value::Null)
            }
            (Phase::Running, "textDocument/hover") => self.hover(params),
            (Phase::Running, "textDocument/completion") => self.completion(params),
            (Phase::Running, "textDocument/definition") => self.definition(params),
            (Phase::Running, _) => Err(Refusal {
                code: ErrorCode::MethodNotFound,
                message: format!("`{method}` is not known"),
            }),
        };
        response(id, result)
    }

    /// Hears what an editor tells; what is not understood is left, as the protocol has it.
    fn hear(&mut self, told: Notification) -> Vec<Message> {
        if self.phase != Phase::Running {
            return Vec::new();
        }
        match told.method.as_str() {
            "textDocument/didOpen" => self.opened(told.params),
            "textDocument/didChange" => self.changed(told.params),
            "textDocument/didClose" => self.closed(told.params),
            _ => None,
        }
        .into_iter()
        .collect()
    }

    fn opened(&mut self, params: Value) -> Option<Message> {
        let params: DidOpenTextDocumentParams = serde_json::from_value(params).ok()?;
        let document = params.text_document;
        if self.documents.len() >= MAX_DOCUMENTS {
            return None;
        }
        let open = Open {
            text: document.text,
            version: document.version,
        };
        self.documents.insert(document.uri.clone(), open);
        self.diagnose(&document.uri)
    }

    fn changed(&mut self, params: Value) -> Option<Message> {
        let params: DidChangeTextDocumentParams = serde_json::from_value(params).ok()?;
        let uri = params.text_document.text_document_identifier.uri;
        let open = self.documents.get_mut(&uri)?;
        for change in params.content_changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    open.text = whole.text;
                }
                // We ask for whole texts.
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(_) => return None,
            }
        }
        open.version = params.text_document.version;
        self.diagnose(&uri)
    }

    fn closed(&mut self, params: Value) -> Option<Message> {
        let params: DidCloseTextDocumentParams = serde_json::from_value(params).ok()?;
        let uri = params.text_document.uri;
        self.documents.remove(&uri)?;
        publish(PublishDiagnosticsParams {
            uri,
            version: None,
            diagnostics: Vec::new(),
        })
    }

    /// What is wrong with a document.
    fn diagnose(&self, uri: &Uri) -> Option<Message> {
        let open = self.documents.get(uri)?;
        let file = SourceFile {
            path: uri.0.clone(),
            text: open.text.clone().into_bytes(),
        };
        let inputs = Inputs {
            orbs: self.orbs,
            ..Inputs::default()
        };
        let compiled = compile(&[file], &inputs);
        let lines = Lines::new(&open.text);
        let diagnostics = compiled.diagnostics.iter();
        publish(PublishDiagnosticsParams {
            uri: uri.clone(),
            version: Some(open.version),
            diagnostics: diagnostics
                .map(|found| convert::diagnostic(found, uri, &lines))
                .collect(),
        })
    }

    fn hover(&self, params: Value) -> Result<Value, Refusal> {
        let params: HoverParams = understood(params)?;
        self.ask(
            &params.text_document_position_params,
            |document, position, _, lines| {
                let hover = document.hover(position)?;
                Some(convert::hover(hover, lines))
            },
        )
    }

    fn completion(&self, params: Value) -> Result<Value, Refusal> {
        let params: CompletionParams = understood(params)?;
        self.ask(
            &params.text_document_position_params,
            |document, position, _, lines| {
                let completions = document.complete(position)?;
                Some(convert::completions(completions, lines))
            },
        )
    }

    fn definition(&self, params: Value) -> Result<Value, Refusal> {
        let params: DefinitionParams = understood(params)?;
        self.ask(
            &params.text_document_position_params,
            |document, position, uri, lines| {
                let span = document.definition(position)?;
                Some(Location {
                    uri: uri.clone(),
                    range: lines.range(span),
                })
            },
        )
    }

    /// Asks about a place in a document; `null` if there is nothing to say.
    fn ask<T: Serialize>(
        &self,
        place: &TextDocumentPositionParams,
        question: impl Fn(&Document<'_>, config::ide::Position, &Uri, &Lines<'_>) -> Option<T>,
    ) -> Result<Value, Refusal> {
        let uri = &place.text_document.uri;
        let Some(open) = self.documents.get(uri) else {
            return Err(Refusal {
                code: ErrorCode::InvalidParams,
                message: format!("`{}` is not open", uri.0),
            });
        };
        let lines = Lines::new(&open.text);
        let document = Document::new(&open.text, self.orbs);
        let position = lines.position(place.position);
        match question(&document, position, uri, &lines) {
            Some(answer) => value(&answer),
            None => Ok(Value::Null),
        }
    }
}

fn capabilities() -> InitializeResult {
    let triggers = [" ", "*", ".", "<", "/", "["];
    InitializeResult {
        capabilities: ServerCapabilities {
            text_document_sync: Some(
                TextDocumentSyncOptions {
                    open_close: Some(true),
                    change: Some(TextDocumentSyncKind::Full),
                    ..TextDocumentSyncOptions::default()
                }
                .into(),
            ),
            hover_provider: Some(true.into()),
            definition_provider: Some(true.into()),
            completion_provider: Some(CompletionOptions {
                trigger_characters: Some(triggers.map(str::to_owned).to_vec()),
                ..CompletionOptions::default()
            }),
            ..ServerCapabilities::default()
        },
        server_info: Some(ServerInfo {
            name: "popsicle".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        }),
    }
}

fn response(id: RequestId, result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(value) => Response::new_ok(id, value),
        Err(refusal) => Response::new_err(id, refusal.code as i32, refusal.message),
    }
}

fn publish(params: PublishDiagnosticsParams) -> Option<Message> {
    let params = serde_json::to_value(params).ok()?;
    let method = "textDocument/publishDiagnostics".to_owned();
    Some(Notification { method, params }.into())
}

fn understood<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params).map_err(|error| Refusal {
        code: ErrorCode::InvalidParams,
        message: error.to_string(),
    })
}

fn value(answer: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(answer).map_err(|error| Refusal {
        code: ErrorCode::InternalError,
        message: error.to_string(),
    })
}
