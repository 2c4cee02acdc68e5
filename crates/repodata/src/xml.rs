//! Writing text into XML, and pulling elements out of XML without trusting it.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

use quick_xml::{
    XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
};

use crate::{Error, Result};

/// How deep metadata nests: repomd/data/location is 3, metadata/package/format/requires/entry is 5.
const MAX_DEPTH: usize = 16;
/// The most XML between two packages: the largest known package, with 100,000 files, has 10 MB.
const MAX_PACKAGE_BYTES: u64 = 64 << 20;

/// Returns text as it stands between tags.
pub(crate) fn text(content: &str) -> Cow<'_, str> {
    escape(content, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        _ => None,
    })
}

/// Returns text as it stands between double quotes.
pub(crate) fn attribute(content: &str) -> Cow<'_, str> {
    escape(content, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        '\t' => Some("&#9;"),
        _ => None,
    })
}

fn escape(content: &str, replace: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    // Most text is plain; a table says so of bytes three times as fast as questions about characters.
    if !content.bytes().any(|byte| MAY_CHANGE[usize::from(byte)]) {
        return Cow::Borrowed(content);
    }
    let mut out = String::with_capacity(content.len() + 16);
    for c in content.chars().filter(|c| !is_forbidden(*c)) {
        match replace(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Bytes of characters that [`text`] or [`attribute`] may write otherwise, or leave out; 0xef begins U+FFFE and U+FFFF.
const MAY_CHANGE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte < 0x20 || matches!(byte as u8, b'&' | b'<' | b'>' | b'"' | 0xef);
        byte += 1;
    }
    table
};

/// Characters that XML 1.0 cannot carry in any form; they are left out.
fn is_forbidden(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// What comes next in a document.
pub(crate) enum Node {
    Start(Element),
    Text(String),
    End,
    Eof,
}

/// An element's name without its prefix, and its attributes with theirs.
pub(crate) struct Element {
    pub(crate) name: String,
    /// The name with its prefix.
    pub(crate) full_name: String,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Element {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A document that is read from front to back.
pub(crate) struct Document<R: BufRead> {
    reader: quick_xml::Reader<Metered<R>>,
    buffer: Vec<u8>,
    depth: usize,
    pub(crate) name: String,
}

impl<R: BufRead> Document<R> {
    pub(crate) fn new(reader: R, name: &str) -> Document<R> {
        let mut reader = quick_xml::Reader::from_reader(Metered { reader, left: MAX_PACKAGE_BYTES });
        reader.config_mut().expand_empty_elements = true;
        Document { reader, buffer: Vec::new(), depth: 0, name: name.to_string() }
    }

    pub(crate) fn error(&self, reason: impl ToString) -> Error {
        let at = self.reader.buffer_position();
        Error::malformed(&self.name, format!("{} (near byte {at})", reason.to_string()))
    }

    /// Tells that what was read so far is dealt with, so that the bound counts anew.
    pub(crate) fn settle(&mut self) {
        self.reader.get_mut().left = MAX_PACKAGE_BYTES;
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the next node; comments and instructions are passed over, a document type that defines something is refused.
    pub(crate) fn next(&mut self) -> Result<Node> {
        loop {
            self.buffer.clear();
            let mut buffer = std::mem::take(&mut self.buffer);
            let node = self.step(&mut buffer);
            self.buffer = buffer;
            if let Some(node) = node? {
                return Ok(node);
            }
        }
    }

    fn step(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Node>> {
        let event = match self.reader.read_event_into(buffer) {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) if error.kind() == io::ErrorKind::QuotaExceeded => {
                let (name, what) = (self.name.clone(), "one package, or the whole,");
                return Err(Error::TooLarge { name, what, limit_bytes: MAX_PACKAGE_BYTES });
            }
            Err(error) => return Err(self.error(error)),
        };
        match event {
            Event::Start(start) => {
                let element = element(&start).map_err(|reason| self.error(reason))?;
                self.depth += 1;
                match self.depth > MAX_DEPTH {
                    true => Err(self.error("it nests too deeply")),
                    false => Ok(Some(Node::Start(element))),
                }
            }
            Event::End(_) => {
                self.depth -= 1;
                Ok(Some(Node::End))
            }
            Event::Text(content) => Ok(Some(Node::Text(content.xml10_content().into_owned()))),
            Event::CData(content) => Ok(Some(Node::Text(content.xml10_content().into_owned()))),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(c)) => Ok(Some(Node::Text(c.to_string()))),
                Ok(None) => match resolve_predefined_entity(&reference) {
                    Some(text) => Ok(Some(Node::Text(text.to_string()))),
                    None => Err(self.error("it refers to an unknown entity")),
                },
                Err(error) => Err(self.error(error)),
            },
            // One that is only named, as that of comps.xml, is never looked for; one that defines something is a trap.
            Event::DocType(kind) if !kind.contains('[') => Ok(None),
            Event::DocType(_) => Err(self.error("its document type defines something")),
            Event::Eof if self.depth > 0 => Err(self.error("it ends too early")),
            Event::Eof => Ok(Some(Node::Eof)),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => Ok(None),
        }
    }

    /// Returns the text up to the end of the element that was just started.
    pub(crate) fn read_text(&mut self) -> Result<String> {
        let mut content = String::new();
        loop {
            match self.next()? {
                Node::Text(more) => content.push_str(&more),
                Node::End => return Ok(content),
                Node::Start(element) => {
                    return Err(self.error(format!("<{}> stands where text should be", element.name)));
                }
                Node::Eof => return Err(self.error("it ends too early")),
            }
        }
    }

    /// Passes over the rest of the element that was just started.
    pub(crate) fn skip(&mut self) -> Result<()> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }
}

fn element(start: &BytesStart<'_>) -> std::result::Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        attributes.push((attribute.key.into_inner().to_string(), value.into_owned()));
    }
    let (name, full_name) = (start.local_name().into_inner().to_string(), start.name().into_inner().to_string());
    Ok(Element { name, full_name, attributes })
}

/// A reader that fails when too much is read before it is told to go on.
struct Metered<R> {
    reader: R,
    left: u64,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let read = available.len().min(buffer.len());
        buffer[..read].copy_from_slice(&available[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.left {
            0 => Err(io::Error::new(io::ErrorKind::QuotaExceeded, "it is too large")),
            _ => self.reader.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.reader.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(document: &str) -> Result<(String, String)> {
        let mut document = Document::new(document.as_bytes(), "test");
        match document.next()? {
            Node::Start(element) => Ok((element.get("a").unwrap_or_default().to_string(), document.read_text()?)),
            _ => Err(document.error("no element")),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(content in "\\PC*|[\t\n\r&<>\"' x]*") {
            let document = format!("<e a=\"{}\">{}</e>", attribute(&content), text(&content));

            prop_assert_eq!(read(&document).unwrap(), (content.clone(), content));
        }
    }

    #[test]
    fn characters_that_xml_cannot_carry_are_left_out() {
        assert_eq!(text("a\0b\u{1b}c\u{ffff}d\te"), "abcd\te");
        assert_eq!(attribute("a\x08\tb"), "a&#9;b");
    }

    #[test]
    fn documents_that_lie_or_break_off_are_refused() {
        let deep = "<a>".repeat(100);
        let entities = "<!DOCTYPE e [<!ENTITY x \"xxxxxxxx\">]><e>&x;</e>";
        for document in [
            "",
            "<e>",
            "<e>x",
            "<e></f>",
            "<e>&unknown;</e>",
            "<e a=\"1\" a=\"2\"></e>",
            "<e><f/></e>",
            &deep,
            entities,
        ] {
            assert!(read(document).is_err(), "{document}");
        }
    }

    #[test]
    fn an_endless_text_is_refused() {
        let endless = io::BufReader::new(io::Read::chain(&b"<e>"[..], io::repeat(b'x')));
        let mut document = Document::new(endless, "test");

        assert!(matches!(document.next().unwrap(), Node::Start(_)));
        assert!(matches!(document.next(), Err(Error::TooLarge { .. })));
    }
}
