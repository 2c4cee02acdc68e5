//! `repomd.xml`: the index of a repository's metadata.

use std::fmt::Write;

use sha2::Digest;

use crate::{
    Error, Result,
    xml::{Document, Element, Node, attribute, text},
};

/// The largest index: real ones have 2 to 10 KB.
pub(crate) const MAX_REPOMD_BYTES: u64 = 1 << 20;
/// The most files that an index may name: real ones name 3 to 20.
const MAX_RECORDS: usize = 256;
const NAME: &str = "repomd.xml";

/// The index: what metadata there is, and what each file has to be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Repomd {
    /// A number or text that changes with the content.
    pub revision: String,
    /// What the repository is for, as its makers tag it.
    pub tags: Vec<Extra>,
    /// The files, in the order of the index.
    pub records: Vec<Record>,
}

/// An element of the index that is kept as it is: a tag (`distro`, `content`, `repo`), or what a file's record says beside
/// the rest (`database_version`, `header-size`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extra {
    /// The element's name.
    pub name: String,
    /// Its attributes.
    pub attributes: Vec<(String, String)>,
    /// Its text.
    pub text: String,
}

/// One file of the metadata.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// `primary`, `filelists`, `other`, `updateinfo`, `group`, `modules`, ...
    pub kind: String,
    /// Where it lies, relative to the repository.
    pub location: String,
    /// The digest of the file as it lies there.
    pub checksum: Checksum,
    /// Its size, where the index tells.
    pub size_bytes: Option<u64>,
    /// The digest of what it unpacks to, where the index tells.
    pub open_checksum: Option<Checksum>,
    /// The size of what it unpacks to, where the index tells.
    pub open_size_bytes: Option<u64>,
    /// When it was made, in seconds since 1970.
    pub timestamp_secs: i64,
    /// What else the index says of it.
    pub extras: Vec<Extra>,
}

/// A digest and its kind, as the index names them.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Checksum {
    /// `sha256` and the like.
    pub kind: String,
    /// The digest in lower-case hexadecimal digits.
    pub hex: String,
}

impl Checksum {
    /// Returns the SHA-256 of bytes.
    pub fn sha256(bytes: &[u8]) -> Checksum {
        Checksum { kind: "sha256".to_string(), hex: hex::encode(sha2::Sha256::digest(bytes)) }
    }

    /// Returns a hasher of this kind; kinds that prove nothing are refused.
    pub(crate) fn hasher(&self, name: &str) -> Result<Box<dyn sha2::digest::DynDigest>> {
        match self.kind.as_str() {
            "sha256" => Ok(Box::new(sha2::Sha256::default())),
            "sha384" => Ok(Box::new(sha2::Sha384::default())),
            "sha512" => Ok(Box::new(sha2::Sha512::default())),
            kind => Err(Error::WeakChecksum { name: name.to_string(), kind: kind.to_string() }),
        }
    }
}

impl Repomd {
    /// Reads an index.
    pub fn parse(bytes: &[u8]) -> Result<Repomd> {
        if bytes.len() as u64 > MAX_REPOMD_BYTES {
            return Err(Error::TooLarge { name: NAME.to_string(), what: "it", limit_bytes: MAX_REPOMD_BYTES });
        }
        let mut document = Document::new(bytes, NAME);
        start(&mut document, "repomd")?;
        let mut repomd = Repomd::default();
        loop {
            match document.next()? {
                Node::Start(element) if element.name == "revision" => repomd.revision = document.read_text()?,
                Node::Start(element) if element.name == "data" => {
                    let record = record(&mut document, &element)?;
                    repomd.records.push(record);
                    if repomd.records.len() > MAX_RECORDS {
                        return Err(document.error("it names too many files"));
                    }
                }
                Node::Start(element) if element.name == "tags" => tags(&mut document, &mut repomd)?,
                Node::Start(_) => document.skip()?,
                Node::Text(_) => {}
                Node::End | Node::Eof => return Ok(repomd),
            }
        }
    }

    /// Returns the file of a kind.
    pub fn record(&self, kind: &str) -> Result<&Record> {
        let found = self.records.iter().find(|record| record.kind == kind);
        found.ok_or_else(|| Error::NoRecord { kind: kind.to_string() })
    }

