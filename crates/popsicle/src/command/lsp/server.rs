//! Answers an editor, and tells it what is wrong with its documents.
//!
//! Every answer takes a few milliseconds, so one thread gives them in order, each about the newest text. What
//! is wrong takes longer to tell, and is told once the editor pauses: of a burst of changes only the last
//! is compiled.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use config::ide::Document;
use config::{Inputs, Orbs, SourceFile, compile};
use gen_lsp_types::{
    CompletionOptions, CompletionParams, DefinitionParams, DidChangeTextDocumentParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams, HoverParams,
    InitializeResult, Location, PublishDiagnosticsParams, ServerCapabilities, ServerInfo,
    TextDocumentContentChangeEvent, TextDocumentPositionParams, TextDocumentSyncKind,
    TextDocumentSyncOptions, Uri,
};
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Exit, Failure};

use super::convert::{self, Lines, Shown};
use super::documents::{Config, Documents};
use super::inbox::{Heard, Inbox};

/// How long an editor says nothing before it is told what is wrong.
const PAUSE: Duration = Duration::from_millis(40);

/// How long it waits for that at most while it goes on.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// Where the orbs come from that the configs of a project import; the project is its folder, if there is one.
pub(super) type OrbsOf = dyn Fn(Option<&Path>) -> Option<Box<dyn Orbs>>;

/// How far the talk with the client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing but `initialize` is answered.
    New,
    Running,
    /// Nothing but `exit` is expected.
    ShutDown,
}

pub(super) struct Server {
    orbs_of: Box<OrbsOf>,
    phase: Phase,
    documents: Documents,
    /// The documents that have to be looked at, and since when the first of them has.
    changed: Vec<Uri>,
    changed_since: Option<Instant>,
}

