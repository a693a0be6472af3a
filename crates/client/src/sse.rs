//! Reads server-sent events (WHATWG HTML, 9.2.6) from bytes as they come.

/// The most that one message may have, in bytes: ours are far smaller.
const LIMIT: usize = 1 << 20;

/// A message that has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What was read of a message so far.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_return: bool,
    id: Option<String>,
    data: String,
    has_data: bool,
}

impl Parser {
    /// The last id that was sent, with a message or alone.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Takes the next bytes, and gives the data of the messages that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut messages = Vec::new();
        for byte in bytes {
            // A line ends with \r, \n or \r\n.
            let second_half = *byte == b'\n' && std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    messages.extend(self.end_line(&String::from_utf8_lossy(&line)));
                }
                other => {
                    self.after_return = false;
                    if self.line.len() + self.data.len() >= LIMIT {
                        return Err(TooLong);
                    }
                    self.line.push(*other);
                }
            }
        }
        Ok(messages)
    }

    fn end_line(&mut self, line: &str) -> Option<String> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then_some(data);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments, and fields that we have no use for.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        ": hello\n\nid: 7\nevent: job\ndata: a\ndata:b\n\ndata\r\n\r\ndata: c\rid: 8\r\r";

    #[test]
    fn messages_are_read_whole_and_in_any_pieces() {
        let want = ["a\nb", "", "c"];
        for size in [TEXT.len(), 1, 2, 3, 4, 5] {
            let mut parser = Parser::default();
            let messages: Vec<_> = TEXT
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| parser.feed(chunk).unwrap())
                .collect();
            assert_eq!(messages, want, "in pieces of {size}");
            assert_eq!(parser.last_id(), Some("8"));
        }
    }

    #[test]
    fn an_unfinished_message_is_not_given_and_an_endless_one_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(b"data: a\n"), Ok(vec![]));
        let endless = vec![b'x'; LIMIT + 1];
        assert_eq!(parser.feed(&endless), Err(TooLong));
    }
}