    /// Writes the index; the same index gives the same bytes.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut out = String::from(concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
            "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n",
        ));
        let mut line = |line: std::fmt::Arguments<'_>| out.write_fmt(line).expect("writing into a string never fails");
        line(format_args!("  <revision>{}</revision>\n", text(&self.revision)));
        if !self.tags.is_empty() {
            line(format_args!("  <tags>\n"));
            self.tags.iter().for_each(|tag| line(format_args!("    {}", tag.to_xml())));
            line(format_args!("  </tags>\n"));
        }
        for record in &self.records {
            line(format_args!("  <data type=\"{}\">\n", attribute(&record.kind)));
            for (name, checksum) in
                [("checksum", Some(&record.checksum)), ("open-checksum", record.open_checksum.as_ref())]
            {
                if let Some(Checksum { kind, hex }) = checksum {
                    line(format_args!("    <{name} type=\"{}\">{}</{name}>\n", attribute(kind), text(hex)));
                }
            }
            line(format_args!("    <location href=\"{}\"/>\n", attribute(&record.location)));
            line(format_args!("    <timestamp>{}</timestamp>\n", record.timestamp_secs));
            for (name, size) in [("size", record.size_bytes), ("open-size", record.open_size_bytes)] {
                if let Some(size) = size {
                    line(format_args!("    <{name}>{size}</{name}>\n"));
                }
            }
            record.extras.iter().for_each(|extra| line(format_args!("    {}", extra.to_xml())));
            line(format_args!("  </data>\n"));
        }
        line(format_args!("</repomd>\n"));
        out.into_bytes()
    }
}

impl Extra {
    fn read(document: &mut Document<&[u8]>, element: Element) -> Result<Extra> {
        let Element { full_name, attributes, .. } = element;
        Ok(Extra { name: full_name, attributes, text: document.read_text()? })
    }

    fn to_xml(&self) -> String {
        let attributes = self.attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", attribute(value)));
        format!("<{0}{1}>{2}</{0}>\n", self.name, attributes.collect::<String>(), text(&self.text))
    }
}

fn tags(document: &mut Document<&[u8]>, repomd: &mut Repomd) -> Result<()> {
    loop {
        match document.next()? {
            Node::Start(element) => {
                let tag = Extra::read(document, element)?;
                repomd.tags.push(tag);
                if repomd.tags.len() > MAX_RECORDS {
                    return Err(document.error("it has too many tags"));
                }
            }
            Node::Text(_) => {}
            Node::End | Node::Eof => return Ok(()),
        }
    }
}

/// Reads up to the document's first element, which has to be the named one.
pub(crate) fn start<R: std::io::BufRead>(document: &mut Document<R>, name: &str) -> Result<Element> {
    loop {
        match document.next()? {
            Node::Start(element) if element.name == name => return Ok(element),
            Node::Start(element) => return Err(document.error(format!("it is <{}>, not <{name}>", element.name))),
            Node::Text(content) if content.trim().is_empty() => {}
            _ => return Err(document.error(format!("it is not <{name}>"))),
        }
    }
}

fn record(document: &mut Document<&[u8]>, data: &Element) -> Result<Record> {
    let kind = data.get("type").ok_or_else(|| document.error("<data> has no type"))?.to_string();
    let (mut location, mut sums, mut open_sum) = (None, None, None);
    let (mut size_bytes, mut open_size_bytes, mut timestamp_secs) = (None, None, 0);
    let mut extras = Vec::new();
    loop {
        match document.next()? {
            Node::Start(element) => match element.name.as_str() {
                "location" => {
                    location = element.get("href").map(str::to_string);
                    document.skip()?;
                }
                "checksum" => sums = Some(checksum(document, &element)?),
                "open-checksum" => open_sum = Some(checksum(document, &element)?),
                "size" => size_bytes = Some(number(document)?),
                "open-size" => open_size_bytes = Some(number(document)?),
                // Some writers add a fraction of a second.
                "timestamp" => timestamp_secs = document.read_text()?.trim().parse::<f64>().unwrap_or(0.0) as i64,
                _ if extras.len() < MAX_RECORDS => extras.push(Extra::read(document, element)?),
                _ => return Err(document.error(format!("\"{kind}\" has too many fields"))),
            },
            Node::Text(_) => {}
            Node::End | Node::Eof => break,
        }
    }
    let location = location.ok_or_else(|| document.error(format!("\"{kind}\" has no location")))?;
    check_location(&location)?;
    let checksum = sums.ok_or_else(|| document.error(format!("\"{kind}\" has no checksum")))?;
    Ok(Record {
        kind,
        location,
        checksum,
        size_bytes,
        open_checksum: open_sum,
        open_size_bytes,
        timestamp_secs,
        extras,
    })
}

fn checksum(document: &mut Document<&[u8]>, element: &Element) -> Result<Checksum> {
    let kind = element.get("type").unwrap_or_default().to_ascii_lowercase();
    let hex = document.read_text()?.trim().to_ascii_lowercase();
    Ok(Checksum { kind, hex })
}

fn number(document: &mut Document<&[u8]>) -> Result<u64> {
    let content = document.read_text()?;
    content.trim().parse().map_err(|_| document.error(format!("\"{content}\" is no size")))
}

/// Refuses what would lead out of the repository, to another host, or confuse a log.
pub(crate) fn check_location(location: &str) -> Result<()> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_safe = !location.contains([':', '\\', '?', '#'])
        && !location.contains(char::is_control)
        && location.split('/').all(is_plain);
    match is_safe {
        true => Ok(()),
        false => Err(Error::UnsafeLocation(location.escape_default().to_string())),
    }
}
