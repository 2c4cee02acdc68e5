//! XML as a plain tree, read apart from the crate's own reader, and fragments of real packages.
#![allow(dead_code)] // each test file uses its part

use std::{collections::BTreeMap, fs, io::BufRead, path::Path};

use anima_repodata::{PackageXml, PublishedFile, render};
use anima_rpm_file::PackageInfo;
use quick_xml::{XmlVersion, escape::resolve_predefined_entity, events::Event};

/// An element with all that it says; white space between elements is left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub text: String,
    pub children: Vec<Tree>,
}

impl Tree {
    pub fn package_id(&self) -> String {
        let checksum = self.children.iter().find(|child| child.name == "checksum").map(|child| child.text.clone());
        self.attributes.get("pkgid").cloned().or(checksum).expect("a package has an id")
    }
}

pub fn tree(reader: impl BufRead) -> Tree {
    let mut reader = quick_xml::Reader::from_reader(reader);
    reader.config_mut().expand_empty_elements = true;
    let mut open = vec![Tree::default()];
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).unwrap() {
            Event::Start(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned();
                    (attribute.key.into_inner().to_string(), value)
                });
                let name = start.name().into_inner().to_string();
                open.push(Tree { name, attributes: attributes.collect(), ..Tree::default() });
            }
            Event::End(_) => {
                let mut done = open.pop().unwrap();
                if !done.children.is_empty() || done.text.trim().is_empty() {
                    done.text = done.text.trim().to_string();
                }
                open.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().unwrap() {
                    Some(c) => c.to_string(),
                    None => resolve_predefined_entity(&reference).unwrap().to_string(),
                };
                open.last_mut().unwrap().text.push_str(&text);
            }
            Event::Eof => return open.pop().unwrap().children.pop().unwrap(),
            _ => {}
        }
    }
}

/// The fragment of a package file.
pub fn published(path: &Path, location: &str, modified_at_secs: i64) -> PackageXml {
    use sha2::Digest;
    let bytes = fs::read(path).unwrap();
    let sha256 = anima_types::Sha256(sha2::Sha256::digest(&bytes).into());
    let file =
        PublishedFile { location: location.to_string(), sha256, size_bytes: bytes.len() as u64, modified_at_secs };
    let fragment = render(&PackageInfo::read(path).unwrap(), &file);
    fragment.check().unwrap();
    fragment
}
