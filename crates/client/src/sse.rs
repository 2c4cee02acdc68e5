//! Server-sent events: from bytes to messages, by the rules of the HTML standard.

use std::collections::VecDeque;

/// One message at most: a piece of log is far smaller.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// One message of a stream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Message {
    /// Its kind; empty where none is named.
    pub(crate) event: String,
    /// Its place in the stream, for the next connection.
    pub(crate) id: Option<String>,
    /// What it says.
    pub(crate) data: String,
}

/// Takes bytes as they come, and gives messages when they are whole.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_carriage_return: bool,
    message: Message,
    has_data: bool,
    ready: VecDeque<Message>,
}

/// The server sends a message without end.
#[derive(Debug)]
pub(crate) struct Overlong;

impl Parser {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Overlong> {
        for &byte in bytes {
            let is_second_half = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            match byte {
                b'\n' if is_second_half => (),
                b'\n' | b'\r' => self.end_line(),
                _ if self.line.len() + self.message.data.len() >= MAX_MESSAGE_BYTES => return Err(Overlong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            return self.end_message();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.message.event = value.to_string(),
            "id" => self.message.id = Some(value.to_string()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data += value;
            }
            _ => (), // comments keep the line alive, `retry` is ours to decide
        }
    }

    fn end_message(&mut self) {
        let message = std::mem::take(&mut self.message);
        if std::mem::take(&mut self.has_data) || !message.event.is_empty() {
            self.ready.push_back(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(bytes: &[u8], piece: usize) -> Vec<Message> {
        let mut parser = Parser::default();
        for piece in bytes.chunks(piece) {
            parser.feed(piece).unwrap();
        }
        std::iter::from_fn(|| parser.next()).collect()
    }

    #[test]
    fn messages_are_the_same_however_the_bytes_are_cut() {
        let bytes = ": hello\n\nid: 7\r\ndata: \"ä\"\r\n\r\ndata:one\rdata: two\r\revent: end\ndata:\n\n".as_bytes();

        for piece in 1..bytes.len() {
            let messages = messages(bytes, piece);
            assert_eq!(messages.len(), 3, "pieces of {piece}");
            assert_eq!((messages[0].id.as_deref(), messages[0].data.as_str()), (Some("7"), "\"ä\""));
            assert_eq!(messages[1].data, "one\ntwo");
            assert_eq!(messages[2].event, "end");
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_not_given() {
        assert!(messages(b"id: 7\ndata: half", 3).is_empty());
    }

    #[test]
    fn a_message_without_end_is_refused() {
        let mut parser = Parser::default();

        assert!(parser.feed(&vec![b'x'; MAX_MESSAGE_BYTES + 1]).is_err());
    }
}
