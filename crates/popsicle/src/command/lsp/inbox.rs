//! What the editor says. A thread reads ahead, so that a request which was taken back while another was
//! dealt with is not answered, and so that it can be told when the editor has said all for now.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use lsp_server::{Message, RequestId};

/// How many messages wait between the thread and us; then the editor waits.
const QUEUE: usize = 16;

/// How many messages are looked at ahead of their turn.
const MAX_AHEAD: usize = 64;

/// What the thread hands on: a message, or why it can't read any more.
pub(super) type Read = io::Result<Message>;

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Message),
    /// Nothing, for as long as was asked.
    Quiet,
    /// The editor has gone.
    End,
    /// What the editor said is no message.
    Broken(io::Error),
}

/// The messages of an editor, in order.
#[derive(Debug)]
pub(super) struct Inbox {
    read: Receiver<Read>,
    ahead: VecDeque<Read>,
}

impl Inbox {
    pub(super) fn new(read: Receiver<Read>) -> Self {
        Self {
            read,
            ahead: VecDeque::new(),
        }
    }

    /// Reads what `open` gives in a thread of its own. It ends with `exit`, at the end of the input, at what
    /// is no message, and once nobody listens. It can't be ended while the editor is silent, so that it is
    /// not waited for: it goes with the process.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn reading<R: BufRead>(
        open: impl FnOnce() -> R + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        thread::Builder::new()
            .name("editor".to_owned())
            .spawn(move || read_all(&mut open(), &sender))?;
        Ok(Self::new(receiver))
    }

    /// The next message, however long that takes.
    pub(super) fn next(&mut self) -> Heard {
        let next = self.ahead.pop_front();
        heard(next.or_else(|| self.read.recv().ok()))
    }

    /// The next message, if it comes within a time.
    pub(super) fn next_within(&mut self, wait: Duration) -> Heard {
        if self.ahead.is_empty() {
            return match self.read.recv_timeout(wait) {
                Ok(read) => heard(Some(read)),
                Err(RecvTimeoutError::Timeout) => Heard::Quiet,
                Err(RecvTimeoutError::Disconnected) => Heard::End,
            };
        }
        self.next()
    }

    /// Whether the editor has taken a request back already.
    pub(super) fn is_canceled(&mut self, request: &RequestId) -> bool {
        let room = MAX_AHEAD.saturating_sub(self.ahead.len());
        self.ahead.extend(self.read.try_iter().take(room));
        self.ahead
            .iter()
            .any(|read| canceled(read).as_ref() == Some(request))
    }
}

fn heard(read: Option<Read>) -> Heard {
    match read {
        Some(Ok(message)) => Heard::Message(message),
        Some(Err(error)) => Heard::Broken(error),
        None => Heard::End,
    }
}

/// The request that a message takes back.
fn canceled(read: &Read) -> Option<RequestId> {
    let Ok(Message::Notification(told)) = read else {
        return None;
    };
    if told.method != "$/cancelRequest" {
        return None;
    }
    serde_json::from_value(told.params.get("id")?.clone()).ok()
}

fn read_all(input: &mut impl BufRead, sender: &SyncSender<Read>) {
    loop {
        let read = match Message::read(input) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let is_last = match &read {
            Ok(Message::Notification(told)) => told.method == "exit",
            Ok(Message::Request(_) | Message::Response(_)) => false,
            Err(_) => true,
        };
        if sender.send(read).is_err() || is_last {
            return;
        }
    }
}