/// Why a request is not answered.
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Server {
    pub(super) fn new(orbs_of: Box<OrbsOf>) -> Self {
        Self {
            orbs_of,
            phase: Phase::New,
            documents: Documents::default(),
            changed: Vec::new(),
            changed_since: None,
        }
    }

    /// Serves a client until it says `exit`, or goes away.
    pub(super) fn serve(
        &mut self,
        mut inbox: Inbox,
        output: &mut impl Write,
    ) -> Result<Exit, Failure> {
        loop {
            let heard = match self.changed_since {
                None => inbox.next(),
                Some(since) if since.elapsed() < MAX_WAIT => inbox.next_within(PAUSE),
                Some(_) => Heard::Quiet,
            };
            let answers = match heard {
                Heard::Message(Message::Request(request)) => {
                    let is_canceled = inbox.is_canceled(&request.id);
                    vec![self.answer(request, is_canceled).into()]
                }
                Heard::Message(Message::Notification(told)) if told.method == "exit" => {
                    return Ok(self.ended());
                }
                Heard::Message(Message::Notification(told)) => {
                    self.hear(told).into_iter().collect()
                }
                // Nothing is ever asked of the client.
                Heard::Message(Message::Response(_)) => Vec::new(),
                Heard::Quiet => self.diagnose_next(),
                Heard::End => return Ok(self.ended()),
                Heard::Broken(error) => {
                    return Err(Failure::unable(format_args!(
                        "could not understand the editor: {error}"
                    )));
                }
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

    fn answer(&mut self, request: Request, is_canceled: bool) -> Response {
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
            (Phase::Running, "initialize") => Err(Refusal {
                code: ErrorCode::InvalidRequest,
                message: "`initialize` came twice".to_owned(),
            }),
            (Phase::Running, "shutdown") => {
                self.phase = Phase::ShutDown;
                self.changed.clear();
                self.changed_since = None;
                Ok(Value::Null)
            }
            (Phase::Running, _) if is_canceled => Err(Refusal {
                code: ErrorCode::RequestCanceled,
                message: format!("`{method}` was canceled"),
            }),
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
    fn hear(&mut self, told: Notification) -> Option<Message> {
        if self.phase != Phase::Running {
            return None;
        }
        match told.method.as_str() {
            "textDocument/didOpen" => self.opened(told.params),
            "textDocument/didChange" => self.changed(told.params),
            "textDocument/didSave" => self.saved(told.params),
            "textDocument/didClose" => return self.closed(told.params),
            "workspace/didChangeWatchedFiles" => {
                let all: Vec<Uri> = self.documents.uris().cloned().collect();
                all.into_iter().for_each(|uri| self.look_at(uri));
                None
            }
            _ => None,
        };
        None
    }

    fn opened(&mut self, params: Value) -> Option<()> {
        let params: DidOpenTextDocumentParams = serde_json::from_value(params).ok()?;
        let uri = params.text_document.uri.clone();
        self.documents
            .open(params.text_document)
            .then(|| self.look_at(uri))
    }

    fn changed(&mut self, params: Value) -> Option<()> {
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
        self.look_at(uri);
        Some(())
    }

    /// Others of its config may have changed on disk since.
    fn saved(&mut self, params: Value) -> Option<()> {
        let params: DidSaveTextDocumentParams = serde_json::from_value(params).ok()?;
        let uri = params.text_document.uri;
        self.documents.get(&uri)?;
        self.look_at(uri);
        Some(())
    }

    fn closed(&mut self, params: Value) -> Option<Message> {
        let params: DidCloseTextDocumentParams = serde_json::from_value(params).ok()?;
        let uri = params.text_document.uri;
        let others = self.documents.close(&uri)?;
        self.changed.retain(|changed| *changed != uri);
        // To them it counts as it is on disk from now on.
        others.into_iter().for_each(|other| self.look_at(other));
        publish(PublishDiagnosticsParams {
            uri,
            version: None,
            diagnostics: Vec::new(),
        })
    }

    /// Has a document looked at when the editor pauses.
    fn look_at(&mut self, uri: Uri) {
        if !self.changed.contains(&uri) {
            self.changed.push(uri);
        }
        self.changed_since.get_or_insert_with(Instant::now);
    }

    /// What is wrong with the next document that has to be looked at, and with what else of its config is
    /// open.
    fn diagnose_next(&mut self) -> Vec<Message> {
        let uri = self.changed.pop();
        let config = uri.and_then(|uri| self.documents.config_of(&uri));
        let files = config.iter().flat_map(|config| &config.files);
        let looked_at: Vec<&Uri> = files.map(|file| &file.uri).collect();
        self.changed.retain(|changed| !looked_at.contains(&changed));
        if self.changed.is_empty() {
            self.changed_since = None;
        }
        config.map_or(Vec::new(), |config| self.diagnose(&config))
    }

    fn diagnose(&self, config: &Config) -> Vec<Message> {
        let files: Vec<SourceFile> = config
            .files
            .iter()
            .map(|file| SourceFile {
                path: file.path.clone(),
                text: file.text.clone(),
            })
            .collect();
        let orbs = (self.orbs_of)(config.root.as_deref());
        let inputs = Inputs {
            orbs: orbs.as_deref(),
            all_workflows: true,
            ..Inputs::default()
        };
        let compiled = compile(&files, &inputs);
        let texts: Vec<_> = files
            .iter()
            .map(|file| String::from_utf8_lossy(&file.text))
            .collect();
        let shown: Vec<Shown<'_>> = config
            .files
            .iter()
            .zip(&texts)
            .map(|(file, text)| Shown {
                path: &file.path,
                uri: &file.uri,
                lines: Lines::new(text),
            })
            .collect();
        let open = config.files.iter().zip(&shown);
        open.filter_map(|(file, own)| {
            let version = file.version?;
            let found = compiled.diagnostics.iter();
            publish(PublishDiagnosticsParams {
                uri: file.uri.clone(),
                version: Some(version),
                diagnostics: found
                    .filter_map(|found| convert::diagnostic(found, own, &shown))
                    .collect(),
            })
        })
        .collect()
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
        let orbs = (self.orbs_of)(self.documents.root_of(uri).as_deref());
        let document = Document::new(&open.text, orbs.as_deref());
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
                    save: Some(true.into()),
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

#[cfg(test)]
mod tests;
