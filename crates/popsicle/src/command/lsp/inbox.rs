//! What the editor says. A thread reads ahead, so that a request which was taken back while another was
//! dealt with is not answered, and so that it can be told when the editor has said all for now.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use lsp_server::{Message, RequestId};

/// How many messages wait between the thread and us; then the editor waits.
const QUEUE: usize = 16;

/// How many messages are looked at ahead of their turn.
const MAX_AHEAD: usize = 64;

/// The largest message that is read, in bytes: the largest config, each of its characters escaped, several
/// times over.
const MAX_MESSAGE_BYTES: u64 = 32 << 20;

/// The longest line of a message's head, in bytes.
const MAX_HEAD_LINE_BYTES: u64 = 4096;

/// How many lines the head of a message may have.
const MAX_HEAD_LINES: usize = 32;

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
        let read = match read_message(input) {
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

/// The next message; none at the end of the input. The editor says how long it is, and is believed only as
/// far as an editor may go: room is made for what comes, not for what is announced.
fn read_message(input: &mut impl BufRead) -> io::Result<Option<Message>> {
    let broken = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut announced = None;
    for number in 0.. {
        let mut line = Vec::new();
        input
            .by_ref()
            .take(MAX_HEAD_LINE_BYTES)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() && number == 0 {
            return Ok(None);
        }
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err(broken("a line of a message's head has no end".to_owned()));
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if number >= MAX_HEAD_LINES {
            return Err(broken("the head of a message has no end".to_owned()));
        }
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            return Err(broken("a line of a message's head has no `:`".to_owned()));
        };
        if name.trim().eq_ignore_ascii_case("Content-Length") {
            let length = value.trim().parse::<u64>();
            announced = Some(length.map_err(|_| {
                broken("the `Content-Length` of a message is not a number of bytes".to_owned())
            })?);
        }
    }
    let length = announced.ok_or_else(|| broken("a message has no `Content-Length`".to_owned()))?;
    if length > MAX_MESSAGE_BYTES {
        return Err(broken(format!(
            "a message of {length} bytes is announced, and {MAX_MESSAGE_BYTES} are the most"
        )));
    }
    let mut body = Vec::new();
    input.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(broken(
            "a message ends before its `Content-Length`".to_owned(),
        ));
    }
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|error| broken(format!("a message makes no sense: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let mut input = text.as_bytes();
        match read_message(&mut input) {
            Ok(Some(message)) => serde_json::to_string(&message).unwrap(),
            Ok(None) => "the end".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_message_is_read_as_long_as_it_says() {
        let exit = r#"{"method":"exit"}"#;
        let length = exit.len();
        for head in [
            format!("Content-Length: {length}\r\n"),
            format!("Content-Type: application/json\r\ncontent-length:{length}\r\n"),
        ] {
            assert!(
                told(&format!("{head}\r\n{exit}more")).contains("\"exit\""),
                "{head}"
            );
        }
        assert_eq!(told(""), "the end");
    }

    #[test]
    fn what_is_no_message_is_refused_without_room_for_it() {
        for (text, why) in [
            (
                "Content-Length: 18446744073709551615\r\n\r\n{}",
                "33554432 are the most",
            ),
            (
                "Content-Length: 99999999999999999999999\r\n\r\n",
                "not a number of bytes",
            ),
            ("Content-Length: -1\r\n\r\n", "not a number of bytes"),
            ("Content-Length: 33554432\r\n\r\n{}", "ends before"),
            ("Content-Length: 2\r\n\r\n{]", "makes no sense"),
            ("Content-Type: a\r\n\r\n{}", "has no `Content-Length`"),
            ("hello\r\n\r\n", "has no `:`"),
            ("hello", "has no end"),
        ] {
            assert!(told(text).contains(why), "{text}: {}", told(text));
        }
        assert!(told(&"x".repeat(10_000)).contains("has no end"));
        assert!(told(&"a: b\r\n".repeat(100)).contains("has no end"));
    }
}
